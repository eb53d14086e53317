package httpapi

import (
	"bufio"
	"context"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/event"
	"theeye/internal/registry"
)

// Call is one request on its way. It belongs to one goroutine, except for End.
type Call struct {
	*http.Request
	Principal registry.Principal // the zero value on open routes

	server *Server
	access Access // of the route
	w      *statusRecorder
	entry  *registry.Entry // of the audit trail; nil when this is not administration
	// lastLook calls w.end when there is a reason to; nil for none.
	lastLook func()
}

// Writer returns where the answer is written.
func (c *Call) Writer() http.ResponseWriter { return c.w }

// Begun reports whether the answer has begun.
func (c *Call) Begun() bool { return c.w.status != 0 }

// End lets what is being written fail, and all that is to be written. An answer that has not begun
// becomes the error why. It may be called by any goroutine, and again.
func (c *Call) End(why error) { c.w.end(why) }

// WriteJSON answers with a JSON document.
func (c *Call) WriteJSON(status int, v any) error { return writeJSON(c.w, status, v) }

// writeJSON answers with a JSON document. Strings keep the escapes that they were sent with.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v, jsontext.PreserveRawStrings(true), jsontext.AllowDuplicateNames(true))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // a caller who is gone needs no error
	return nil
}

// AnswerBuffer is how much of a long answer is sent at once, in bytes.
const AnswerBuffer = 64 << 10

// StreamJSON answers with a JSON document that may be long: it is sent while it is made, and never
// in memory as a whole. An answer that cannot be finished is torn.
func (c *Call) StreamJSON(v any) error {
	c.w.Header().Set("Content-Type", "application/json")
	w := bufio.NewWriterSize(c.w, AnswerBuffer)
	err := json.MarshalWrite(w, v, jsontext.PreserveRawStrings(true), jsontext.AllowDuplicateNames(true))
	if err == nil {
		_ = w.WriteByte('\n')
		_ = w.Flush() // a caller who is gone needs no error
		return nil
	}
	return c.Tear(w, err)
}

// Tear ends an answer that cannot be finished because of err, which it returns when nothing of the
// answer was sent. Else it panics with http.ErrAbortHandler: only a torn answer can still say that
// it is not whole.
func (c *Call) Tear(w *bufio.Writer, err error) error {
	if !c.Begun() {
		return err
	}
	if gone := w.Flush(); gone == nil {
		c.server.log.Error("an answer was cut off", "path", Redact(c.URL.Path), "error", err)
	}
	panic(http.ErrAbortHandler)
}

// NoContent answers 204.
func (c *Call) NoContent() error {
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// Outlive returns a context for what is finished also when the caller is gone. It ends when the
// server is closed; release must be called.
func (c *Call) Outlive() (_ context.Context, release func()) {
	return c.server.life.outlive(c.Context())
}

// ForgetReadiness lets the next answer of /readyz be found out anew, after a change that it tells of.
func (c *Call) ForgetReadiness() { c.server.forgetReadiness() }

// Remote returns the caller's address for people: an IP address, "local" for the socket in the data
// directory, or "" when it is not known.
func (c *Call) Remote() string { return c.server.remoteText(c.Request) }

// CheckApps refuses names that are of no application: nothing would be found, without a word.
func (c *Call) CheckApps(names []string) error {
	for _, name := range names {
		if _, ok := c.server.opts.Registry.App(name); !ok {
			return c.NoSuchApp(name)
		}
	}
	return nil
}

// NoSuchApp tells a key of all applications that there is no such one, and which was meant.
func (c *Call) NoSuchApp(name string) error {
	var names []string
	for _, app := range c.server.opts.Registry.Apps() {
		names = append(names, app.Name)
	}
	if near := event.Nearest(name, names); near != "" {
		return Problemf(http.StatusNotFound, "there is no application %.80q; did you mean %q?", name, near)
	}
	return Problemf(http.StatusNotFound, "there is no application %.80q", name)
}

// Note tells the audit trail what a request changed.
func (c *Call) Note(name string, value any) {
	if c.entry != nil {
		c.entry.Note(name, value)
	}
}

// About tells the audit trail which application a request is about whose path does not say so.
func (c *Call) About(app string) {
	if c.entry != nil {
		c.entry.App = Redact(app)
	}
}

// TakeLease says that later requests of the key with this value of the parameter Route.AuditedOnce
// need no entry of their own.
func (c *Call) TakeLease(lease string) { c.server.sums.coverLease(lease, c.Principal.KeyID) }

// AuditActs returns the names of all acts that may be in the audit trail, sorted.
func (c *Call) AuditActs() []string { return c.server.acts() }
