package httpapi

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"time"

	"theeye/internal/registry"
)

const (
	cookieAge    = 7 * 24 * time.Hour // a login may end earlier
	maxLoginBody = 4 << 10
)

func (s *Server) loginRoutes() []Route {
	const tag = "logins"
	signIn := Route{Method: "POST", Path: "/v1/logins", Access: Open, Doc: Doc{
		ID: "signIn", Tag: tag, Summary: "Sign a person in, with a key or with a one-time link",
		Text: "The answer sets a cookie, which authenticates requests that have neither the header Authorization nor the parameter key, except those that send events. " +
			"A login may do what its key may do. It ends after 12 hours without activity, after 7 days, or with its key. Requests with the header `Eye-Polling: 1` are no activity, nor are /v1/tail and /v1/logins/current. " +
			"A key has at most 100 logins: a further one ends the one that has been idle longest. Requests of pages of other origins are refused.",
		Body: reflect.TypeFor[SignInRequest](), Examples: map[string]any{"with a key": map[string]string{"key": "eye_r_…"}, "with the token of a link": map[string]string{"link": "eye_o_…"}},
		Answers: []Answer{JSON[Login](201, "signed in; the cookie is set")}, Errors: []int{400, 401, 403, 413, 503}}}
	signIn.Handle = func(c *Call) error { return s.signIn(signIn, c) }
	return []Route{
		signIn,
		{Method: "GET", Path: "/v1/logins/current", Access: ForRead, Polled: true, Handle: s.currentLogin, Doc: Doc{
			ID: "getCurrentLogin", Tag: tag, Summary: "Get the login of the request's cookie",
			Answers: []Answer{JSON[Login](200, "the login")}, Errors: []int{404}}},
		{Method: "DELETE", Path: "/v1/logins/current", Access: ForRead, Handle: s.signOut, Doc: Doc{
			ID: "signOut", Tag: tag, Summary: "End the login of the request's cookie",
			Answers: []Answer{Plain(204, "signed out; the cookie is deleted")}, Errors: []int{404, 503}}},
		{Method: "GET", Path: "/v1/logins", Access: ForAdmin, Handle: s.listLogins, Doc: Doc{
			ID: "listLogins", Tag: tag, Summary: "List the logins of all keys",
			Answers: []Answer{JSON[LoginsAnswer](200, "the one that was active last first")}}},
		{Method: "DELETE", Path: "/v1/logins/{id}", Access: ForAdmin, Handle: s.endLogin, Doc: Doc{
			ID: "endLogin", Tag: tag, Summary: "End a login; takes effect before the answer", Params: []Param{PathID("the login's id")},
			Answers: []Answer{Plain(204, "ended")}, Errors: []int{404, 503}}},
		{Method: "POST", Path: "/v1/logins/links", Access: ForAdmin, Handle: s.createLink, Doc: Doc{
			ID: "createLoginLink", Tag: tag, Summary: "Create a link that signs in once, with the key of the request",
			Text:    "The link is valid for 10 minutes. Whoever opens it first is signed in with the rights of the key. Only its hash is stored.",
			Answers: []Answer{JSON[LoginLink](201, "created; the link is shown only once")}, Errors: []int{503}}},
	}
}

// SignInRequest has either a key or a link.
type SignInRequest struct {
	Key  string `json:"key,omitzero" doc:"a read key or an admin key"`
	Link string `json:"link,omitzero" doc:"the token of a one-time link: what follows #link= in its address"`
}

// Login is a person's sign-in.
type Login struct {
	LoginID   string        `json:"login_id"`
	KeyID     string        `json:"key_id"`
	Kind      registry.Kind `json:"kind" enum:"read,admin" doc:"of the key, which says what the login may do"`
	App       *string       `json:"app" doc:"the application of the key; null for all applications"`
	CreatedAt string        `json:"created_at" format:"date-time"`
	ActiveAt  string        `json:"active_at" format:"date-time" doc:"to the second"`
	EndsAt    string        `json:"ends_at" format:"date-time" doc:"when it ends if nothing is done until then"`
}

// LoginsAnswer lists logins.
type LoginsAnswer struct {
	Logins []Login `json:"logins"`
}

// LoginLink is a link that signs in once.
type LoginLink struct {
	Link      string  `json:"link" doc:"the token, for POST /v1/logins"`
	Path      string  `json:"path" doc:"the address of the page that uses it, below that of the server"`
	URL       *string `json:"url" doc:"the whole address for a browser on the server's machine; null if the server does not know it"`
	ExpiresAt string  `json:"expires_at" format:"date-time"`
}

// LinkPath returns the address of the page that signs in with a link, below that of the server. The
// token is in the fragment, which browsers do not send.
func LinkPath(token string) string { return "/signin#link=" + url.QueryEscape(token) }

func (s *Server) signIn(rt Route, c *Call) error {
	if err := sameOrigin(c.Request); err != nil {
		s.noteSignIn(rt, c, "", err)
		return err
	}
	var req SignInRequest
	if err := c.ReadSmallJSON(&req, maxLoginBody); err != nil {
		return err
	}
	who, secret, err := s.signerIn(req)
	if err != nil {
		s.noteSignIn(rt, c, secret, err)
		return err
	}
	entry := registry.Entry{KeyID: who.KeyID, Act: rt.Doc.ID, Remote: s.remoteText(c.Request)}
	if req.Link != "" {
		entry.Note("by", "link")
	}
	var login registry.Login
	var token string
	err = s.recorded(c.Context(), &entry, who.Kind == registry.Admin, func() (err error) {
		if req.Link != "" {
			login, token, err = s.opts.Registry.SignInByLink(c.Context(), req.Link, s.loginToken(c.Request))
		} else {
			login, token, err = s.opts.Registry.SignIn(c.Context(), req.Key, s.loginToken(c.Request))
		}
		entry.Note("login_id", login.ID)
		return err
	})
	if errors.Is(err, registry.ErrNotFound) { // it ended in the meantime
		err = signInRefused(req)
		s.noteSignIn(rt, c, secret, err)
	}
	if err != nil {
		return err
	}
	s.endReplaced(c)
	http.SetCookie(c.w, s.cookie(c.Request, token))
	return c.WriteJSON(http.StatusCreated, loginAnswer(&login))
}

// signerIn returns whose login it would be. The error says why there is none.
func (s *Server) signerIn(req SignInRequest) (who registry.Principal, secret string, err error) {
	switch {
	case (req.Key == "") == (req.Link == ""):
		return who, "", NewProblem(http.StatusBadRequest, `give either "key", a read key or an admin key, or "link", the token of a one-time link`)
	case req.Link != "":
		who, ok := s.opts.Registry.PeekLink(req.Link)
		if !ok {
			return who, req.Link, signInRefused(req)
		}
		return who, req.Link, nil
	}
	who, ok := s.opts.Registry.Authenticate(req.Key)
	switch {
	case !ok:
		if why := s.opts.Registry.Refusal(req.Key); why != "" { // only a holder of the secret learns this
			return who, req.Key, Unauthorized(why)
		}
		return who, req.Key, signInRefused(req)
	case !ForRead.OpenTo(who):
		return who, req.Key, NewProblem(http.StatusForbidden, "this key cannot sign in: "+needed(ForRead)).WithReason("wrong_kind")
	}
	return who, req.Key, nil
}

func signInRefused(req SignInRequest) *ProblemDetails {
	if req.Link != "" {
		return Unauthorized("the link is not valid: it was used, is older than 10 minutes, or 20 newer ones were made; `eye open` creates another").WithReason("link_not_valid")
	}
	return Unauthorized("the key is not valid: it is unknown, was revoked, or has expired")
}

// recorded does something, and records its beginning and its outcome in the audit log if record is
// set.
func (s *Server) recorded(ctx context.Context, e *registry.Entry, record bool, do func() error) error {
	if !record {
		return do()
	}
	trail := s.opts.Registry.AuditLog()
	if err := trail.Begin(ctx, e); err != nil {
		s.log.Error("the audit log cannot be written; administrators cannot sign in", "error", err)
		return Unavailable("the audit log could not be written, so nothing was changed; try again")
	}
	err := do()
	status := http.StatusCreated
	if err != nil {
		status = ProblemOf(err).Status
	}
	s.logUnrecorded(*e, trail.End(context.WithoutCancel(ctx), *e, status))
	return err
}

// endReplaced ends the login whose cookie a sign-in replaces: nobody could use it any more.
func (s *Server) endReplaced(c *Call) {
	login, _, ok := s.opts.Registry.Login(s.loginToken(c.Request))
	if !ok {
		return
	}
	if err := s.opts.Registry.EndLogin(c.Context(), login.ID); err != nil && !errors.Is(err, registry.ErrNotFound) {
		s.log.Warn("a login that was replaced by another could not be ended; it ends when it has been idle long enough", "login_id", login.ID, "error", err)
	}
}

var errNoLogin = NewProblem(http.StatusNotFound, "this request has a key and no login; POST /v1/logins signs in")

func (s *Server) currentLogin(c *Call) error {
	if c.login == nil {
		return errNoLogin
	}
	return c.WriteJSON(http.StatusOK, loginAnswer(c.login))
}

func (s *Server) signOut(c *Call) error {
	if c.login == nil {
		return errNoLogin
	}
	if err := s.opts.Registry.EndLogin(c.Context(), c.login.ID); err != nil && !errors.Is(err, registry.ErrNotFound) {
		return err
	}
	http.SetCookie(c.w, s.cookie(c.Request, ""))
	return c.NoContent()
}

func (s *Server) listLogins(c *Call) error {
	return c.WriteJSON(http.StatusOK, LoginsAnswer{MapSlice(s.opts.Registry.Logins(), loginAnswer)})
}

func (s *Server) endLogin(c *Call) error {
	if err := s.opts.Registry.EndLogin(c.Context(), c.PathValue("id")); err != nil {
		return err
	}
	return c.NoContent()
}

func (s *Server) createLink(c *Call) error {
	var link string
	var expires time.Time
	var err error
	if c.login != nil {
		link, expires, err = s.opts.Registry.CreateLinkOf(c.Context(), c.token)
	} else {
		link, expires, err = s.opts.Registry.CreateLink(c.Context(), keyOf(c.Request, c.access))
	}
	if err != nil {
		return err
	}
	made := LoginLink{Link: link, Path: LinkPath(link), ExpiresAt: FormatTime(expires)}
	if s.opts.BaseURL != "" {
		made.URL = TextOrNull(s.opts.BaseURL + made.Path)
	}
	return c.WriteJSON(http.StatusCreated, made)
}
