package duckdb

import (
	"context"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// pinFor pins the current version and sets the horizon and the limit of a query if they are not
// set. All rows of the frames up to the position were committed before the position became visible,
// so all queries with that horizon see the same rows.
func (s *Store) pinFor(q query.Query) (*pinned, query.Query) {
	p := s.pin()
	if q.Horizon == 0 {
		q.Horizon = p.position
	}
	if q.Limit == 0 {
		q.Limit = query.DefaultLimit
	}
	return p, q
}

// where renders the conditions of a query, and more conditions. Without a horizon nothing has been
// written, so no row is selected.
func where(kind query.Kind, q query.Query, b builder, more ...string) string {
	conditions := append(query.Conditions(query.DuckDB{}, kind, q, b.Args), more...)
	if q.Horizon == 0 {
		conditions = append(conditions, "FALSE")
	}
	return whereAll(conditions)
}

func whereAll(conditions []string) string {
	if len(conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(conditions, " AND ")
}

func limit(n int) string { return " LIMIT " + strconv.Itoa(n) }

// page returns the items that fit on a page.
func page[T any](items []T, q query.Query, size func(*T) int) store.Page[T] {
	p := store.NewPager(q, size)
	p.AddAll(items)
	return p.Page(q.Horizon)
}

// Events implements store.Reader.
func (s *Store) Events(ctx context.Context, q query.Query) (store.Page[event.Event], error) {
	return queryWithRecovery(ctx, s, q, func(p *pinned, q query.Query) (store.Page[event.Event], error) {
		return search(ctx, p, q, eventListing())
	})
}

// Rejections implements store.Reader.
func (s *Store) Rejections(ctx context.Context, q query.Query) (store.Page[event.Rejection], error) {
	return queryWithRecovery(ctx, s, q, func(p *pinned, q query.Query) (store.Page[event.Rejection], error) {
		return p.rejections(ctx, q)
	})
}

// selected renders the rows of a table that q selects.
func (p *pinned) selected(table string, kind query.Kind, q query.Query, b builder) string {
	rows := p.rows(table, p.prune(kind, q, timeRangeOf(q)))
	if table == rejectionTable {
		rows = p.filterReplayed(q, rows)
	}
	return rows + where(kind, q, b)
}

// Count implements store.Reader.
func (s *Store) Count(ctx context.Context, q query.Query) (int64, error) {
	q.After = nil
	return queryWithRecovery(ctx, s, q, func(p *pinned, q query.Query) (int64, error) {
		b := newBuilder()
		return s.queryInt(ctx, b.build("count", "SELECT count(*) FROM "+p.selected(eventTable, query.Events, q, b)))
	})
}

// queryInt reads a single number.
func (s *Store) queryInt(ctx context.Context, q statement) (int64, error) {
	n, err := queryAll(ctx, s, q, func(scan scanner) (n int64, err error) {
		err = scan(&n)
		return n, err
	})
	if err != nil || len(n) == 0 {
		return 0, err
	}
	return n[0], nil
}

// RejectionSummary implements store.Reader.
func (s *Store) RejectionSummary(ctx context.Context, q query.Query, parts int) ([]store.RejectionGroup, error) {
	return queryWithRecovery(ctx, s, q, func(p *pinned, q query.Query) ([]store.RejectionGroup, error) {
		return p.rejectionSummary(ctx, q, parts)
	})
}

func (p *pinned) rejectionSummary(ctx context.Context, q query.Query, parts int) ([]store.RejectionGroup, error) {
	if err := store.CheckParts(q, parts); err != nil {
		return nil, err
	}
	b := newBuilder()
	counts := "'{}'"
	if parts > 0 {
		width := store.PartWidth(*q.From, *q.To, parts)
		counts = "to_json(histogram((received_at - " + b.Bind(int64(*q.From)) + ") // " + b.Bind(int64(width)) + "))::VARCHAR"
	}
	text := `SELECT app, category, name, code, pointer, count(*) AS n, min(received_at), max(received_at),
			last(id ORDER BY received_at, frame, frame_index), last(message ORDER BY received_at, frame, frame_index, i), ` + counts + `
		FROM (SELECT app, category, name, id, received_at, frame, frame_index, unnest(codes) AS code, unnest(pointers) AS pointer,
				unnest(json_extract_string(problems, '$[*].message')) AS message, unnest(range(len(codes))) AS i
			FROM ` + p.selected(rejectionTable, query.Rejections, q, b) + `)
		GROUP BY app, category, name, code, pointer ORDER BY n DESC, app, category, name, code, pointer` + limit(q.Limit)
	groups, err := queryAll(ctx, p.store, b.build("summary", text), func(scan scanner) (g store.RejectionGroup, err error) {
		var byPart string
		err = scan(&g.App, &g.Category, &g.Name, &g.Code, &g.Pointer, &g.Count, &g.FirstSeen, &g.LastSeen, &g.Example, &g.Message, &byPart)
		if err != nil || parts == 0 {
			return g, err
		}
		g.Parts = make([]int64, parts)
		var numbers map[int]int64
		err = json.Unmarshal([]byte(byPart), &numbers)
		for part, n := range numbers {
			g.Parts[part] = n
		}
		return g, err
	})
	return page(groups, q, (*store.RejectionGroup).Size).Items, err
}
