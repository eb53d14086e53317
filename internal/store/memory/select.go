package memory

import (
	"slices"

	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/query"
)

// horizonLocked returns the last frame whose arrivals a query sees.
func (s *Store) horizonLocked(q query.Query) uint64 {
	if q.Horizon == 0 {
		return s.position
	}
	return q.Horizon
}

// selectEventsLocked returns the events that q selects, in no order. Limit and After do not matter.
func (s *Store) selectEventsLocked(q query.Query) []*event.Event {
	var selected []*event.Event
	for _, e := range s.events {
		if e.CarriedBy <= s.horizonLocked(q) && q.SelectsEvent(e) {
			selected = append(selected, e)
		}
	}
	return selected
}

func (s *Store) selectRejectionsLocked(q query.Query) []*event.Rejection {
	var selected []*event.Rejection
	became := s.replayResultsLocked(s.horizonLocked(q))
	for _, r := range s.rejections {
		if r.CarriedBy <= s.horizonLocked(q) && q.SelectsRejection(r) {
			c := *r
			c.Became = became[origin{r.App, r.Position}]
			if q.Replayed == nil || *q.Replayed == (c.Became != nil) {
				selected = append(selected, &c)
			}
		}
	}
	return selected
}

// allows reports whether value is one of allowed. nil allows every value; an empty list, such as
// that of a key without applications, allows none.
func allows[T string | uuid.UUID](allowed []T, value T) bool {
	return allowed == nil || slices.Contains(allowed, value)
}
