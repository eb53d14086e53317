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
		if e.CarriedBy <= s.horizonLocked(q) && selectsEvent(q, e) {
			selected = append(selected, e)
		}
	}
	return selected
}

func (s *Store) selectRejectionsLocked(q query.Query) []*event.Rejection {
	var selected []*event.Rejection
	became := s.replayResultsLocked(s.horizonLocked(q))
	for _, r := range s.rejections {
		if r.CarriedBy <= s.horizonLocked(q) && selectsRejection(q, r) {
			c := *r
			c.Became = became[origin{r.App, r.Position}]
			if q.Replayed == nil || *q.Replayed == (c.Became != nil) {
				selected = append(selected, &c)
			}
		}
	}
	return selected
}

func selectsEvent(q query.Query, e *event.Event) bool {
	return allows(q.Apps, e.App) && allows(q.IDs, e.ID) && allows(q.SessionIDs, e.SessionID) &&
		allows(q.Categories, e.Category) && allows(q.Names, e.Name) &&
		within(q, e.OccurredAt) && matchAll(q.Where, fieldsOfEvent(e))
}

func selectsRejection(q query.Query, r *event.Rejection) bool {
	code := func(p event.Problem) bool { return slices.Contains(q.Codes, p.Code) }
	pointer := func(p event.Problem) bool { return slices.Contains(q.Pointers, p.Pointer) }
	return allows(q.Apps, r.App) && allows(q.IDs, r.ID) && allows(q.EventIDs, r.EventID) &&
		allows(q.SessionIDs, r.SessionID) && allows(q.Categories, r.Category) && allows(q.Names, r.Name) &&
		(q.Codes == nil || slices.ContainsFunc(r.Problems, code)) &&
		(q.Pointers == nil || slices.ContainsFunc(r.Problems, pointer)) &&
		within(q, r.ReceivedAt) && matchAll(q.Where, fieldsOfRejection(r))
}

// allows reports whether value is one of allowed. nil allows every value; an empty list, such as
// that of a key without applications, allows none.
func allows[T string | uuid.UUID](allowed []T, value T) bool {
	return allowed == nil || slices.Contains(allowed, value)
}

func within(q query.Query, t event.Micros) bool {
	return (q.From == nil || t >= *q.From) && (q.To == nil || t < *q.To)
}
