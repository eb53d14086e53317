package memory

import (
	"cmp"
	"context"
	"slices"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// RejectionSummary implements store.Reader.
func (s *Store) RejectionSummary(ctx context.Context, q query.Query, parts int) ([]store.RejectionGroup, error) {
	if err := store.CheckParts(q, parts); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	selected := s.selectRejectionsLocked(q)
	slices.SortFunc(selected, func(a, b *event.Rejection) int { return keyOf(a).Compare(keyOf(b)) })
	type name struct{ app, category, name, code, pointer string }
	groups := map[name]*store.RejectionGroup{}
	for _, r := range selected {
		for _, p := range r.Problems {
			n := name{r.App, r.Category, r.Name, p.Code, p.Pointer}
			g := groups[n]
			if g == nil {
				g = &store.RejectionGroup{App: n.app, Category: n.category, Name: n.name,
					Code: n.code, Pointer: n.pointer, FirstSeen: r.ReceivedAt}
				if parts > 0 {
					g.Parts = make([]int64, parts)
				}
				groups[n] = g
			}
			g.Count++
			if parts > 0 {
				g.Parts[(r.ReceivedAt-*q.From)/store.PartWidth(*q.From, *q.To, parts)]++
			}
			g.LastSeen, g.Example, g.Message = r.ReceivedAt, r.ID, p.Message // r is the newest so far
		}
	}
	var sorted []store.RejectionGroup
	for _, g := range groups {
		sorted = append(sorted, *g)
	}
	slices.SortFunc(sorted, func(a, b store.RejectionGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.App, b.App),
			cmp.Compare(a.Category, b.Category), cmp.Compare(a.Name, b.Name),
			cmp.Compare(a.Code, b.Code), cmp.Compare(a.Pointer, b.Pointer))
	})
	page := store.NewPager(q, (*store.RejectionGroup).Size)
	page.AddAll(sorted)
	return page.Items, ctx.Err()
}
