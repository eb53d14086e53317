package httpapi

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"

	"theeye/internal/registry"
)

// A person at the page has a login. Its token is in a cookie, which browsers send by themselves, and
// so it counts less than a key:
//
//   - It is looked at only if the request gives no key, and never on routes that are open, for the
//     intake, or shared with other origins (see crossOrigin).
//   - Requests that change something and come from a page of another origin are refused.

// secureCookie is the name of the cookie if the connection of the browser is encrypted. Browsers
// accept it only from such a connection, for this host alone.
const secureCookie = "__Host-eye"

// Polling is the header of requests that the page makes by itself. They do not keep a login from
// becoming idle.
const Polling = "Eye-Polling"

// cookieName returns the name of the cookie of a request. Cookies of a host are shared by its ports,
// so without encryption the name depends on the data directory.
func (s *Server) cookieName(r *http.Request) string {
	if s.encrypted(r) {
		return secureCookie
	}
	sum := sha256.Sum256([]byte(s.opts.Registry.DirectoryID()))
	return "eye_" + hex.EncodeToString(sum[:4])
}

// loginToken returns the token in the cookie of a request, or "". Two cookies count as none: another
// host of the same site, or another port, may have set one of them.
func (s *Server) loginToken(r *http.Request) string {
	cookies := r.CookiesNamed(s.cookieName(r))
	if len(cookies) != 1 {
		return ""
	}
	return cookies[0].Value
}

// cookie returns the cookie for a token. An empty one deletes the cookie.
func (s *Server) cookie(r *http.Request, token string) *http.Cookie {
	c := &http.Cookie{ //nolint:gosec // Secure wherever a browser would accept it
		Name: s.cookieName(r), Value: token, Path: "/", MaxAge: int(cookieAge.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: s.encrypted(r),
	}
	if token == "" {
		c.MaxAge = -1
	}
	return c
}

// givesKey reports whether a request gives a key, valid or not.
func givesKey(r *http.Request) bool {
	return len(r.Header.Values("Authorization")) > 0 || r.URL.Query().Has("key")
}

// authorizeLogin authenticates the caller by the token of a login.
func (s *Server) authorizeLogin(c *Call, rt Route, token string) error {
	c.w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
	if err := sameOrigin(c.Request); err != nil {
		return err
	}
	login, who, ok := s.opts.Registry.Login(token)
	if !ok {
		return Unauthorized("the login has ended: sign in again, or use a key").WithReason("login_ended")
	}
	if !rt.Access.OpenTo(who) {
		return Problemf(http.StatusForbidden, "the key of this login is not permitted here: %s", needed(rt.Access))
	}
	c.Principal, c.login, c.token = who, &login, token
	if !rt.Polled && c.Header.Get(Polling) == "" {
		s.opts.Registry.NoteActivity(token)
	}
	return nil
}

// sameOrigin returns an error for a request that changes something and comes from a page of another
// origin. Requests of programs pass.
func sameOrigin(r *http.Request) error {
	if err := new(http.CrossOriginProtection).Check(r); err != nil {
		return NewProblem(http.StatusForbidden, "this request comes from a page of another origin, which may neither sign in nor use a login; programs use a key, in the header Authorization").WithReason("cross_origin")
	}
	return nil
}

// noteSignIn records a sign-in that was refused because of its key or link.
func (s *Server) noteSignIn(rt Route, c *Call, secret string, err error) {
	if p := ProblemOf(err); p.Status == http.StatusUnauthorized || p.Status == http.StatusForbidden {
		s.noteRefusal(rt, c, secret, p)
	}
}

// encrypted reports whether the browser's connection is encrypted, to this server or to a trusted
// proxy. Of several proxies, the nearest one counts.
func (s *Server) encrypted(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	if !s.trusts(peerAddress(r)) {
		return false
	}
	protocols := split(r.Header.Values("X-Forwarded-Proto"))
	if len(protocols) == 0 {
		protocols = forwarded(r.Header.Values("Forwarded"), "proto")
	}
	return len(protocols) > 0 && strings.EqualFold(strings.TrimSpace(protocols[len(protocols)-1]), "https")
}

// loginAnswer describes a login.
func loginAnswer(l *registry.Login) Login {
	return Login{
		LoginID: l.ID, KeyID: l.KeyID, Kind: l.Kind, App: TextOrNull(l.App), CreatedAt: FormatTime(l.CreatedAt),
		ActiveAt: FormatTime(l.ActiveAt), EndsAt: FormatTime(l.EndsAt),
	}
}
