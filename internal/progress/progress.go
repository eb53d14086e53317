// Package progress is the one way back from the worker to those who wait: how far
// the store has come, what became of the newest arrivals, and what is
// acknowledged but not stored yet.
//
// It keeps little and only in memory; what it has forgotten is in the store.
package progress

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"theeye/internal/event"
)

// RememberedFrames is how many of the newest stored frames are remembered with
// their outcomes, and CountedFrames with their counts alone.
const (
	RememberedFrames = 1024
	CountedFrames    = 16 * 1024
)

// ErrForgotten is returned for a frame that was stored too long ago.
var ErrForgotten = errors.New("the outcome is no longer remembered")

// Outcomes are the store's decisions about the records of one frame. They take
// a byte for each record and more only for those with problems.
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

// At returns the outcome of record i; Pending when the frame has no such record.
func (o Outcomes) At(i int) event.Outcome {
	if i < 0 || i >= len(o.fates) {
		return event.Outcome{}
	}
	return event.Outcome{Fate: o.fates[i], Problems: o.problems[i]}
}

// Live is what the worker has told. All methods may be called concurrently.
type Live struct {
	mu       sync.Mutex // guards all that follows
	position uint64
	moved    chan struct{} // closed and replaced when position moves
	outcomes map[uint64]Outcomes
	stored   []uint64 // the frames in outcomes, oldest first

	acknowledged arrivals
	forgotten    uint64 // arrivals of this frame and earlier ones are no longer counted
}

// New returns a Live at a position: that of the store.
func New(position uint64) *Live {
	return &Live{
		position: position,
		moved:    make(chan struct{}),
		outcomes: map[uint64]Outcomes{},
	}
}

// Stored tells that all frames up to position are stored, and what became of
// the records of those in frames.
func (l *Live) Stored(position uint64, frames map[uint64]Outcomes) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, seq := range sortedKeys(frames) {
		l.outcomes[seq] = frames[seq]
		l.stored = append(l.stored, seq)
	}
	for len(l.stored) > RememberedFrames {
		delete(l.outcomes, l.stored[0])
		l.stored = l.stored[1:]
	}
	if position > l.position {
		l.position = position
		l.forgetLocked()
		close(l.moved)
		l.moved = make(chan struct{})
	}
}

// Restart tells that the store begins again behind position, which may be lower
// than what was told: those who wait from now on wait until it is stored again.
func (l *Live) Restart(position uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if position >= l.position {
		return
	}
	l.position = position
	l.stored = slices.DeleteFunc(l.stored, func(frame uint64) bool {
		if frame > position {
			delete(l.outcomes, frame)
		}
		return frame > position
	})
}

// Position returns the last frame that is stored.
func (l *Live) Position() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.position
}

// WaitFor returns when the frame is stored, or with the error of ctx.
func (l *Live) WaitFor(ctx context.Context, frame uint64) error {
	for {
		l.mu.Lock()
		done, moved := l.position >= frame, l.moved
		l.mu.Unlock()
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

// Outcomes waits until the frame is stored and returns what became of its
// records. Errors: ErrForgotten, and that of ctx.
func (l *Live) Outcomes(ctx context.Context, frame uint64) (Outcomes, error) {
	if err := l.WaitFor(ctx, frame); err != nil {
		return Outcomes{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	o, ok := l.outcomes[frame]
	if !ok {
		return Outcomes{}, ErrForgotten
	}
	return o, nil
}

// Acknowledged tells that a frame is durable and what it brought.
func (l *Live) Acknowledged(frame uint64, received map[string]int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acknowledged.add(frame, received)
}

// forgetLocked drops the counts of frames that were stored long ago. The newest
// are kept, because books that were read a moment ago may be behind position.
func (l *Live) forgetLocked() {
	if l.position > CountedFrames {
		l.forgotten = max(l.forgotten, l.acknowledged.forget(l.position-CountedFrames))
	}
}

// Pending returns, per application, what was acknowledged behind a position and
// is therefore not in books of that position. ok is false when the position is
// too old to be answered.
func (l *Live) Pending(position uint64) (pending map[string]int64, ok bool) {
	l.mu.Lock()
	forgotten, count := position < l.forgotten, l.acknowledged.behind(position)
	l.mu.Unlock() // the rest takes longer, and each acknowledged frame waits for it
	if forgotten {
		return nil, false
	}
	return count(), true
}

func sortedKeys(frames map[uint64]Outcomes) []uint64 {
	return slices.Sorted(maps.Keys(frames))
}
