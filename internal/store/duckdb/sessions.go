package duckdb

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"

	"github.com/duckdb/duckdb-go/v2"

	"theeye/internal/query"
	"theeye/internal/store"
)

// Sessions implements store.Reader.
func (s *Store) Sessions(ctx context.Context, q query.Query) (store.Page[store.Session], error) {
	return answer(ctx, s, q, func(p *snapshot, q query.Query) (store.Page[store.Session], error) {
		if q.SessionIDs != nil || selects(q) {
			items, err := p.summaries(ctx, q)
			return page(items, q), err
		}
		return p.latestSessions(ctx, q)
	})
}

// selects reports whether a query looks at single events of a session.
func selects(q query.Query) bool {
	return q.IDs != nil || q.Categories != nil || q.Names != nil || q.From != nil || q.To != nil || len(q.Where) > 0
}

// summaries reads the sessions that q selects, in one statement.
func (p *snapshot) summaries(ctx context.Context, q query.Query) ([]store.Session, error) {
	b := newBuilder()
	// What is seen of a session does not depend on what selects it.
	whole := query.Query{Apps: q.Apps, SessionIDs: q.SessionIDs, Horizon: q.Horizon}
	text := "SELECT session_id, list_sort(list(DISTINCT app)), min(first) AS started_at, max(last), CAST(sum(events) AS BIGINT) FROM " +
		p.sessionRows(whole, p.view.hot, p.sift(query.Sessions, whole, spanOf(whole)), b)
	if selects(q) {
		single := q
		single.After = nil
		text += " WHERE session_id IN (SELECT session_id FROM " + p.selected(eventTable, query.Sessions, single, b) + ")"
	}
	text += " GROUP BY session_id"
	if q.After != nil {
		at := b.Var(int64(q.After.Key.OccurredAt))
		text += " HAVING min(first) < " + at + " OR min(first) = " + at + " AND session_id > " + b.Var(q.After.SessionID)
	}
	text += " ORDER BY started_at DESC, session_id ASC" + limit(q.Limit+1)
	return queryAll(ctx, p.store, b.build("sessions", text), func(scan scanner) (x store.Session, err error) {
		var apps duckdb.Composite[[]string]
		err = scan(&x.ID, &apps, &x.StartedAt, &x.EndedAt, &x.Events)
		x.Apps = apps.Get()
		return x, err
	})
}

// sessionRows renders the parts of sessions that q, which has no filter but
// applications and sessions, sees: several for a session. A segment's own table is
// of all its frames; where the horizon cuts them, its events are summed up.
func (p *snapshot) sessionRows(q query.Query, hot []*generation, parts []part, b builder) string {
	var selects []string
	sumUp := func(name string) {
		selects = append(selects, "SELECT session_id, app, min(occurred_at) AS first, max(occurred_at) AS last, count(*) AS events FROM "+name+
			where(query.Sessions, q, b)+" GROUP BY session_id, app")
	}
	for _, g := range hot {
		sumUp(hotName(eventTable, g.number))
	}
	for _, x := range parts {
		if uint64(*x.info.Carried.Max) > q.Horizon {
			sumUp(x.table(eventTable))
			continue
		}
		text := "SELECT " + sessionColumns + " FROM " + x.table(sessionTable)
		if conditions := query.Conditions(query.DuckDB{}, query.Sessions, query.Query{Apps: q.Apps, SessionIDs: q.SessionIDs}, b.Cond); len(conditions) > 0 {
			text += " WHERE " + strings.Join(conditions, " AND ")
		}
		selects = append(selects, text)
	}
	return "(" + strings.Join(selects, " UNION ALL ") + ")"
}

// latestSessions lists sessions from the newest segments on. Those that begin
// after everything that was not looked at are complete; they are the page as soon
// as they are enough.
func (p *snapshot) latestSessions(ctx context.Context, q query.Query) (store.Page[store.Session], error) {
	bound := latest(q)
	parts := p.sift(query.Sessions, q, span{math.MinInt64, bound})
	towards(parts, query.Sessions, true)
	for looked, rows := 1, 2*(q.Limit+1); ; {
		now := parts[:min(looked, len(parts))]
		least := int64(math.MinInt64) // what is left is not later than this
		if len(now) < len(parts) {
			if least = *parts[len(now)].info.Occurred.Max; least >= bound {
				looked++
				continue
			}
		}
		starts, err := p.sessionStarts(ctx, q, now, rows)
		if err != nil {
			return store.Page[store.Session]{}, err
		}
		cut := len(starts) == rows
		if cut {
			least = max(least, starts[len(starts)-1].first)
		}
		items, err := p.sessionsAfter(ctx, q, starts, least)
		if err != nil {
			return store.Page[store.Session]{}, err
		}
		switch {
		case len(items) > q.Limit, least == math.MinInt64:
			return page(items[:min(len(items), q.Limit+1)], q), nil
		case cut:
			rows *= 4
		default:
			looked *= 2
		}
	}
}

// latest is the latest time at which a session of a list may begin.
func latest(q query.Query) int64 {
	if q.After != nil {
		return int64(q.After.Key.OccurredAt)
	}
	return math.MaxInt64
}

// sessionStart is where a part of a session begins.
type sessionStart struct {
	id    string
	first int64
}

// sessionStarts reads the n latest beginnings of parts of sessions, up to the
// latest of the list.
func (p *snapshot) sessionStarts(ctx context.Context, q query.Query, parts []part, n int) ([]sessionStart, error) {
	b := newBuilder()
	text := "SELECT session_id, first FROM " + p.sessionRows(query.Query{Apps: q.Apps, Horizon: q.Horizon}, p.view.hot, parts, b) +
		" WHERE first <= " + b.Var(latest(q)) + " ORDER BY first DESC, session_id" + limit(n)
	return queryAll(ctx, p.store, b.build("sessions", text), func(scan scanner) (x sessionStart, err error) {
		err = scan(&x.id, &x.first)
		return x, err
	})
}

// sessionsAfter sums up those of the sessions that begin after a time, in order,
// behind the place from which q continues.
func (p *snapshot) sessionsAfter(ctx context.Context, q query.Query, starts []sessionStart, least int64) ([]store.Session, error) {
	known := map[string]bool{}
	whole := query.Query{Apps: q.Apps, Horizon: q.Horizon, SessionIDs: []string{}}
	for _, x := range starts {
		if !known[x.id] && (x.first > least || least == math.MinInt64) {
			known[x.id] = true
			whole.SessionIDs = append(whole.SessionIDs, x.id)
		}
	}
	if len(whole.SessionIDs) == 0 {
		return nil, nil
	}
	whole.Limit = len(whole.SessionIDs)
	items, err := p.summaries(ctx, whole)
	compare := func(a, b store.Session) int {
		return cmp.Or(cmp.Compare(b.StartedAt, a.StartedAt), strings.Compare(a.ID, b.ID))
	}
	items = slices.DeleteFunc(items, func(x store.Session) bool {
		return least != math.MinInt64 && int64(x.StartedAt) <= least ||
			q.After != nil && compare(x, store.Session{ID: q.After.SessionID, StartedAt: q.After.Key.OccurredAt}) <= 0
	})
	return items, err
}
