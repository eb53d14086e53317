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

// Books implements store.Reader. A replay was received once only, when it first
// arrived: it moves its rejection to stored or duplicate, and leaves it where it
// is when it is refused again.
func (s *Store) Books(ctx context.Context, apps []string) (store.Books, error) {
	state := s.state.Load()
	q := query.Query{Apps: apps, Horizon: state.position}
	b := newBuilder()
	const place = "SELECT app, frame, frame_index, carried_by, "
	text := "WITH arrivals AS (" +
		place + fmt.Sprintf("%d AS fate, FALSE AS refused FROM events", event.Stored) + where(query.Events, q, b) +
		" UNION ALL " + place + fmt.Sprintf("%d, TRUE FROM rejections", event.Rejected) + where(query.Rejections, q, b) +
		" UNION ALL " + place + fmt.Sprintf("%d, problems <> '' FROM duplicates", event.Duplicate) + where(query.Rejections, q, b) +
		`), replayed AS (
			SELECT app, frame, frame_index, arg_min(fate, carried_by) AS fate FROM arrivals
			WHERE carried_by <> frame AND NOT refused GROUP BY app, frame, frame_index
		), moved AS (
			SELECT app, replayed.fate FROM replayed JOIN arrivals USING (app, frame, frame_index)
			WHERE arrivals.carried_by = arrivals.frame AND ` + fmt.Sprintf("arrivals.fate = %d", event.Rejected) + `
		), counted AS (
			SELECT app, fate, 1 AS n FROM arrivals WHERE carried_by = frame
			UNION ALL SELECT app, fate, 1 FROM moved
			UNION ALL SELECT app, ` + fmt.Sprintf("%d, -1 FROM moved", event.Rejected) + `
		) SELECT app`
	sum := func(fate event.Fate) string {
		return fmt.Sprintf(", CAST(COALESCE(sum(n) FILTER (fate = %d), 0) AS BIGINT)", fate)
	}
	text += sum(event.Stored) + sum(event.Rejected) + sum(event.Duplicate) + " FROM counted GROUP BY app ORDER BY app"
	counted, err := queryAll(ctx, s, b.build("books", text), func(scan scanner) (a store.Account, err error) {
		err = scan(&a.App, &a.Stored, &a.Rejected, &a.Duplicate)
		return a, err
	})
	if err != nil {
		return store.Books{}, err
	}
	return store.Books{Position: state.position, Accounts: account(counted, state.arrivals, apps)}, nil
}

// account puts what was received beside what was counted.
func account(counted []store.Account, arrivals map[string]store.Arrivals, apps []string) []store.Account {
	byApp := map[string]store.Account{}
	for _, a := range counted {
		byApp[a.App] = a
	}
	for app, n := range arrivals {
		if apps == nil || slices.Contains(apps, app) {
			a := byApp[app]
			a.App, a.Received, a.Lost = app, n.Received, n.Lost
			byApp[app] = a
		}
	}
	return slices.SortedFunc(maps.Values(byApp), func(a, b store.Account) int { return strings.Compare(a.App, b.App) })
}
