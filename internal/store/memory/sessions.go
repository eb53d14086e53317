package memory

import (
	"cmp"
	"context"
	"slices"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// Sessions implements store.Reader.
func (s *Store) Sessions(ctx context.Context, q query.Query) (store.Page[store.Session], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	whole := s.selectEventsLocked(query.Query{Apps: q.Apps, Horizon: q.Horizon})
	events := map[string][]*event.Event{}
	for _, e := range whole {
		events[e.SessionID] = append(events[e.SessionID], e)
	}
	listed := map[string]bool{}
	var sessions []*store.Session
	for _, e := range s.selectEventsLocked(q) {
		if !listed[e.SessionID] {
			listed[e.SessionID] = true
			sessions = append(sessions, summary(events[e.SessionID]))
		}
	}
	compare := func(a, b *store.Session) int {
		return cmp.Or(cmp.Compare(b.StartedAt, a.StartedAt), cmp.Compare(a.ID, b.ID))
	}
	slices.SortFunc(sessions, compare)
	after := func(x *store.Session) int {
		return compare(x, &store.Session{ID: q.After.SessionID, StartedAt: q.After.Key.OccurredAt})
	}
	if q.After == nil {
		after = nil
	}
	same := func(x *store.Session) *store.Session { return x }
	return paginate(sessions, after, same, store.NewPager(q, (*store.Session).Size)).Page(s.horizonLocked(q)), ctx.Err()
}

// summary summarises the events of one session, of which there is at least one.
func summary(events []*event.Event) *store.Session {
	first := events[0]
	x := &store.Session{ID: first.SessionID, StartedAt: first.OccurredAt, EndedAt: first.OccurredAt}
	for _, e := range events {
		x.StartedAt = min(x.StartedAt, e.OccurredAt)
		x.EndedAt = max(x.EndedAt, e.OccurredAt)
		x.Events++
		if !slices.Contains(x.Apps, e.App) {
			x.Apps = append(x.Apps, e.App)
		}
	}
	slices.Sort(x.Apps)
	return x
}
