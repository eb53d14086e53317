package memory

import (
	"cmp"
	"context"
	"slices"

	"theeye/internal/query"
	"theeye/internal/store"
)

// Values implements store.Reader.
func (s *Store) Values(ctx context.Context, q query.Query, f query.Field) (store.Values, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := map[query.Value]int64{}
	for _, e := range s.selectEventsLocked(q) {
		for _, v := range query.CountedIn(e, f) {
			counts[v]++
		}
	}
	var sorted []store.Value
	for v, n := range counts {
		sorted = append(sorted, store.Value{Type: v.Type, Value: v.Text, Count: n})
	}
	slices.SortFunc(sorted, func(a, b store.Value) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value), cmp.Compare(a.Type, b.Type))
	})
	top := store.NewPager(q, (*store.Value).Size)
	top.AddAll(sorted)
	var other int64
	for _, v := range sorted[len(top.Items):] {
		other += v.Count
	}
	return store.Values{Top: top.Items, Other: other}, ctx.Err()
}
