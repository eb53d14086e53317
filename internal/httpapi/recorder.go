package httpapi

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"sync"
	"time"

	"theeye/internal/registry"
)

const (
	// pieceBytes is the amount that a caller must read before the write deadline.
	pieceBytes = 16 << 10
	// leastRate is the minimum rate at which a caller must read a long response, in bytes per
	// second, in each leastWindow of time spent writing.
	leastRate   = 64 << 10
	leastWindow = time.Minute
)

// errSlow is the error for a caller that reads more slowly than leastRate.
var errSlow = errors.New("the client reads too slowly")

// statusRecorder writes an answer and remembers its status. A caller that reads nothing delays it
// no longer than stallDeadline, and one that reads too slowly no longer than leastWindow. It
// belongs to one goroutine, except for end.
type statusRecorder struct {
	http.ResponseWriter
	status        int
	stallDeadline time.Duration
	// stream is set for HTTP/2, where an expired deadline resets the stream even if nothing is
	// being written.
	stream bool

	blocked time.Duration // time spent writing in this window
	taken   int64         // bytes read by the caller in this window

	conn  http.ResponseWriter // that has the deadlines
	mu    sync.Mutex          // guards what follows
	ended error               // why the answer must not go on
	done  bool                // the request is over
}

func newStatusRecorder(w http.ResponseWriter, stall time.Duration) *statusRecorder {
	return &statusRecorder{ResponseWriter: w, stallDeadline: stall, conn: w}
}

// begin sets a deadline for what net/http writes by itself before the response.
func (r *statusRecorder) begin() {
	if !r.stream {
		_ = r.extendWriteDeadline()
	}
}

// rest sets a deadline for what net/http still has to write after the handler has returned.
func (r *statusRecorder) rest() { _ = r.extendWriteDeadline() }

// extendWriteDeadline moves the write deadline. If the answer was ended, it returns the reason.
func (r *statusRecorder) extendWriteDeadline() error {
	wait := r.stallDeadline
	if r.taken < int64(leastRate*leastWindow/time.Second) {
		wait = min(wait, leastWindow-r.blocked)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended != nil {
		return r.ended
	}
	_ = http.NewResponseController(r.conn).SetWriteDeadline(time.Now().Add(wait)) // a test's recorder has none
	return nil
}

// clearWriteDeadline removes the deadline between writes of a stream.
func (r *statusRecorder) clearWriteDeadline() {
	if !r.stream {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended == nil {
		_ = http.NewResponseController(r.conn).SetWriteDeadline(time.Time{})
	}
}

// end makes the current write and all later ones fail. It may be called by any goroutine, and
// more than once.
func (r *statusRecorder) end(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.done && r.ended == nil {
		r.ended = why
		_ = http.NewResponseController(r.conn).SetWriteDeadline(time.Now())
	}
}

// finish disables end, and returns the error with which it was called.
func (r *statusRecorder) finish() (why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	why, r.ended, r.done = r.ended, nil, true
	return why
}

func (r *statusRecorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	_ = r.extendWriteDeadline()
	defer r.clearWriteDeadline()
	r.ResponseWriter.WriteHeader(status)
}

// FlushError sends what was written.
func (r *statusRecorder) FlushError() error {
	if err := r.extendWriteDeadline(); err != nil {
		return err
	}
	defer r.clearWriteDeadline()
	return http.NewResponseController(r.ResponseWriter).Flush()
}

func (r *statusRecorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	defer r.clearWriteDeadline()
	written := 0
	for {
		if err := r.extendWriteDeadline(); err != nil {
			return written, err
		}
		piece := b[written:min(written+pieceBytes, len(b))]
		began := time.Now()
		n, err := r.ResponseWriter.Write(piece)
		written += n
		if err == nil {
			err = r.count(n, time.Since(began))
		}
		if err != nil || written == len(b) {
			return written, err
		}
	}
}

// count returns errSlow at the end of a window in which the caller read too little. Time in which
// the server had nothing to write does not count.
func (r *statusRecorder) count(n int, took time.Duration) error {
	r.blocked += took
	r.taken += int64(n)
	if r.blocked < leastWindow {
		return nil
	}
	if r.taken < int64(leastRate*leastWindow/time.Second) {
		return errSlow
	}
	r.blocked, r.taken = 0, 0
	return nil
}

// Unwrap lets http.ResponseController reach the connection.
func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// drop closes the connection of an answer that has begun, and discards what the caller has not
// read.
func (r *statusRecorder) drop() {
	conn, _, err := http.NewResponseController(r.conn).Hijack()
	if err != nil { // HTTP/2: net/http resets the stream
		return
	}
	defer conn.Close()
	inner := conn
	if secure, ok := conn.(*tls.Conn); ok {
		inner = secure.NetConn()
	}
	if l, ok := inner.(interface{ SetLinger(seconds int) error }); ok {
		_ = l.SetLinger(0)
	}
}

// whileValid calls a route that reveals something, and ends the answer when the key or the
// login of the request ends. Changes are completed as they were begun, and the intake
// checks the key again when a body has arrived.
func (s *Server) whileValid(rt Route, c *Call) error {
	changes := rt.Access == ForAdmin && rt.Method != http.MethodGet || rt.Method == http.MethodDelete
	if rt.Access == Open || rt.Access == ForWrite || changes {
		return s.untilEnded(rt, c)
	}
	ctx, release := s.whileAuthorized(c)
	defer release()
	c.Request = c.WithContext(ctx)
	end := func() {
		if errors.Is(context.Cause(ctx), registry.ErrKeyEnded) {
			c.w.end(invalidKey(rt.Access))
		}
	}
	stop := context.AfterFunc(ctx, end)
	defer stop()
	c.lastLook = end // the handler may have noticed it first
	return s.untilEnded(rt, c)
}

// whileAuthorized returns a context that ends with the key or the login of a request.
func (s *Server) whileAuthorized(c *Call) (_ context.Context, release func()) {
	if c.login != nil {
		return s.opts.Registry.WhileLogin(c.Context(), c.token)
	}
	return s.opts.Registry.WhileValid(c.Context(), keyOf(c.Request, c.access))
}

// untilEnded calls a route. An answer that was ended is cut off if it has begun; otherwise the
// reason is returned as the error.
func (s *Server) untilEnded(rt Route, c *Call) (err error) {
	defer func() {
		if c.lastLook != nil {
			c.lastLook()
		}
		why := c.w.finish()
		switch {
		case why == nil:
		case c.w.status != 0:
			c.w.drop()
			panic(http.ErrAbortHandler)
		default:
			_ = recover() // the handler cut off an answer that had not begun
			err = why
		}
	}()
	return s.recordAct(rt, c)
}
