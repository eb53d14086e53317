package duckdb

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// Series implements store.Reader.
func (s *Store) Series(ctx context.Context, q query.Query, spec store.Series) ([]store.Point, error) {
	q = s.at(q)
	step := strconv.FormatInt(int64(spec.Interval.Micros()), 10)
	b := newBuilder()
	var from, group, at string
	switch spec.Group {
	case store.ByStatus:
		from, group, at = arrivals(q, b), "status", "received_at"
	case store.ByNothing:
		from, group, at = "FROM events"+where(query.Events, q, b), "''", "occurred_at"
	default:
		from, group, at = "FROM events"+where(query.Events, q, b), string(spec.Group), "occurred_at"
	}
	text := "SELECT " + group + " AS g, " + at + " - " + at + " % " + step + " AS t, count(*) " + from +
		" GROUP BY g, t ORDER BY g, t" + limit(spec.MaxPoints+1)
	points, err := queryAll(ctx, s, b.build("series", text), func(scan scanner) (p store.Point, err error) {
		err = scan(&p.Group, &p.At, &p.Count)
		return p, err
	})
	if err == nil && len(points) > spec.MaxPoints {
		return nil, fmt.Errorf("%w: more than %d points: narrow from and to, choose a wider interval, or filter the groups", store.ErrTooWide, spec.MaxPoints)
	}
	return points, err
}

// arrivals renders all arrivals with their fate. They are bounded by received_at.
func arrivals(q query.Query, b builder) string {
	var selects []string
	for _, table := range []struct {
		name string
		fate event.Fate
	}{{"events", event.Stored}, {"rejections", event.Rejected}, {"duplicates", event.Duplicate}} {
		selects = append(selects, "SELECT '"+table.fate.String()+"' AS status, received_at FROM "+table.name+where(query.Rejections, q, b))
	}
	return "FROM (" + strings.Join(selects, " UNION ALL ") + ")"
}

// Values implements store.Reader.
func (s *Store) Values(ctx context.Context, q query.Query, f query.Field) (store.Values, error) {
	q = s.at(q)
	b := newBuilder()
	var values string
	if f.Name == query.Data {
		values = `SELECT CASE json_type(x) WHEN 'VARCHAR' THEN json_extract_string(x, '$$') ELSE CAST(x AS VARCHAR) END AS v
			FROM (SELECT unnest(` + query.DuckDB{}.Elements(f.Path, b.Cond) + `) AS x FROM events` + where(query.Events, q, b) + `)
			WHERE x IS NOT NULL AND json_type(x) <> 'NULL'`
	} else {
		values = "SELECT v FROM (SELECT CAST(" + query.FieldExpr(f.Name) + " AS VARCHAR) AS v FROM events" + where(query.Events, q, b) + ") WHERE v IS NOT NULL"
	}
	text := "SELECT v, count(*) AS n, CAST(sum(count(*)) OVER () AS BIGINT) FROM (" + values + ") GROUP BY v ORDER BY n DESC, v" + limit(q.Limit)
	type row struct {
		store.Value
		total int64
	}
	rows, err := queryAll(ctx, s, b.build("values", text), func(scan scanner) (r row, err error) {
		err = scan(&r.Value.Value, &r.Count, &r.total)
		return r, err
	})
	if err != nil || len(rows) == 0 {
		return store.Values{}, err
	}
	v := store.Values{Other: rows[0].total}
	for _, r := range rows {
		v.Top = append(v.Top, r.Value)
		v.Other -= r.Count
	}
	return v, nil
}

// Receipt implements store.Reader.
func (s *Store) Receipt(ctx context.Context, q query.Query, n int) ([]store.Arrival, error) {
	q = s.at(q)
	b := newBuilder()
	// Rejections and duplicates name the event otherwise than events do.
	byEvent := q
	byEvent.IDs, byEvent.EventIDs = nil, q.IDs
	text := "SELECT app, event_id, client_id, received_at, frame, frame_index, fate, problems FROM (" +
		fmt.Sprintf("SELECT app, id AS event_id, client_id, received_at, frame, frame_index, %d AS fate, '' AS problems FROM events", event.Stored) +
		where(query.Events, q, b) +
		fmt.Sprintf(" UNION ALL SELECT app, event_id, client_id, received_at, frame, frame_index, %d, problems FROM rejections", event.Rejected) +
		where(query.Rejections, byEvent, b) +
		fmt.Sprintf(" UNION ALL SELECT app, event_id, client_id, received_at, frame, frame_index, %d, problems FROM duplicates", event.Duplicate) +
		where(query.Rejections, byEvent, b) +
		") ORDER BY frame DESC, frame_index DESC" + limit(n)
	return queryAll(ctx, s, b.build("receipt", text), func(scan scanner) (a store.Arrival, err error) {
		var problems string
		var fate int
		err = scan(&a.App, &a.EventID, &a.ClientID, &a.ReceivedAt, &a.Position.Frame, &a.Position.Index, &fate, &problems)
		if err == nil {
			a.Fate = event.Fate(fate)
			a.Problems, err = parseProblems(problems)
		}
		return a, err
	})
}

// Books implements store.Reader.
func (s *Store) Books(ctx context.Context, apps []string) (store.Books, error) {
	state := s.state.Load()
	q := query.Query{Apps: apps, Horizon: state.position}
	b := newBuilder()
	text := "SELECT app, count(*) FILTER (fate = 0), count(*) FILTER (fate = 1), count(*) FILTER (fate = 2) FROM (" +
		"SELECT app, 0 AS fate FROM events" + where(query.Events, q, b) +
		" UNION ALL SELECT app, 1 FROM rejections" + where(query.Rejections, q, b) +
		" UNION ALL SELECT app, 2 FROM duplicates" + where(query.Rejections, q, b) +
		") GROUP BY app ORDER BY app"
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
