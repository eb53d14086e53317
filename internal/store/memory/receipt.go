package memory

import (
	"cmp"
	"context"
	"slices"

	"theeye/internal/query"
	"theeye/internal/store"
)

// Receipt returns the newest arrivals of some events; see store.Reader. Newest
// is what the latest frame carried, so that a replay, which keeps its first
// position, stands before what it replays.
func (s *Store) Receipt(ctx context.Context, q query.Query, limit int) ([]store.Arrival, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []arrival
	for _, a := range s.arrivals {
		if carriedBy(a.record) <= s.horizonLocked(q) && among(q.Apps, a.record.App()) &&
			slices.Contains(q.IDs, line(a).EventID) {
			found = append(found, a)
		}
	}
	slices.SortFunc(found, func(a, b arrival) int {
		return cmp.Or(cmp.Compare(carriedBy(b.record), carriedBy(a.record)),
			b.record.Position().Compare(a.record.Position()))
	})
	var lines []store.Arrival
	for _, a := range found[:min(len(found), limit)] {
		lines = append(lines, line(a))
	}
	return lines, ctx.Err()
}

func line(a arrival) store.Arrival {
	l := store.Arrival{
		App:        a.record.App(),
		Position:   a.record.Position(),
		CarriedBy:  carriedBy(a.record),
		ReceivedAt: receivedAt(a.record),
		Fate:       a.outcome.Fate,
		Problems:   copyProblems(a.outcome.Problems),
	}
	if e := a.record.Event; e != nil {
		l.EventID, l.ClientID = e.ID, e.ClientID
	}
	if r := a.record.Rejection; r != nil {
		l.EventID, l.ClientID = r.EventID, r.ClientID
	}
	return l
}
