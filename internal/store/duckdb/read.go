package duckdb

import (
	"context"
	"strconv"
	"strings"

	"github.com/duckdb/duckdb-go/v2"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// at fixes the horizon of a query. All rows of the frames up to the position
// were committed before the position was told, so that every reader who asks
// with it sees the same.
func (s *Store) at(q query.Query) query.Query {
	if q.Horizon == 0 {
		q.Horizon = s.state.Load().position
	}
	if q.Limit == 0 {
		q.Limit = query.DefaultLimit
	}
	return q
}

// where renders the conditions of a query. Before anything is written there is
// no horizon and nothing to be seen.
func where(kind query.Kind, q query.Query, b builder) string {
	conditions := query.Conditions(query.DuckDB{}, kind, q, b.Cond)
	if q.Horizon == 0 {
		conditions = append(conditions, "FALSE")
	}
	if len(conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(conditions, " AND ")
}

func limit(n int) string { return " LIMIT " + strconv.Itoa(n) }

// page cuts the one item off that shows that there is more.
func page[T any](items []T, q query.Query) store.Page[T] {
	p := store.Page[T]{Items: items, Horizon: q.Horizon}
	if len(items) > q.Limit {
		p.Items, p.More = items[:q.Limit], true
	}
	return p
}

// Events implements store.Reader.
func (s *Store) Events(ctx context.Context, q query.Query) (store.Page[event.Event], error) {
	q = s.at(q)
	b := newBuilder()
	text := "SELECT " + eventColumns + " FROM events" + where(query.Events, q, b)
	if behind := query.Behind(query.Events, q, b.Cond); behind != "" {
		text += " AND " + behind
	}
	text += " ORDER BY " + strings.Join(query.Order(query.Events, q.Descending), ", ") + limit(q.Limit+1)
	items, err := queryAll(ctx, s, b.build("events", text), scanEvent)
	return page(items, q), err
}

// Count implements store.Reader.
func (s *Store) Count(ctx context.Context, q query.Query) (int64, error) {
	q = s.at(q)
	b := newBuilder()
	return s.one(ctx, b.build("count", "SELECT count(*) FROM events"+where(query.Events, q, b)))
}

// one reads a single number.
func (s *Store) one(ctx context.Context, q statement) (int64, error) {
	n, err := queryAll(ctx, s, q, func(scan scanner) (n int64, err error) {
		err = scan(&n)
		return n, err
	})
	if err != nil || len(n) == 0 {
		return 0, err
	}
	return n[0], nil
}

// Sessions implements store.Reader.
func (s *Store) Sessions(ctx context.Context, q query.Query) (store.Page[store.Session], error) {
	q = s.at(q)
	b := newBuilder()
	// What is seen of a session does not depend on what selects it.
	whole := query.Query{Apps: q.Apps, SessionIDs: q.SessionIDs, Horizon: q.Horizon}
	text := "SELECT session_id, list_sort(list(DISTINCT app)), min(occurred_at) AS started_at, max(occurred_at), count(*) FROM events" +
		where(query.Sessions, whole, b)
	if selects(q) {
		text += " AND session_id IN (SELECT session_id FROM events" + where(query.Sessions, q, b) + ")"
	}
	text += " GROUP BY session_id"
	if q.After != nil {
		at := b.Var(int64(q.After.Key.OccurredAt))
		text += " HAVING min(occurred_at) < " + at + " OR min(occurred_at) = " + at + " AND session_id > " + b.Var(q.After.SessionID)
	}
	text += " ORDER BY started_at DESC, session_id ASC" + limit(q.Limit+1)
	items, err := queryAll(ctx, s, b.build("sessions", text), func(scan scanner) (x store.Session, err error) {
		var apps duckdb.Composite[[]string]
		err = scan(&x.ID, &apps, &x.StartedAt, &x.EndedAt, &x.Events)
		x.Apps = apps.Get()
		return x, err
	})
	return page(items, q), err
}

// selects reports whether a query looks at single events of a session.
func selects(q query.Query) bool {
	return q.IDs != nil || q.Categories != nil || q.Names != nil || q.From != nil || q.To != nil || len(q.Where) > 0
}

// Rejections implements store.Reader.
func (s *Store) Rejections(ctx context.Context, q query.Query) (store.Page[event.Rejection], error) {
	q = s.at(q)
	b := newBuilder()
	text := "SELECT " + rejectionColumns + " FROM rejections" + where(query.Rejections, q, b)
	if behind := query.Behind(query.Rejections, q, b.Cond); behind != "" {
		text += " AND " + behind
	}
	text += " ORDER BY " + strings.Join(query.Order(query.Rejections, q.Descending), ", ") + limit(q.Limit+1)
	items, err := queryAll(ctx, s, b.build("rejections", text), scanRejection)
	return page(items, q), err
}

// RejectionSummary implements store.Reader.
func (s *Store) RejectionSummary(ctx context.Context, q query.Query) ([]store.RejectionGroup, error) {
	q = s.at(q)
	b := newBuilder()
	text := `SELECT app, category, name, code, pointer, count(*) AS n, min(received_at), max(received_at),
			last(id ORDER BY received_at, frame, frame_index)
		FROM (SELECT app, category, name, id, received_at, frame, frame_index, unnest(codes) AS code, unnest(pointers) AS pointer
			FROM rejections` + where(query.Rejections, q, b) + `)
		GROUP BY app, category, name, code, pointer ORDER BY n DESC, app, category, name, code, pointer` + limit(q.Limit)
	return queryAll(ctx, s, b.build("summary", text), func(scan scanner) (g store.RejectionGroup, err error) {
		err = scan(&g.App, &g.Category, &g.Name, &g.Code, &g.Pointer, &g.Count, &g.FirstSeen, &g.LastSeen, &g.Example)
		return g, err
	})
}
