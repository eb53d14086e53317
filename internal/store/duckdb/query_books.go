package duckdb

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"

	"theeye/internal/query"
	"theeye/internal/store"
)

// Books implements store.Reader. All rows were counted when they were written. A replayed arrival was received only once: a replay moves the count of its
// rejection to the fate of the replay, unless it is rejected again.
func (s *Store) Books(ctx context.Context, apps []string) (store.Books, error) {
	return queryWithRecovery(ctx, s, query.Query{Apps: apps}, func(p *pinned, q query.Query) (store.Books, error) {
		return p.books(ctx, q)
	})
}

func (p *pinned) books(ctx context.Context, q query.Query) (store.Books, error) {
	if err := ctx.Err(); err != nil {
		return store.Books{}, err
	}
	apps, counts := q.Apps, map[string]Counts{}
	add := func(all iter.Seq2[string, Counts]) {
		for app, n := range all {
			if apps == nil || slices.Contains(apps, app) {
				c := counts[app]
				c.addAll(n)
				counts[app] = c
			}
		}
	}
	for _, frozen := range p.tables.memtables[:len(p.tables.memtables)-1] {
		add(frozen.fates.all())
	}
	add(p.fates.all())
	add(maps.All(p.manifest.Removed))
	for _, seg := range p.tables.segments {
		add(maps.All(seg.info.Apps))
	}
	if p.replayed() {
		if err := p.moveReplayed(ctx, q, counts); err != nil {
			return store.Books{}, err
		}
	}
	return store.Books{Position: p.position, Accounts: p.accounts(counts, apps)}, nil
}

// accounts combines what was counted with what was received.
func (p *pinned) accounts(counts map[string]Counts, apps []string) []store.Account {
	byApp := map[string]store.Account{}
	for app, n := range counts {
		byApp[app] = store.Account{
			App: app, Stored: n.Stored, Rejected: n.Rejected, Duplicate: n.Duplicate, Erased: n.Erased, Expired: n.Expired,
		}
	}
	lost := p.manifest.lost()
	for app, n := range p.arrivals.all() {
		if apps == nil || slices.Contains(apps, app) {
			a := byApp[app]
			a.App, a.Received, a.Lost = app, n.Received, n.Lost+lost[app]
			byApp[app] = a
		}
	}
	return slices.SortedFunc(maps.Values(byApp), func(a, b store.Account) int { return strings.Compare(a.App, b.App) })
}
