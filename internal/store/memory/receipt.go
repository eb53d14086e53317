package memory

import (
	"cmp"
	"context"
	"slices"

	"theeye/internal/query"
	"theeye/internal/store"
)

// Receipt implements store.Reader. The newest arrivals are those that the latest frame carried, so
// a replay, which keeps its position, comes before what it replays.
func (s *Store) Receipt(ctx context.Context, q query.Query, limit int) ([]store.Arrival, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []arrival
	for _, a := range s.arrivals {
		if a.record.CarriedBy() <= s.horizonLocked(q) && allows(q.Apps, a.record.App()) &&
			slices.Contains(q.IDs, receiptLine(a).EventID) {
			found = append(found, a)
		}
	}
	slices.SortFunc(found, func(a, b arrival) int {
		return cmp.Or(cmp.Compare(b.record.CarriedBy(), a.record.CarriedBy()),
			b.record.Position().Compare(a.record.Position()))
	})
	q.Limit = limit
	lines := store.NewPager(q, (*store.Arrival).Size)
	for _, a := range found {
		if !lines.Add(receiptLine(a)) {
			break
		}
	}
	return lines.Items, ctx.Err()
}

func receiptLine(a arrival) store.Arrival {
	return store.Arrival{
		App:        a.record.App(),
		EventID:    a.record.EventID(),
		ClientID:   a.record.ClientID(),
		Position:   a.record.Position(),
		CarriedBy:  a.record.CarriedBy(),
		ReceivedAt: a.record.ReceivedAt(),
		Fate:       a.outcome.Fate,
		Problems:   copyProblems(a.outcome.Problems),
	}
}
