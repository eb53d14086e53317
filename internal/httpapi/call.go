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

// writeJSON answers with a JSON document. Strings keep the escapes that they
// were sent with.
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

// answerBuffer is how much of a long answer is sent at once, in bytes.
const answerBuffer = 64 << 10

// streamJSON answers with a JSON document that may be long: it is sent while it is
// made, and never in memory as a whole. An answer that cannot be finished is torn.
func (s *Server) streamJSON(c *Call, v any) error {
	c.w.Header().Set("Content-Type", "application/json")
	w := bufio.NewWriterSize(c.w, answerBuffer)
	err := json.MarshalWrite(w, v, jsontext.PreserveRawStrings(true), jsontext.AllowDuplicateNames(true))
	if err == nil {
		_ = w.WriteByte('\n')
		_ = w.Flush() // a caller who is gone needs no error
		return nil
	}
	return s.tear(c, w, err)
}

// tear ends an answer that cannot be finished. Once something of it is sent, only a
// torn answer can still say that it is not whole.
func (s *Server) tear(c *Call, w *bufio.Writer, err error) error {
	if c.w.status == 0 {
		return err
	}
	if gone := w.Flush(); gone == nil {
		s.log.Error("an answer was cut off", "path", Redact(c.URL.Path), "error", err)
	}
	panic(http.ErrAbortHandler)
}

// checkApps refuses names that are of no application: nothing would be found, without a word.
func (s *Server) checkApps(names []string) error {
	for _, name := range names {
		if _, ok := s.opts.Registry.App(name); !ok {
			return s.noSuchApp(name)
		}
	}
	return nil
}

// noSuchApp tells a key of all applications that there is no such one, and which was meant.
func (s *Server) noSuchApp(name string) error {
	var names []string
	for _, app := range s.opts.Registry.Apps() {
		names = append(names, app.Name)
	}
	if near := event.Nearest(name, names); near != "" {
		return Problemf(http.StatusNotFound, "there is no application %.80q; did you mean %q?", name, near)
	}
	return Problemf(http.StatusNotFound, "there is no application %.80q", name)
}

func noContent(c *Call) error {
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// Note tells the audit trail what a request changed.
func (c *Call) Note(name string, value any) {
	if c.entry != nil {
		c.entry.Note(name, value)
	}
}

// About tells the audit trail which application a request is about whose path
// does not say so.
func (c *Call) About(app string) {
	if c.entry != nil {
		c.entry.App = Redact(app)
	}
}

// Call is one request on its way.
type Call struct {
	*http.Request
	w         *statusRecorder
	Principal registry.Principal // the zero value on open routes
	entry     *registry.Entry    // of the audit trail; nil when this is not administration
	kept      bool               // what could not be read is kept as a rejection
	// lastLook calls w.end when there is a reason to; nil for none.
	lastLook func()
}

func (c *Call) ctx() context.Context { return c.Context() }
