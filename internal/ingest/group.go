package ingest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"theeye/internal/event"
	"theeye/internal/queue"
)

// Group commit (Q4): a frame is closed when it has waited so long or grown so
// large, or as soon as nothing is being written that it could wait for.
const (
	groupWait     = 2 * time.Millisecond
	groupBytes    = 512 << 10
	groupMaxBytes = queue.MaxPayload - 1<<20 // what fits into a frame even when it does not compress
	inFlight      = 4                        // frames that are being written at a time
)

// submission is what one request adds to a frame. It is never split.
type submission struct {
	app      string
	body     []byte // encoded records
	received uint32
	rejected uint32

	leave func()        // called when the frame's outcome is known
	sent  bool          // it will be part of a frame
	done  chan struct{} // closed when the outcome is known
	first int           // index of its first record in the frame
	frame uint64
	err   error
}

func (s *submission) add(r event.Record) {
	s.body = event.AppendRecord(s.body, r, false)
	s.received++
	if r.Rejection != nil {
		s.rejected++
	}
}

// abandon lets nobody wait for a submission that will be part of no frame.
func (s *submission) abandon() {
	if !s.sent {
		s.leave()
	}
}

// group is a frame that is being filled.
type group struct {
	members []*submission
	bytes   int
	records int
	counts  []queue.Count
	apps    map[string]int // indexes of counts
	header  int            // bytes that the counts take of the frame's header
}

// fits reports whether a frame can hold a submission besides what is there. A group of nothing holds any.
func (g *group) fits(s *submission) bool {
	header := g.header
	if _, ok := g.apps[s.app]; !ok {
		header += queue.Count{App: s.app}.HeaderBytes()
	}
	return g.bytes+len(s.body) <= groupMaxBytes && header <= queue.MaxCounts
}

func (g *group) add(s *submission) {
	s.first = g.records
	g.members = append(g.members, s)
	g.bytes += len(s.body)
	g.records += int(s.received)
	i, ok := g.apps[s.app]
	if !ok {
		if g.apps == nil {
			g.apps = map[string]int{}
		}
		i = len(g.counts)
		g.apps[s.app] = i
		g.counts = append(g.counts, queue.Count{App: s.app})
		g.header += g.counts[i].HeaderBytes()
	}
	g.counts[i].Received += uint64(s.received)
	g.counts[i].Rejected += uint64(s.rejected)
}

// grouper merges submissions into frames and has them published.
type grouper struct {
	opts   Options
	in     chan *submission
	closed chan struct{} // closed when run has ended

	unknown atomic.Uint64 // frames of unknown outcome
}

func newGrouper(opts Options) *grouper {
	return &grouper{opts: opts, in: make(chan *submission), closed: make(chan struct{})}
}

// submit returns when the submission's frame is durable, with its sequence and
// the index of the first record. After a deadline its frame may still come: s.leave is called
// when that is known.
func (g *grouper) submit(ctx context.Context, s *submission) (frame uint64, first int, err error) {
	if len(s.body) > queue.MaxBody/2 {
		return 0, 0, fmt.Errorf("%w: the events and their problems take %d bytes", queue.ErrTooLarge, len(s.body))
	}
	s.done = make(chan struct{})
	select {
	case g.in <- s:
		s.sent = true
	case <-g.closed:
		return 0, 0, ErrClosed
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	}
	select {
	case <-s.done:
		return s.frame, s.first, s.err
	case <-ctx.Done():
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return 0, 0, ctx.Err()
	}
	// Nobody waits for the answer, but what was submitted is on its way, and counts.
	<-s.done // publishing has its own deadline, so this comes
	return s.frame, s.first, s.err
}

// run gathers and publishes until ctx ends, and then until what was submitted
// is answered.
func (g *grouper) run(ctx context.Context) error {
	var flights sync.WaitGroup
	defer flights.Wait()
	defer close(g.closed)
	slots := make(chan struct{}, inFlight)
	var held *submission // did not fit into the group before
	for {
		var current group
		if held == nil {
			select {
			case <-ctx.Done():
				return nil
			case held = <-g.in:
			}
		}
		current.add(held)
		held = g.fill(&current, slots)
		flights.Go(func() {
			g.publish(current)
			<-slots
		})
	}
}

// fill adds to a group what comes until it is closed and a slot is taken for
// it. While all slots are taken it goes on growing. What does not fit any more
// is returned.
func (g *grouper) fill(current *group, slots chan struct{}) (held *submission) {
	timer := time.NewTimer(groupWait)
	defer timer.Stop()
	ripe := len(slots) == 0
	for {
		in, slot := g.in, chan<- struct{}(nil)
		if ripe || current.bytes >= groupBytes {
			slot = slots
		}
		if held != nil {
			in = nil
		}
		select {
		case s := <-in:
			if !current.fits(s) {
				held, ripe = s, true
				continue
			}
			current.add(s)
		case <-timer.C:
			ripe = true
		case slot <- struct{}{}:
			return held
		}
	}
}

func (g *grouper) publish(current group) {
	f := queue.Frame{Counts: current.counts, Body: make([]byte, 0, current.bytes)}
	for _, s := range current.members {
		f.Body = append(f.Body, s.body...)
	}
	// The senders' contexts do not count here: others share the frame.
	sequence, err := g.opts.Publish(context.Background(), f)
	if errors.Is(err, queue.ErrUnknown) {
		g.unknown.Add(1)
	}
	if err == nil {
		received := make(map[string]int64, len(f.Counts))
		for _, c := range f.Counts {
			received[c.App] = int64(c.Received)
		}
		g.opts.Acknowledged(sequence, received)
	}
	for _, s := range current.members {
		s.frame, s.err = sequence, err
		s.leave()
		close(s.done)
	}
}
