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
	// pieceBytes is what a caller must take before its deadline.
	pieceBytes = 16 << 10
	// leastRate is what a caller must take of a long answer, in bytes a second, within
	// each leastWindow of time in which it held the answer up.
	leastRate   = 64 << 10
	leastWindow = time.Minute
)

// errSlow is told when a caller takes less than leastRate.
var errSlow = errors.New("the caller takes too little")

// statusRecorder is an answer on its way. A caller who takes nothing of it holds it up
// no longer than stall, and one who takes little no longer than a leastWindow. All of it
// belongs to one goroutine, but for end.
type statusRecorder struct {
	http.ResponseWriter
	status        int
	stallDeadline time.Duration
	// stream: the answer is a stream of HTTP/2, which is reset when its deadline passes, also while
	// nothing is being written.
	stream bool

	blocked time.Duration // in this window, while writing
	taken   int64         // meanwhile, in bytes

	conn  http.ResponseWriter // that has the deadlines
	mu    sync.Mutex          // guards what follows
	ended error               // why the answer must not go on
	done  bool                // the request is over
}

func newStatusRecorder(w http.ResponseWriter, stall time.Duration) *statusRecorder {
	return &statusRecorder{ResponseWriter: w, stallDeadline: stall, conn: w}
}

// begin sets a deadline for what net/http writes by itself before the answer.
func (r *statusRecorder) begin() {
	if !r.stream {
		_ = r.extendWriteDeadline()
	}
}

// rest sets a deadline for what net/http still has to write when the handler is done.
func (r *statusRecorder) rest() { _ = r.extendWriteDeadline() }

// extendWriteDeadline moves the deadline of writing.
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

// clearWriteDeadline takes the deadline away while nothing is being written, where that matters.
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

// end lets what is being written fail, and all that is to be written. It may be called
// by any goroutine, and again.
func (r *statusRecorder) end(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.done && r.ended == nil {
		r.ended = why
		_ = http.NewResponseController(r.conn).SetWriteDeadline(time.Now())
	}
}

// finish makes end do nothing any more, and returns what it was called with.
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

// count fails when a window ends in which the caller took too little. Time in which
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

// drop closes the connection of an answer that has begun, and throws away what the
// caller has not taken.
func (r *statusRecorder) drop() {
	conn, _, err := http.NewResponseController(r.conn).Hijack()
	if err != nil { // one of HTTP/2, of which net/http ends the stream
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

// whileValid calls a route that gives something, and ends its answer when the key that
// it was called with ends. What an admin key changes is finished as it was begun, and
// the intake asks again when a body has come.
func (s *Server) whileValid(rt Route, c *Call) error {
	if rt.Access == Open || rt.Access == ForWrite || rt.Access == ForAdmin && rt.Method != http.MethodGet {
		return s.untilEnded(rt, c)
	}
	ctx, release := s.opts.Registry.WhileValid(c.Context(), keyOf(c.Request, rt.Access))
	defer release()
	c.Request = c.WithContext(ctx)
	end := func() {
		if errors.Is(context.Cause(ctx), registry.ErrKeyEnded) {
			c.w.end(invalidKey(rt.Access))
		}
	}
	stop := context.AfterFunc(ctx, end)
	defer stop()
	c.lastLook = end // the handler may have seen it first
	return s.untilEnded(rt, c)
}

// untilEnded calls a route. An answer that was ended is torn when it has begun, and is
// otherwise the error that says why.
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
			_ = recover() // the handler wanted to tear what it had not begun
			err = why
		}
	}()
	return s.recorded(rt, c)
}
