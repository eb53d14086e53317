// Package fair shares a number of places between callers, so that none of them blocks the others.
//
// It does not know what a place is for.
package fair

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// ErrFull is returned if the maximum number of requests of a key is already waiting.
var ErrFull = errors.New("too many requests of this key wait")

// Caller is the caller for which a place is taken. The zero value is the server itself, for which
// only the number of places counts.
type Caller struct {
	App string // empty for keys of all applications, which count as one
	Key string
}

type callerKey struct{}

// With returns a context that names its caller.
func With(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// Of returns the caller that a context names.
func Of(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}

// Options of a Semaphore. All must be positive.
type Options struct {
	Places  int // in all
	PerKey  int // at most for one key
	PerApp  int // at most for all keys of one application
	Waiting int // requests of one key that may wait
}

// Semaphore gives out places. Waiting keys take turns; the requests of one key are served in their
// order. It may be used concurrently.
type Semaphore struct {
	opts Options

	mu    sync.Mutex // guards what follows
	used  int
	byKey map[Caller]int
	byApp map[string]int
	turns []*line // the waiting callers, the next one first; no line is empty
}

// line holds the waiting requests of one caller.
type line struct {
	caller Caller
	calls  []chan struct{} // closed when a place is given
}

// New returns a semaphore whose places are all free.
func New(opts Options) *Semaphore {
	return &Semaphore{opts: opts, byKey: map[Caller]int{}, byApp: map[string]int{}}
}

// Acquire waits for a place until ctx is done. Errors: ErrFull, and that of ctx. The caller must
// call release once.
func (s *Semaphore) Acquire(ctx context.Context, c Caller) (release func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	at := slices.IndexFunc(s.turns, func(l *line) bool { return l.caller == c })
	if at < 0 && s.fitsLocked(c) { // those that wait are held up by a limit of their own, or by the number of places
		s.takeLocked(c)
		s.mu.Unlock()
		return func() { s.release(c) }, nil
	}
	if at < 0 {
		at = len(s.turns)
		s.turns = append(s.turns, &line{caller: c})
	}
	l := s.turns[at]
	if len(l.calls) >= s.opts.Waiting {
		s.mu.Unlock()
		return nil, ErrFull
	}
	given := make(chan struct{})
	l.calls = append(l.calls, given)
	s.mu.Unlock()
	select {
	case <-given:
		return func() { s.release(c) }, nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	select {
	case <-given: // at the same moment
		s.mu.Unlock()
		s.release(c)
	default:
		l.calls = slices.DeleteFunc(l.calls, func(x chan struct{}) bool { return x == given })
		if len(l.calls) == 0 {
			s.turns = slices.DeleteFunc(s.turns, func(x *line) bool { return x == l })
		}
		s.mu.Unlock()
	}
	return nil, ctx.Err()
}

// Waiting returns how many places are taken and how many requests wait.
func (s *Semaphore) Waiting() (used, waiting int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.turns {
		waiting += len(l.calls)
	}
	return s.used, waiting
}

// Gauges returns two metrics, name_running and name_waiting, about the use of the places.
func (s *Semaphore) Gauges(name, what string) []prometheus.Collector {
	gauge := func(state, help string, value func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name + state, Help: what + help},
			func() float64 { return float64(value()) })
	}
	return []prometheus.Collector{
		gauge("_running", " that run.", func() int { used, _ := s.Waiting(); return used }),
		gauge("_waiting", " that wait for a place.", func() int { _, waiting := s.Waiting(); return waiting }),
	}
}

func (s *Semaphore) fitsLocked(c Caller) bool {
	return s.used < s.opts.Places &&
		(c == Caller{} || s.byKey[c] < s.opts.PerKey && s.byApp[c.App] < s.opts.PerApp)
}

func (s *Semaphore) takeLocked(c Caller) {
	s.used++
	if c != (Caller{}) {
		s.byKey[c]++
		s.byApp[c.App]++
	}
}

// release frees a place and gives it to the next caller that may have it.
func (s *Semaphore) release(c Caller) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used--
	if c != (Caller{}) {
		if s.byKey[c]--; s.byKey[c] == 0 {
			delete(s.byKey, c)
		}
		if s.byApp[c.App]--; s.byApp[c.App] == 0 {
			delete(s.byApp, c.App)
		}
	}
	for i := 0; i < len(s.turns); {
		l := s.turns[i]
		if !s.fitsLocked(l.caller) {
			i++
			continue
		}
		s.takeLocked(l.caller)
		close(l.calls[0])
		l.calls = l.calls[1:]
		s.turns = slices.Delete(s.turns, i, i+1)
		if len(l.calls) > 0 {
			s.turns = append(s.turns, l) // after all others
		}
	}
}
