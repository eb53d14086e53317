package memory

import (
	"context"
	"slices"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// Events implements store.Reader.
func (s *Store) Events(ctx context.Context, q query.Query) (store.Page[event.Event], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	compare := func(a, b *event.Event) int { return a.Key().Compare(b.Key()) }
	after := func(e *event.Event) int { return e.Key().Compare(q.After.Key) }
	if q.Descending {
		compare = func(a, b *event.Event) int { return b.Key().Compare(a.Key()) }
		after = func(e *event.Event) int { return q.After.Key.Compare(e.Key()) }
	}
	selected := s.selectEventsLocked(q)
	slices.SortFunc(selected, compare)
	if q.After == nil {
		after = nil
	}
	copied := copyEvent
	if q.Bare {
		copied = func(e *event.Event) *event.Event {
			c := copyEvent(e)
			c.Data = nil
			return c
		}
	}
	return paginate(selected, after, copied, store.NewPager(q, (*event.Event).Size)).Page(s.horizonLocked(q)), ctx.Err()
}

// Count implements store.Reader.
func (s *Store) Count(ctx context.Context, q query.Query) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(len(s.selectEventsLocked(q))), ctx.Err()
}

// Rejections implements store.Reader.
func (s *Store) Rejections(ctx context.Context, q query.Query) (store.Page[event.Rejection], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	compare := func(a, b *event.Rejection) int { return keyOf(a).Compare(keyOf(b)) }
	after := func(r *event.Rejection) int { return keyOf(r).Compare(q.After.Key) }
	if q.Descending {
		compare = func(a, b *event.Rejection) int { return keyOf(b).Compare(keyOf(a)) }
		after = func(r *event.Rejection) int { return q.After.Key.Compare(keyOf(r)) }
	}
	selected := s.selectRejectionsLocked(q)
	slices.SortFunc(selected, compare)
	if q.After == nil {
		after = nil
	}
	return paginate(selected, after, copyRejection, store.NewPager(q, (*event.Rejection).Size)).Page(s.horizonLocked(q)), ctx.Err()
}

// keyOf returns the key by which rejections are ordered.
func keyOf(r *event.Rejection) event.Key {
	return event.Key{OccurredAt: r.ReceivedAt, Position: r.Position}
}

// paginate fills a page with the items of a sorted list for which after is positive; nil means all
// of them.
func paginate[T any](items []*T, after func(*T) int, copied func(*T) *T, page *store.Pager[T]) *store.Pager[T] {
	for _, item := range items {
		if after != nil && after(item) <= 0 {
			continue
		}
		if !page.Add(*copied(item)) {
			break
		}
	}
	return page
}
