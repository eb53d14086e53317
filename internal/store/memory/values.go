package memory

import (
	"cmp"
	"context"
	"slices"

	"theeye/internal/query"
	"theeye/internal/store"
)

// Values returns the most frequent values of a field; see store.Reader.
func (s *Store) Values(ctx context.Context, q query.Query, f query.Field) (store.Values, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := map[string]int64{}
	for _, e := range s.selectEventsLocked(q) {
		for _, v := range fieldsOfEvent(e)(f) {
			if v.kind != jsonNull {
				counts[v.text]++
			}
		}
	}
	var sorted []store.Value
	for text, n := range counts {
		sorted = append(sorted, store.Value{Value: text, Count: n})
	}
	slices.SortFunc(sorted, func(a, b store.Value) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value))
	})
	top := store.NewPager(q, (*store.Value).Size)
	top.AddAll(sorted)
	var other int64
	for _, v := range sorted[len(top.Items):] {
		other += v.Count
	}
	return store.Values{Top: top.Items, Other: other}, ctx.Err()
}
