package memory

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/store"
)

// Write implements store.Writer.
func (s *Store) Write(ctx context.Context, b store.Batch) ([]event.Outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if b.First == 0 || b.First > b.Last {
		return nil, fmt.Errorf("frames %d to %d: %w", b.First, b.Last, store.ErrOutOfOrder)
	}
	if b.Last <= s.position {
		return s.previousOutcomesLocked(b)
	}
	if b.First <= s.position {
		return nil, fmt.Errorf("frames %d to %d behind position %d: %w", b.First, b.Last, s.position, store.ErrOutOfOrder)
	}
	outcomes := make([]event.Outcome, 0, len(b.Records))
	for _, r := range b.Records {
		outcome := s.decideLocked(r)
		outcomes = append(outcomes, outcome)
		frame := r.CarriedBy()
		s.outcomes[frame] = append(s.outcomes[frame], outcome)
	}
	for app, a := range b.Arrivals {
		s.counts[app] = s.counts[app].Add(a)
	}
	s.position = b.Last
	return copyOutcomes(outcomes), nil
}

// previousOutcomesLocked returns the outcomes of frames that were written before. It goes by frame,
// so that the same frames may be written again in other batches.
func (s *Store) previousOutcomesLocked(b store.Batch) ([]event.Outcome, error) {
	outcomes := make([]event.Outcome, 0, len(b.Records))
	seen := map[uint64]int{} // records of a frame
	for _, r := range b.Records {
		frame := r.CarriedBy()
		if seen[frame] == len(s.outcomes[frame]) {
			return nil, fmt.Errorf("frame %d came with fewer records before", frame)
		}
		outcomes = append(outcomes, s.outcomes[frame][seen[frame]])
		seen[frame]++
	}
	return copyOutcomes(outcomes), nil
}

// decideLocked decides the fate of a record and stores what is to be stored.
func (s *Store) decideLocked(r event.Record) event.Outcome {
	r = copyRecord(r)
	former, _ := r.Former()
	switch { // the former id is not stored
	case r.Event != nil:
		r.Event.FormerID = uuid.UUID{}
	case r.Rejection != nil:
		r.Rejection.FormerID = uuid.UUID{}
	}
	var outcome event.Outcome
	switch {
	case former.Event != nil && s.isDuplicateLocked(former.Event):
		outcome = event.Outcome{Fate: event.Duplicate}
	case former.Rejection != nil && s.rejections[former.Rejection.ID] != nil:
		outcome = event.DecideRejection(r.Rejection, true)
	case r.Event != nil:
		outcome = s.decideEventLocked(r.Event)
	case r.Rejection != nil:
		outcome = s.rejectLocked(r.Rejection)
	default:
		outcome = event.Outcome{Fate: event.Erased}
	}
	s.arrivals = append(s.arrivals, arrival{r, outcome})
	return outcome
}

// isDuplicateLocked reports whether an event with the same id and the same body is stored.
func (s *Store) isDuplicateLocked(e *event.Event) bool {
	return event.MatchOf(s.events[eventKey{e.App, e.ID}], e) == event.Repeated
}

func (s *Store) decideEventLocked(e *event.Event) event.Outcome {
	key := eventKey{e.App, e.ID}
	outcome, conflict := event.Decide(e, event.MatchOf(s.events[key], e))
	switch {
	case conflict != nil:
		return s.rejectLocked(conflict)
	case outcome.Fate == event.Stored:
		s.events[key] = e
	}
	return outcome
}

func (s *Store) rejectLocked(r *event.Rejection) event.Outcome {
	_, kept := s.rejections[r.ID]
	if !kept {
		s.rejections[r.ID] = r
	}
	return event.DecideRejection(r, kept)
}
