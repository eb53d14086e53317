package memory

import (
	"context"
	"slices"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// Events returns a page of events; see store.Reader.
func (s *Store) Events(ctx context.Context, q query.Query) (store.Page[event.Event], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	compare := func(a, b *event.Event) int { return a.Key().Compare(b.Key()) }
	behind := func(e *event.Event) int { return e.Key().Compare(q.After.Key) }
	if q.Descending {
		compare = func(a, b *event.Event) int { return b.Key().Compare(a.Key()) }
		behind = func(e *event.Event) int { return q.After.Key.Compare(e.Key()) }
	}
	selected := s.selectEventsLocked(q)
	slices.SortFunc(selected, compare)
	page := cut(selected, q, behind, copyEvent, (*event.Event).Size)
	page.Horizon = s.horizonLocked(q)
	return page, ctx.Err()
}

// Count counts events; see store.Reader.
func (s *Store) Count(ctx context.Context, q query.Query) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(len(s.selectEventsLocked(q))), ctx.Err()
}

// Rejections returns a page of rejections; see store.Reader.
func (s *Store) Rejections(ctx context.Context, q query.Query) (store.Page[event.Rejection], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	compare := func(a, b *event.Rejection) int { return keyOf(a).Compare(keyOf(b)) }
	behind := func(r *event.Rejection) int { return keyOf(r).Compare(q.After.Key) }
	if q.Descending {
		compare = func(a, b *event.Rejection) int { return keyOf(b).Compare(keyOf(a)) }
		behind = func(r *event.Rejection) int { return q.After.Key.Compare(keyOf(r)) }
	}
	selected := s.selectRejectionsLocked(q)
	slices.SortFunc(selected, compare)
	page := cut(selected, q, behind, copyRejection, (*event.Rejection).Size)
	page.Horizon = s.horizonLocked(q)
	return page, ctx.Err()
}

// keyOf returns the place of a rejection in lists of rejections.
func keyOf(r *event.Rejection) event.Key {
	return event.Key{OccurredAt: r.ReceivedAt, Position: r.Position}
}

// cut returns the page of a sorted list that begins behind q.After: with the
// first item for which behind is positive.
func cut[T any](items []*T, q query.Query, behind func(*T) int, copied func(*T) *T, size func(*T) int) store.Page[T] {
	page := store.NewPager(q, size)
	for _, item := range items {
		if q.After != nil && behind(item) <= 0 {
			continue
		}
		if !page.Add(*copied(item)) {
			break
		}
	}
	return page.Page(0)
}
