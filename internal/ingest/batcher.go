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

// Group commit: requests that arrive together share a frame, and its fsync. A frame is closed after
// frameWait, at frameBytes, or as soon as no other frame is being written.
const (
	frameWait     = 2 * time.Millisecond
	frameBytes    = 512 << 10
	maxFrameBytes = queue.MaxPayload - 1<<20 // fits into a frame even if it cannot be compressed
	maxInFlight   = 4                        // frames that are being written at a time
)

// part is what one request adds to a frame. It is never split.
type part struct {
	app      string
	body     []byte // encoded records
	received uint32
	rejected uint32

	release  func()        // called when the frame's outcome is known
	accepted bool          // it became part of a frame
	done     chan struct{} // closed when the outcome is known
	first    int           // index of its first record in the frame
	frame    uint64
	err      error
}

func (e *part) add(r event.Record) {
	e.body = event.AppendRecord(e.body, r, false)
	e.received++
	if r.Rejection != nil {
		e.rejected++
	}
}

// abandon releases a part that did not become part of a frame.
func (e *part) abandon() {
	if !e.accepted {
		e.release()
	}
}

// pendingFrame is a frame to which parts can still be added.
type pendingFrame struct {
	parts   []*part
	bytes   int
	records int
	counts  []queue.Count
	apps    map[string]int // indexes of counts
	header  int            // bytes that the counts take of the frame's header
}

// fits reports whether the frame has room for a part. An empty frame has room for any.
func (f *pendingFrame) fits(e *part) bool {
	header := f.header
	if _, ok := f.apps[e.app]; !ok {
		header += queue.Count{App: e.app}.HeaderBytes()
	}
	return f.bytes+len(e.body) <= maxFrameBytes && header <= queue.MaxCounts
}

func (f *pendingFrame) add(e *part) {
	e.first = f.records
	f.parts = append(f.parts, e)
	f.bytes += len(e.body)
	f.records += int(e.received)
	i, ok := f.apps[e.app]
	if !ok {
		if f.apps == nil {
			f.apps = map[string]int{}
		}
		i = len(f.counts)
		f.apps[e.app] = i
		f.counts = append(f.counts, queue.Count{App: e.app})
		f.header += f.counts[i].HeaderBytes()
	}
	f.counts[i].Received += uint64(e.received)
	f.counts[i].Rejected += uint64(e.rejected)
}

// batcher merges parts into frames and publishes them.
type batcher struct {
	opts   Options
	in     chan *part
	closed chan struct{} // closed when run has ended

	unconfirmed atomic.Uint64 // frames whose outcome is not known
}

func newBatcher(opts Options) *batcher {
	return &batcher{opts: opts, in: make(chan *part), closed: make(chan struct{})}
}

// submit returns when the part's frame is durable, with its sequence and the index of the part's
// first record. If ctx is done first, the frame may still be written: e.release is called when its
// outcome is known.
func (b *batcher) submit(ctx context.Context, e *part) (frame uint64, first int, err error) {
	if len(e.body) > queue.MaxBody/2 {
		return 0, 0, fmt.Errorf("%w: the events and their problems take %d bytes", queue.ErrTooLarge, len(e.body))
	}
	e.done = make(chan struct{})
	select {
	case b.in <- e:
		e.accepted = true
	case <-b.closed:
		return 0, 0, ErrClosed
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	}
	select {
	case <-e.done:
		return e.frame, e.first, e.err
	case <-ctx.Done():
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return 0, 0, ctx.Err()
	}
	// The sender no longer waits, but the part is being published.
	<-e.done // publishing has a deadline of its own, so this does not block forever
	return e.frame, e.first, e.err
}

// run batches and publishes until ctx is done, and then until every part is answered.
func (b *batcher) run(ctx context.Context) error {
	var publishing sync.WaitGroup
	defer publishing.Wait()
	defer close(b.closed)
	slots := make(chan struct{}, maxInFlight)
	var overflow *part // did not fit into the previous frame
	for {
		var current pendingFrame
		if overflow == nil {
			select {
			case <-ctx.Done():
				return nil
			case overflow = <-b.in:
			}
		}
		current.add(overflow)
		overflow = b.collect(&current, slots)
		publishing.Go(func() {
			b.publish(current)
			<-slots
		})
	}
}

// collect adds arriving parts to a frame until the frame is closed and has a slot. While all slots
// are taken, the frame keeps growing. It returns the part that no longer fit.
func (b *batcher) collect(current *pendingFrame, slots chan struct{}) (overflow *part) {
	timer := time.NewTimer(frameWait)
	defer timer.Stop()
	due := len(slots) == 0
	for {
		in, slot := b.in, chan<- struct{}(nil)
		if due || current.bytes >= frameBytes {
			slot = slots
		}
		if overflow != nil {
			in = nil
		}
		select {
		case e := <-in:
			if !current.fits(e) {
				overflow, due = e, true
				continue
			}
			current.add(e)
		case <-timer.C:
			due = true
		case slot <- struct{}{}:
			return overflow
		}
	}
}

func (b *batcher) publish(current pendingFrame) {
	f := queue.Frame{Counts: current.counts, Body: make([]byte, 0, current.bytes)}
	for _, e := range current.parts {
		f.Body = append(f.Body, e.body...)
	}
	// This does not use a sender's context, because several senders share the frame.
	sequence, err := b.opts.Publish(context.Background(), f)
	if errors.Is(err, queue.ErrUnknown) {
		b.unconfirmed.Add(1)
	}
	if err == nil {
		received := make(map[string]int64, len(f.Counts))
		for _, c := range f.Counts {
			received[c.App] = int64(c.Received)
		}
		b.opts.Acknowledged(sequence, received)
	}
	for _, e := range current.parts {
		e.frame, e.err = sequence, err
		e.release()
		close(e.done)
	}
}
