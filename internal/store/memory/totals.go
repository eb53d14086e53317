package memory

import (
	"context"
	"slices"

	"github.com/go-json-experiment/json"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// SessionEnds implements store.Reader.
func (s *Store) SessionEnds(ctx context.Context, q query.Query, sessions []store.Session) ([]store.SessionEnds, error) {
	ends := make([]store.SessionEnds, len(sessions))
	for i, x := range sessions {
		of := query.Query{Apps: q.Apps, SessionIDs: []string{x.ID}, Horizon: q.Horizon}
		if err := s.endsOf(ctx, of, &ends[i]); err != nil {
			return nil, err
		}
	}
	return ends, nil
}

func (s *Store) endsOf(ctx context.Context, q query.Query, ends *store.SessionEnds) error {
	s.mu.Lock()
	events := s.selectEventsLocked(q)
	s.mu.Unlock()
	if len(events) > 0 {
		compare := func(a, b *event.Event) int { return a.Key().Compare(b.Key()) }
		ends.First, ends.Last = endOf(slices.MinFunc(events, compare)), endOf(slices.MaxFunc(events, compare))
	}
	open := false
	q.Replayed, q.Limit = &open, query.MaxLimit
	for {
		page, err := s.Rejections(ctx, q)
		if err != nil {
			return err
		}
		ends.Rejections += int64(len(page.Items))
		if !page.More {
			return nil
		}
		after := query.AfterRejection(&page.Items[len(page.Items)-1])
		q.After = &after
	}
}

func endOf(e *event.Event) store.SessionEnd {
	end := store.SessionEnd{Category: e.Category, Name: e.Name}
	var data struct {
		Path any `json:"path"`
	}
	if json.Unmarshal(e.Data, &data) == nil {
		text, _ := data.Path.(string)
		path := []rune(text)
		end.Path = string(path[:min(len(path), store.MaxEndPath)])
	}
	return end
}

// Totals implements store.Reader.
func (s *Store) Totals(ctx context.Context, q query.Query) (store.Totals, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := store.Totals{Events: int64(len(s.selectEventsLocked(q)))}
	for _, a := range s.arrivals {
		if a.outcome.Fate == event.Rejected && !a.record.IsReplay() && a.record.CarriedBy() <= s.horizonLocked(q) && selectsArrival(q, a.record) {
			t.Rejected++
		}
	}
	starts := map[string]event.Micros{}
	for _, e := range s.selectEventsLocked(query.Query{Apps: q.Apps, Horizon: q.Horizon}) {
		if at, ok := starts[e.SessionID]; !ok || e.OccurredAt < at {
			starts[e.SessionID] = e.OccurredAt
		}
	}
	for _, at := range starts {
		if at >= *q.From && at < *q.To {
			t.Sessions++
		}
	}
	return t, ctx.Err()
}
