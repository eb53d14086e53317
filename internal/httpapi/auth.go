package httpapi

import (
	"net/http"
	"strings"
	"time"

	"theeye/internal/registry"
)

// authorize authenticates the caller by a key, or by a login if there is no key, and checks whether
// the key may be used here. The answers never reveal which applications, keys or origins exist (P8). Signatures are checked where the body is
// read.
func (s *Server) authorize(c *Call, rt Route) error {
	need := rt.Access
	if need == Open {
		return nil
	}
	if need != ForWrite && !givesKey(c.Request) {
		if token := s.loginToken(c.Request); token != "" {
			return s.authorizeLogin(c, rt, token)
		}
	}
	secret := keyOf(c.Request, need)
	who, ok := s.opts.Registry.Authenticate(secret)
	if !ok {
		if why := s.opts.Registry.Refusal(secret); why != "" { // only a holder of the secret learns this
			return Unauthorized(why)
		}
		return invalidKey(need)
	}
	c.Principal = who
	allowed := need.OpenTo(who)
	if allowed && fromItsOrigin(who, c.Request) {
		return nil
	}
	p := Problemf(http.StatusForbidden, "this key is not permitted here: %s", needed(need))
	if allowed {
		return p.WithReason("wrong_origin")
	}
	return p
}

// OpenTo reports whether a key may call a route with this access.
func (a Access) OpenTo(who registry.Principal) bool {
	switch a {
	case ForWrite:
		return who.Kind == registry.Write
	case ForRead:
		return who.Kind == registry.Read || who.Kind == registry.Admin
	case ForMetrics:
		return who.Kind == registry.Admin || who.Kind == registry.Read && who.App == ""
	case ForAdmin:
		return who.Kind == registry.Admin
	}
	return false // nobody may call a route that does not declare its access
}

// fromItsOrigin reports whether a key that names origins is used by a page of one of them. Two
// Origin headers count as none.
func fromItsOrigin(who registry.Principal, r *http.Request) bool {
	if origins := r.Header.Values("Origin"); len(origins) == 1 {
		return who.AllowsOrigin(origins[0])
	}
	return who.AllowsOrigin("")
}

// Key returns the key of a request, or "" if it has none.
func (c *Call) Key() string { return keyOf(c.Request, c.access) }

// Recheck checks the key of an intake request again after its body has arrived, which may take
// seconds: events that are sent after a revocation are not accepted. Requests to open routes pass.
func (c *Call) Recheck() error {
	if c.Principal.KeyID == "" {
		return nil
	}
	if who, ok := c.server.opts.Registry.Peek(c.Key()); !ok || who.KeyID != c.Principal.KeyID {
		return invalidKey(c.access)
	}
	return nil
}

// Refusal says why a request was refused, as far as that depends on its key.
type Refusal struct {
	Reason string       // such as unknown_key or wrong_origin
	KeyIn  string       // where a key was found: bearer, basic, query, other or none
	Key    registry.Key // the zero value if it is unknown
}

// Refusal returns why an intake request was answered with a problem.
func (c *Call) Refusal(p *ProblemDetails) Refusal {
	secret, in := secretOf(c.Request)
	key, known := c.server.opts.Registry.Recognize(secret)
	r := Refusal{p.reason, in, key}
	if r.Reason == "" {
		r.Reason = reasonOf(p.Status, secret, key, known)
	}
	return r
}

func invalidKey(need Access) *ProblemDetails {
	return Unauthorized("a valid key is required, as in Authorization: Bearer KEY; " + needed(need))
}

// Unauthorized returns a 401 that says what is wrong with the key or the signature of a request.
func Unauthorized(detail string) *ProblemDetails {
	p := NewProblem(http.StatusUnauthorized, detail)
	p.headers = map[string]string{"WWW-Authenticate": `Bearer realm="the eye"`}
	return p
}

// keyOf returns the key of a request, or "" if there is none. It is in the header Authorization or,
// for requests that send events, in ?key=.
func keyOf(r *http.Request, need Access) string {
	secret, in := secretOf(r)
	if in == "query" && need != ForWrite {
		return ""
	}
	return secret
}

func needed(need Access) string {
	switch need {
	case ForWrite:
		return "sending requires a write key, used from one of its origins if it is restricted to any"
	case ForRead:
		return "reading requires a read key or an admin key"
	case ForMetrics:
		return "metrics require an admin key or a read key for all applications"
	}
	return "administration requires an admin key"
}

// bearer returns the key in the header Authorization: the token of Bearer, or the user name of
// Basic. More than one header counts as none: a proxy may have checked another one.
func bearer(r *http.Request) string {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return ""
	}
	if user, _, ok := r.BasicAuth(); ok {
		return user
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.Trim(token, " \t")
}

func reasonOf(status int, secret string, key registry.Key, known bool) string {
	switch {
	case status == http.StatusTooManyRequests:
		return "over_rate"
	case status == http.StatusUnauthorized && secret == "":
		return "no_key"
	case status == http.StatusUnauthorized && !known:
		return "unknown_key"
	case status == http.StatusUnauthorized && key.RevokedAt != nil:
		return "revoked_key"
	case status == http.StatusUnauthorized && key.ExpiresAt != nil && time.Now().After(*key.ExpiresAt):
		return "expired_key"
	case status == http.StatusUnauthorized:
		return "key_not_valid"
	case status == http.StatusForbidden && known && key.Kind != registry.Write:
		return "wrong_kind"
	case status == http.StatusForbidden:
		return "not_allowed"
	}
	return "bad_request"
}

// secretOf returns the key of a request and where it was found.
func secretOf(r *http.Request) (secret, in string) {
	if secret := bearer(r); secret != "" {
		if _, _, basic := r.BasicAuth(); basic {
			return secret, "basic"
		}
		return secret, "bearer"
	}
	if secret := r.URL.Query().Get("key"); secret != "" {
		return secret, "query"
	}
	if r.Header.Get("Authorization") != "" {
		return "", "other"
	}
	return "", "none"
}
