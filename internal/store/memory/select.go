package memory

import (
	"slices"

	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/query"
)

// horizonLocked returns the last frame whose arrivals the query sees.
func (s *Store) horizonLocked(q query.Query) uint64 {
	if q.Horizon == 0 {
		return s.position
	}
	return q.Horizon
}

// selectEventsLocked returns the events that q selects, in no order. Limit and
// After do not matter.
func (s *Store) selectEventsLocked(q query.Query) []*event.Event {
	var selected []*event.Event
	for _, e := range s.events {
		if e.CarriedBy <= s.horizonLocked(q) && selectsEvent(q, e) {
			selected = append(selected, e)
		}
	}
	return selected
}

func (s *Store) selectRejectionsLocked(q query.Query) []*event.Rejection {
	var selected []*event.Rejection
	became := s.becameLocked(s.horizonLocked(q))
	for _, r := range s.refused {
		if r.CarriedBy <= s.horizonLocked(q) && selectsRejection(q, r) {
			c := *r
			c.Became = became[place{r.App, r.Position}]
			if q.Replayed == nil || *q.Replayed == (c.Became != nil) {
				selected = append(selected, &c)
			}
		}
	}
	return selected
}

func selectsEvent(q query.Query, e *event.Event) bool {
	return among(q.Apps, e.App) && among(q.IDs, e.ID) && among(q.SessionIDs, e.SessionID) &&
		among(q.Categories, e.Category) && among(q.Names, e.Name) &&
		within(q, e.OccurredAt) && holdAll(q.Where, fieldsOfEvent(e))
}

func selectsRejection(q query.Query, r *event.Rejection) bool {
	code := func(p event.Problem) bool { return slices.Contains(q.Codes, p.Code) }
	pointer := func(p event.Problem) bool { return slices.Contains(q.Pointers, p.Pointer) }
	return among(q.Apps, r.App) && among(q.IDs, r.ID) && among(q.EventIDs, r.EventID) &&
		among(q.SessionIDs, r.SessionID) && among(q.Categories, r.Category) && among(q.Names, r.Name) &&
		(q.Codes == nil || slices.ContainsFunc(r.Problems, code)) &&
		(q.Pointers == nil || slices.ContainsFunc(r.Problems, pointer)) &&
		within(q, r.ReceivedAt) && holdAll(q.Where, fieldsOfRejection(r))
}

// among reports whether value is one of allowed. What is not set allows every
// value, but the empty list none: it is what a key without applications sees.
func among[T string | uuid.UUID](allowed []T, value T) bool {
	return allowed == nil || slices.Contains(allowed, value)
}

func within(q query.Query, t event.Micros) bool {
	return (q.From == nil || t >= *q.From) && (q.To == nil || t < *q.To)
}
