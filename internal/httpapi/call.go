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

// Call is a request that a route handles. It belongs to one goroutine, except for End.
type Call struct {
	*http.Request
	Principal registry.Principal // the zero value for open routes

	server *Server
	access Access // of the route
	w      *statusRecorder
	login  *registry.Login // of the caller; nil for a caller with a key
	token  string          // of the login
	entry  *registry.Entry // of the audit log; nil when nothing is recorded
	// lastLook calls w.end if there is a reason to; it may be nil.
	lastLook func()
}

// Writer returns the writer of the answer.
func (c *Call) Writer() http.ResponseWriter { return c.w }

// Begun reports whether the answer has begun.
func (c *Call) Begun() bool { return c.w.status != 0 }

// End makes the current write and all later ones fail. An answer that has not begun becomes the
// error why. It may be called by any goroutine, and more than once.
func (c *Call) End(why error) { c.w.end(why) }

// WriteJSON answers with a JSON document. Strings keep the escapes that they were sent with.
func (c *Call) WriteJSON(status int, v any) error { return writeJSON(c.w, status, v) }

// writeJSON is Call.WriteJSON for any writer.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v, jsontext.PreserveRawStrings(true), jsontext.AllowDuplicateNames(true))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // a caller that is gone needs no error
	return nil
}

// AnswerBuffer is the size of the pieces in which a long response is sent, in bytes.
const AnswerBuffer = 64 << 10

// StreamJSON answers with a JSON document that may be long. It is sent while it is encoded and is
// never in memory as a whole. An answer that cannot be completed is cut off.
func (c *Call) StreamJSON(v any) error {
	c.w.Header().Set("Content-Type", "application/json")
	w := bufio.NewWriterSize(c.w, AnswerBuffer)
	err := json.MarshalWrite(w, v, jsontext.PreserveRawStrings(true), jsontext.AllowDuplicateNames(true))
	if err == nil {
		_ = w.WriteByte('\n')
		_ = w.Flush() // a caller that is gone needs no error
		return nil
	}
	return c.Tear(w, err)
}

// Tear gives up an answer because of err. It returns err if nothing has been sent. Otherwise it
// panics with http.ErrAbortHandler: after that, only a broken connection shows the caller that the
// answer is incomplete.
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

// Outlive returns a context for work that is finished even if the caller goes away. It ends when
// the server is closed. The caller must call release.
func (c *Call) Outlive() (_ context.Context, release func()) {
	return c.server.life.outlive(c.Context())
}

// Readiness returns what works; it is at most a second old.
func (c *Call) Readiness() Readiness { return c.server.known(c.Context()) }

// RefusedGroup counts requests to the intake, of an application and with a reason, that left neither
// an event nor a rejection.
type RefusedGroup struct {
	App       *string `json:"app" doc:"null when no key identified it"`
	Reason    string  `json:"reason" doc:"as in GET /v1/unreadable"`
	Count     int64   `json:"count" doc:"since the start of the server"`
	FirstSeen string  `json:"first_seen" format:"date-time"`
	LastSeen  string  `json:"last_seen" format:"date-time"`
}

// ForgetReadiness makes the next request for /readyz determine the state again, after a change that
// it reports.
func (c *Call) ForgetReadiness() { c.server.forgetReadiness() }

// Remote returns the address of the caller for people: an IP address, "local" for the socket in the
// data directory, or "" if it is unknown.
func (c *Call) Remote() string { return c.server.remoteText(c.Request) }

// CheckApps returns a 404 if one of the names is not that of an application: a query for it would
// silently find nothing.
func (c *Call) CheckApps(names []string) error {
	for _, name := range names {
		if _, ok := c.server.opts.Registry.App(name); !ok {
			return c.NoSuchApp(name)
		}
	}
	return nil
}

// NoSuchApp returns the 404 for a name that is not that of an application. It suggests a similar
// name, so it is only for callers that may know all applications.
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

// Note adds what a request changed to its entry in the audit log, if it has one.
func (c *Call) Note(name string, value any) {
	if c.entry != nil {
		c.entry.Note(name, value)
	}
}

// About sets the application in the audit log if the path does not name it.
func (c *Call) About(app string) {
	if c.entry != nil {
		c.entry.App = Redact(app)
	}
}

// TakeLease records that later requests of the key with this value of the parameter
// Route.AuditedOnce need no entry of their own.
func (c *Call) TakeLease(lease string) { c.server.sums.coverLease(lease, c.Principal.KeyID) }

// AuditActs returns the names of all acts that the audit log may contain, sorted.
func (c *Call) AuditActs() []string { return c.server.acts() }
