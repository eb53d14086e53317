package memory

import (
	"cmp"
	"context"
	"slices"

	"theeye/internal/event"
	"theeye/internal/store"
)

// Books implements store.Reader.
func (s *Store) Books(ctx context.Context, apps []string) (store.Books, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	accounts := map[string]*store.Account{}
	account := func(app string) *store.Account {
		if accounts[app] == nil {
			accounts[app] = &store.Account{App: app}
		}
		return accounts[app]
	}
	for app, n := range s.counts {
		account(app).Received = n.Received
		account(app).Lost = n.Lost
	}
	for first, fate := range s.fatesLocked() {
		switch a := account(first.app); fate {
		case event.Stored:
			a.Stored++
		case event.Rejected:
			a.Rejected++
		case event.Duplicate:
			a.Duplicate++
		}
	}
	books := store.Books{Position: s.position}
	for app, a := range accounts {
		if allows(apps, app) {
			books.Accounts = append(books.Accounts, *a)
		}
	}
	slices.SortFunc(books.Accounts, func(a, b store.Account) int { return cmp.Compare(a.App, b.App) })
	return books, ctx.Err()
}

// origin is the place where an arrival was first received.
type origin struct {
	app      string
	position event.Position
}

func originOf(r event.Record) origin { return origin{r.App(), r.Position()} }

// replayResultsLocked returns the results of the replays of rejections up to a frame, by the origin
// of the rejection.
func (s *Store) replayResultsLocked(horizon uint64) map[origin]*event.Became {
	became := map[origin]*event.Became{}
	for _, a := range s.arrivals {
		frame := a.record.CarriedBy()
		if a.record.IsReplay() && frame <= horizon && len(a.outcome.Problems) == 0 && became[originOf(a.record)] == nil {
			became[originOf(a.record)] = &event.Became{Fate: a.outcome.Fate, Frame: frame}
		}
	}
	return became
}

// fatesLocked returns the fate of each first arrival. A replay was received once only: it moves its
// rejection to stored or duplicate, or leaves it rejected when it is rejected again.
func (s *Store) fatesLocked() map[origin]event.Fate {
	fates := map[origin]event.Fate{}
	for _, a := range s.arrivals {
		at := originOf(a.record)
		switch before, known := fates[at]; {
		case !a.record.IsReplay(), !known:
			fates[at] = a.outcome.Fate
		case before == event.Rejected && len(a.outcome.Problems) == 0:
			fates[at] = a.outcome.Fate
		}
	}
	return fates
}
