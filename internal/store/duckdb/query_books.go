package duckdb

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// Books implements store.Reader. The rows of segments were counted when these were written; hot
// rows are counted now. A replayed arrival was received only once: a replay moves the count of its
// rejection to the fate of the replay, unless it is rejected again.
func (s *Store) Books(ctx context.Context, apps []string) (store.Books, error) {
	return queryWithRecovery(ctx, s, query.Query{Apps: apps}, func(p *pinned, q query.Query) (store.Books, error) {
		return p.books(ctx, q)
	})
}

func (p *pinned) books(ctx context.Context, q query.Query) (store.Books, error) {
	apps := q.Apps
	counts, err := p.hotCounts(ctx, q)
	if err != nil {
		return store.Books{}, err
	}
	for app, n := range p.manifest.Removed {
		if apps == nil || slices.Contains(apps, app) {
			c := counts[app]
			c.addAll(n)
			counts[app] = c
		}
	}
	for _, seg := range p.tables.segments {
		for app, n := range seg.info.Apps {
			if apps == nil || slices.Contains(apps, app) {
				c := counts[app]
				c.addAll(n)
				counts[app] = c
			}
		}
	}
	if p.replayed() {
		if err := p.moveReplayed(ctx, q, counts); err != nil {
			return store.Books{}, err
		}
	}
	return store.Books{Position: p.position, Accounts: p.accounts(counts, apps)}, nil
}

// addCounts adds the rows of a query: application, fate and number.
func (p *pinned) addCounts(ctx context.Context, q statement, counts map[string]Counts) error {
	_, err := queryAll(ctx, p.store, q, func(scan scanner) (none struct{}, err error) {
		var app string
		var fate event.Fate
		var n int64
		if err := scan(&app, &fate, &n); err != nil {
			return none, err
		}
		c := counts[app]
		c.add(fate, n)
		counts[app] = c
		return none, nil
	})
	return err
}

// hotCounts counts the first arrivals in memtables.
func (p *pinned) hotCounts(ctx context.Context, q query.Query) (map[string]Counts, error) {
	counts := map[string]Counts{}
	b := newBuilder()
	text := "SELECT app, fate::INTEGER, count(*) FROM (" + fates(func(table string) string { return p.rows(table, nil) }, q, b) +
		") WHERE carried_by = frame GROUP BY app, fate"
	return counts, p.addCounts(ctx, b.build("books", text), counts)
}

// fates renders arrivals with their fates.
func fates(rows source, q query.Query, b builder) string {
	const place = "SELECT app, frame, carried_by, "
	return place + fmt.Sprintf("%d AS fate FROM ", event.Stored) + rows(eventTable) + where(query.Events, q, b) +
		" UNION ALL " + place + fmt.Sprintf("%d FROM ", event.Rejected) + rows(rejectionTable) + where(query.Rejections, q, b) +
		" UNION ALL " + place + "fate FROM " + rows(residueTable) + where(query.Rejections, q, b)
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
