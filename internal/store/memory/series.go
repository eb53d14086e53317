package memory

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// Series implements store.Reader. A MaxPoints of 0 is no bound.
func (s *Store) Series(ctx context.Context, q query.Query, by store.Series) ([]store.Point, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	steps := by.Steps()
	if steps.Width == 0 {
		return nil, fmt.Errorf("interval %q does not exist", by.Interval)
	}
	counts := map[store.Point]int64{} // by point, with a Count of 0
	add := func(group string, at event.Micros) {
		counts[store.Point{Group: group, At: steps.Begin(at)}]++
	}
	if by.Group == store.ByStatus {
		for _, a := range s.arrivals {
			if a.record.CarriedBy() <= s.horizonLocked(q) && selectsArrival(q, a.record) {
				add(a.outcome.Fate.String(), a.record.ReceivedAt())
			}
		}
	} else {
		for _, e := range s.selectEventsLocked(q) {
			add(groupOf(e, by.Group), e.OccurredAt)
		}
	}
	if by.MaxPoints > 0 && len(counts) > by.MaxPoints {
		return nil, fmt.Errorf("%d points of at most %d; narrow the time or take a wider interval: %w",
			len(counts), by.MaxPoints, store.ErrTooWide)
	}
	var points []store.Point
	for p, n := range counts {
		p.Count = n
		points = append(points, p)
	}
	slices.SortFunc(points, func(a, b store.Point) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.At, b.At))
	})
	return points, ctx.Err()
}

func groupOf(e *event.Event, g store.Group) string {
	switch g {
	case store.ByCategory:
		return e.Category
	case store.ByName:
		return e.Name
	case store.ByApp:
		return e.App
	}
	return ""
}

// selectsArrival reports whether q selects an arrival by when it was received.
func selectsArrival(q query.Query, r event.Record) bool {
	if r.Rejection != nil {
		return q.SelectsRejection(r.Rejection)
	}
	if r.Erased != nil {
		r.Event = &event.Event{App: r.Erased.App, ID: r.Erased.EventID, ReceivedAt: r.Erased.ReceivedAt, Position: r.Erased.Position, CarriedBy: r.Erased.CarriedBy}
	}
	received := *r.Event
	received.OccurredAt = received.ReceivedAt
	return q.SelectsEvent(&received)
}
