package httpapi

import (
	"bytes"
	"context"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/registry"
)

// acts returns the names of all acts that the audit log may contain, sorted: the ids of operations,
// and the actions of the server itself.
func (s *Server) acts() []string {
	acts := []string{
		"beginTrail", "finishErasure", "firstStart", "keepAdminKey", "rebuildMetadata", "replaceUnshownKeys", "restore",
		"signIn", refusedActs, refusedKeys, repeatedActs,
	}
	for _, rt := range s.routes {
		if rt.isRecorded() {
			acts = append(acts, rt.Doc.ID)
		}
	}
	slices.Sort(acts)
	return slices.Compact(acts)
}

// isRecorded reports whether the audit log records requests to the route that use an admin key.
func (rt Route) isRecorded() bool {
	return rt.Audited || rt.Access == ForAdmin && rt.Method != http.MethodGet
}

// recordAct calls a route and records the act: its beginning before it is performed, and its
// outcome before it is answered.
func (s *Server) recordAct(rt Route, c *Call) error {
	switch {
	case rt.Audited && c.Principal.Kind == registry.Admin:
		return s.recordReading(rt, c)
	case rt.Audited || !rt.isRecorded():
		return s.guard(rt, c)
	}
	e := s.entryOf(rt, c)
	if apps := s.appsNamed(c); apps != "" {
		e.Note("app", apps)
	}
	for _, name := range []string{"erase", "force"} { // these change what a request means
		if c.URL.Query().Get(name) == "1" {
			e.Note(name, "1")
		}
	}
	trail := s.opts.Registry.AuditLog()
	if err := trail.Begin(c.Context(), &e); err != nil {
		s.log.Error("the audit log cannot be written; administrative requests are refused", "error", err)
		return Unavailable("the audit log could not be written, so nothing was changed; try again")
	}
	held := &heldResponse{ResponseWriter: c.w.ResponseWriter}
	c.w.ResponseWriter, c.entry = held, &e
	if err := s.guard(rt, c); err != nil {
		s.fail(c, rt, err)
	}
	c.w.ResponseWriter, c.entry = held.ResponseWriter, nil
	held.describe(&e)
	of, now := sumOf{e.KeyID, refusedActs}, time.Now()
	if held.status/100 == 4 && !s.sums.ownEntry(of, now) {
		s.sums.add(of, occurrence{name: e.Act, remote: e.Remote, at: now})
		s.logUnrecorded(e, trail.Withdraw(context.WithoutCancel(c.Context()), e))
	} else {
		// It is recorded even if the caller is gone.
		s.logUnrecorded(e, trail.End(context.WithoutCancel(c.Context()), e, held.status))
	}
	held.release()
	return nil
}

func (s *Server) entryOf(rt Route, c *Call) registry.Entry {
	e := registry.Entry{KeyID: c.Principal.KeyID, Act: rt.Doc.ID, App: Redact(c.PathValue("app")), Subject: subjectOf(rt, c.Request), Remote: s.remoteText(c.Request)}
	if c.login != nil {
		e.Note("login_id", c.login.ID)
	}
	return e
}

// appsNamed returns the existing applications that the query of a request names. Other values are
// left out: they may be anything.
func (s *Server) appsNamed(c *Call) string {
	var apps []string
	for _, name := range c.URL.Query()["app"] {
		if _, ok := s.opts.Registry.App(name); ok {
			apps = append(apps, name)
		}
	}
	return Redact(strings.Join(apps, ","))
}

func (s *Server) logUnrecorded(e registry.Entry, err error) {
	if err != nil {
		s.log.Error("the outcome of an administrative action could not be recorded", "act", e.Act, "id", e.ID, "error", err)
	}
}

// recordReading calls a route that changes nothing but reveals much, and records its beginning and
// its outcome. It does not record the values of parameters, which may name something that is erased
// later.
func (s *Server) recordReading(rt Route, c *Call) (err error) {
	if rt.AuditedOnce != "" {
		lease := c.URL.Query().Get(rt.AuditedOnce)
		if lease != "" && !s.sums.coverLease(lease, c.Principal.KeyID) {
			return s.guard(rt, c)
		}
	}
	of, now := sumOf{c.Principal.KeyID, repeatedActs}, time.Now()
	e := s.entryOf(rt, c)
	if !s.sums.ownEntry(of, now) {
		s.sums.add(of, occurrence{name: e.Act, remote: e.Remote, at: now})
		return s.guard(rt, c)
	}
	e.Subject = nil
	if apps := s.appsNamed(c); apps != "" {
		e.App = apps
	}
	var names []string
	for _, p := range rt.Doc.Params {
		if c.URL.Query().Has(p.Name) {
			names = append(names, p.Name)
		}
	}
	if slices.Sort(names); len(names) > 0 {
		e.Note("parameters", names)
	}
	trail := s.opts.Registry.AuditLog()
	if err := trail.Begin(c.Context(), &e); err != nil {
		s.log.Error("the audit log cannot be written; exports and backups are refused", "error", err)
		return Unavailable("the audit log could not be written, so nothing was sent; try again")
	}
	c.entry = &e
	defer func() {
		p := recover()
		status := c.w.status
		if p != nil { // the answer was cut off
			e.Note("cut_off", true)
			status = http.StatusInternalServerError
		}
		s.logUnrecorded(e, trail.End(context.WithoutCancel(c.Context()), e, status))
		if p != nil {
			panic(p)
		}
	}()
	if err := s.guard(rt, c); err != nil {
		s.fail(c, rt, err)
	}
	return nil
}

// subjectOf returns the parameters in the path of a request, except the application, unless the
// route hides them.
func subjectOf(rt Route, r *http.Request) map[string]string {
	subject := map[string]string{}
	for _, match := range pathNames.FindAllStringSubmatch(rt.Path, -1) {
		if name := match[1]; name != "app" && !rt.HideSubject {
			subject[name] = Redact(r.PathValue(name))
		}
	}
	return subject
}

var (
	pathNames = regexp.MustCompile(`\{([a-z_]+)\}`)
	secrets   = regexp.MustCompile(`(?i)eye_[a-z]_[0-9a-z]{20,}(_[0-9a-z]*)?|whsec_[0-9a-z+/]{20,}=*`)
)

// maxNoted bounds a noted value, in bytes of JSON; a longer one is cut.
const maxNoted = 2 << 10

// maxRedacted bounds a text that Redact returns, in bytes.
const maxRedacted = 300

// Redact returns a text of a request in a form that may be kept: short, valid UTF-8, and without
// keys that got into it by mistake.
func Redact(text string) string {
	return strings.ToValidUTF8(RedactKeys(text[:min(len(text), maxRedacted)]), "\uFFFD")
}

// RedactKeys replaces what looks like a key or a signing secret in a text.
func RedactKeys(text string) string { return secrets.ReplaceAllString(text, "[key]") }

// heldResponse holds an answer back until release.
type heldResponse struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (h *heldResponse) WriteHeader(status int) {
	if h.status == 0 {
		h.status = status
	}
}

func (h *heldResponse) Write(b []byte) (int, error) {
	h.WriteHeader(http.StatusOK)
	return h.body.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (h *heldResponse) Unwrap() http.ResponseWriter { return h.ResponseWriter }

func (h *heldResponse) release() {
	h.WriteHeader(http.StatusOK) // if the handler has set none
	h.ResponseWriter.WriteHeader(h.status)
	_, _ = h.body.WriteTo(h.ResponseWriter) // a caller that is gone needs no error
}

// audited returns the members of answers that the audit log records. None of them is a secret.
func audited() []string {
	return []string{"key_id", "kind", "origins", "expires_at", "version", "erased_at", "apps", "deleted", "events", "rejections", "replay_id", "matched", "would_pass", "would_fail", "dry_run"}
}

// describe adds members of the answer to an entry. For a problem, it adds only the status text,
// because the detail repeats the request, which may name something that is erased later.
func (h *heldResponse) describe(e *registry.Entry) {
	if h.status >= http.StatusBadRequest {
		e.Note("problem", http.StatusText(h.status))
		return
	}
	var answer map[string]jsontext.Value
	if json.Unmarshal(h.body.Bytes(), &answer, jsontext.AllowDuplicateNames(true)) != nil {
		return
	}
	for _, name := range audited() {
		value := string(answer[name])
		if value != "" && value != "null" && value != "false" && e.Detail[name] == nil {
			if len(value) > maxNoted {
				e.Note(name, Redact(value)+"…")
				continue
			}
			e.Note(name, answer[name])
		}
	}
}
