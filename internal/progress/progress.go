// Package progress tracks how far the store has come, the outcomes of the newest arrivals, and what
// is acknowledged but not stored yet. Through it, the worker notifies callers that wait.
//
// It keeps a bounded number of outcomes, in memory only. Earlier ones are in the store.
package progress

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"theeye/internal/event"
)

// RememberedFrames is the number of newest stored frames whose outcomes are remembered, and
// CountedFrames the number of those whose counts are.
const (
	RememberedFrames = 1024
	CountedFrames    = 16 * 1024
)

// ErrForgotten is returned for a frame that was stored too long ago.
var ErrForgotten = errors.New("the outcome is no longer remembered")

// Outcomes are the store's decisions about the records of one frame. They take a byte for each
// record, and more for records with problems.
type Outcomes struct {
	fates    []event.Fate
	problems map[int][]event.Problem
}

// Pack makes Outcomes of a list.
func Pack(list []event.Outcome) Outcomes {
	o := Outcomes{fates: make([]event.Fate, len(list))}
	for i, outcome := range list {
		o.fates[i] = outcome.Fate
		if len(outcome.Problems) > 0 {
			if o.problems == nil {
				o.problems = map[int][]event.Problem{}
			}
			o.problems[i] = outcome.Problems
		}
	}
	return o
}

// At returns the outcome of record i, Pending if the frame has no such record.
func (o Outcomes) At(i int) event.Outcome {
	if i < 0 || i >= len(o.fates) {
		return event.Outcome{}
	}
	return event.Outcome{Fate: o.fates[i], Problems: o.problems[i]}
}

// Tracker holds what intake and worker have reported. All methods may be called concurrently.
type Tracker struct {
	mu       sync.Mutex // guards the fields below
	position uint64
	moved    chan struct{} // closed and replaced when position moves
	outcomes map[uint64]Outcomes
	order    []uint64 // the frames in outcomes, oldest first

	acknowledged arrivals
	arrived      map[string]time.Time // when something of an application was last acknowledged
	forgotten    uint64               // arrivals of this frame and earlier ones are no longer counted
}

// New returns a tracker at the position of the store.
func New(position uint64) *Tracker {
	return &Tracker{
		position: position,
		moved:    make(chan struct{}),
		outcomes: map[uint64]Outcomes{},
		arrived:  map[string]time.Time{},
	}
}

// MarkStored reports that all frames up to position are stored, and what became of the records of
// those in frames.
func (t *Tracker) MarkStored(position uint64, frames map[uint64]Outcomes) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, seq := range sortedKeys(frames) {
		t.outcomes[seq] = frames[seq]
		t.order = append(t.order, seq)
	}
	for len(t.order) > RememberedFrames {
		delete(t.outcomes, t.order[0])
		t.order = t.order[1:]
	}
	if position > t.position {
		t.position = position
		t.forgetLocked()
		close(t.moved)
		t.moved = make(chan struct{})
	}
}

// Rewind reports that the store begins again after position, which may be lower than what was
// reported before. Callers that wait for a frame after position wait until it is stored again.
func (t *Tracker) Rewind(position uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if position >= t.position {
		return
	}
	t.position = position
	t.order = slices.DeleteFunc(t.order, func(frame uint64) bool {
		if frame > position {
			delete(t.outcomes, frame)
		}
		return frame > position
	})
}

// Position returns the last frame that is stored.
func (t *Tracker) Position() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.position
}

// WaitFor returns when the frame is stored, or with the error of ctx.
func (t *Tracker) WaitFor(ctx context.Context, frame uint64) error {
	for {
		t.mu.Lock()
		done, moved := t.position >= frame, t.moved
		t.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
		}
	}
}

// Outcomes waits until the frame is stored and returns the outcomes of its records. The error is
// ErrForgotten or that of ctx.
func (t *Tracker) Outcomes(ctx context.Context, frame uint64) (Outcomes, error) {
	if err := t.WaitFor(ctx, frame); err != nil {
		return Outcomes{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	o, ok := t.outcomes[frame]
	if !ok {
		return Outcomes{}, ErrForgotten
	}
	return o, nil
}

// MarkAcknowledged reports that a frame is durable, and its arrivals by application.
func (t *Tracker) MarkAcknowledged(frame uint64, received map[string]int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.acknowledged.add(frame, received)
	for app, n := range received {
		if n > 0 {
			t.arrived[app] = time.Now()
		}
	}
}

// LastArrival returns when something of an application was last acknowledged since the start, or the
// zero value.
func (t *Tracker) LastArrival(app string) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.arrived[app]
}

// forgetLocked drops the counts of frames that were stored long ago. It keeps the newest, because
// books that were read a moment ago may be older than position.
func (t *Tracker) forgetLocked() {
	if t.position > CountedFrames {
		t.forgotten = max(t.forgotten, t.acknowledged.forget(t.position-CountedFrames))
	}
}

// Pending returns, by application, what was acknowledged after a position and is therefore not in
// books of that position. ok is false when the position is too old.
func (t *Tracker) Pending(position uint64) (pending map[string]int64, ok bool) {
	t.mu.Lock()
	forgotten, count := position < t.forgotten, t.acknowledged.after(position)
	t.mu.Unlock() // the rest takes longer, and each acknowledged frame waits for it
	if forgotten {
		return nil, false
	}
	return count(), true
}

func sortedKeys(frames map[uint64]Outcomes) []uint64 {
	return slices.Sorted(maps.Keys(frames))
}
