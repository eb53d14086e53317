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

// Group commit (Q4): a frame is closed when it has waited so long or grown so large, or as soon as
// no other frame is being written.
const (
	frameWait     = 2 * time.Millisecond
	frameBytes    = 512 << 10
	maxFrameBytes = queue.MaxPayload - 1<<20 // what fits into a frame even when it does not compress
	maxInFlight   = 4                        // frames that are being written at a time
)

// entry is the part of a frame that one request brings. It is never split.
type entry struct {
	app      string
	body     []byte // encoded records
	received uint32
	rejected uint32

	release  func()        // called when the frame's outcome is known
	accepted bool          // it will be part of a frame
	done     chan struct{} // closed when the outcome is known
	first    int           // index of its first record in the frame
	frame    uint64
	err      error
}

func (s *entry) add(r event.Record) {
	s.body = event.AppendRecord(s.body, r, false)
	s.received++
	if r.Rejection != nil {
		s.rejected++
	}
}

// abandon releases an entry that will be part of no frame.
func (s *entry) abandon() {
	if !s.accepted {
		s.release()
	}
}

// pendingFrame is a frame that still takes entries.
type pendingFrame struct {
	entries []*entry
	bytes   int
	records int
	counts  []queue.Count
	apps    map[string]int // indexes of counts
	header  int            // bytes that the counts take of the frame's header
}

// fits reports whether the frame has room for an entry. An empty frame has room for any.
func (g *pendingFrame) fits(s *entry) bool {
	header := g.header
	if _, ok := g.apps[s.app]; !ok {
		header += queue.Count{App: s.app}.HeaderBytes()
	}
	return g.bytes+len(s.body) <= maxFrameBytes && header <= queue.MaxCounts
}

func (g *pendingFrame) add(s *entry) {
	s.first = g.records
	g.entries = append(g.entries, s)
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

// batcher merges entries into frames and publishes them.
type batcher struct {
	opts   Options
	in     chan *entry
	closed chan struct{} // closed when run has ended

	unknownOutcomes atomic.Uint64 // frames whose outcome is not known
}

func newBatcher(opts Options) *batcher {
	return &batcher{opts: opts, in: make(chan *entry), closed: make(chan struct{})}
}

// submit returns when the entry's frame is durable, with its sequence and the index of the first
// record. After a deadline the frame may still come: s.release is called when its outcome is known.
func (g *batcher) submit(ctx context.Context, s *entry) (frame uint64, first int, err error) {
	if len(s.body) > queue.MaxBody/2 {
		return 0, 0, fmt.Errorf("%w: the events and their problems take %d bytes", queue.ErrTooLarge, len(s.body))
	}
	s.done = make(chan struct{})
	select {
	case g.in <- s:
		s.accepted = true
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
	// Nobody waits for the answer, but the entry is on its way, and counts.
	<-s.done // publishing has its own deadline, so this comes
	return s.frame, s.first, s.err
}

// run batches and publishes until ctx ends, and then until every entry is answered.
func (g *batcher) run(ctx context.Context) error {
	var publishing sync.WaitGroup
	defer publishing.Wait()
	defer close(g.closed)
	slots := make(chan struct{}, maxInFlight)
	var overflow *entry // did not fit into the frame before
	for {
		var current pendingFrame
		if overflow == nil {
			select {
			case <-ctx.Done():
				return nil
			case overflow = <-g.in:
			}
		}
		current.add(overflow)
		overflow = g.collect(&current, slots)
		publishing.Go(func() {
			g.publish(current)
			<-slots
		})
	}
}

// collect adds the entries that come to a frame until the frame is closed and has a slot. While all
// slots are taken the frame goes on growing. It returns the entry that did not fit any more.
func (g *batcher) collect(current *pendingFrame, slots chan struct{}) (overflow *entry) {
	timer := time.NewTimer(frameWait)
	defer timer.Stop()
	due := len(slots) == 0
	for {
		in, slot := g.in, chan<- struct{}(nil)
		if due || current.bytes >= frameBytes {
			slot = slots
		}
		if overflow != nil {
			in = nil
		}
		select {
		case s := <-in:
			if !current.fits(s) {
				overflow, due = s, true
				continue
			}
			current.add(s)
		case <-timer.C:
			due = true
		case slot <- struct{}{}:
			return overflow
		}
	}
}

func (g *batcher) publish(current pendingFrame) {
	f := queue.Frame{Counts: current.counts, Body: make([]byte, 0, current.bytes)}
	for _, s := range current.entries {
		f.Body = append(f.Body, s.body...)
	}
	// The senders' contexts do not count here: others share the frame.
	sequence, err := g.opts.Publish(context.Background(), f)
	if errors.Is(err, queue.ErrUnknown) {
		g.unknownOutcomes.Add(1)
	}
	if err == nil {
		received := make(map[string]int64, len(f.Counts))
		for _, c := range f.Counts {
			received[c.App] = int64(c.Received)
		}
		g.opts.Acknowledged(sequence, received)
	}
	for _, s := range current.entries {
		s.frame, s.err = sequence, err
		s.release()
		close(s.done)
	}
}
