package duckdb

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/duckdb/duckdb-go/v2"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// A list of sessions searches in windows of time, latest first. The first window is so wide that,
// by the density of the newest segment, it has the wanted number of sessions. Each further one is
// wider by a factor of stepGrowth.
const (
	// maxStarts bounds the number of sessions in one statement.
	maxStarts = 2000
	// After rareWindows windows, the filter is considered selective, and all events are searched at
	// once if there are at most bulkRows.
	rareWindows = 3
	bulkRows    = 20_000_000
)

// Sessions implements store.Reader.
func (s *Store) Sessions(ctx context.Context, q query.Query) (store.Page[store.Session], error) {
	return queryWithRecovery(ctx, s, q, func(p *pinned, q query.Query) (store.Page[store.Session], error) {
		if q.SessionIDs != nil || q.IDs != nil {
			items, err := p.summaries(ctx, q)
			return page(items, q, (*store.Session).Size), err
		}
		return p.latestSessions(ctx, q)
	})
}

// filtersEvents reports whether a query has conditions on single events of a session.
func filtersEvents(q query.Query) bool {
	return q.IDs != nil || q.Categories != nil || q.Names != nil || q.From != nil || q.To != nil || len(q.Where) > 0
}

// summaries reads the sessions that q selects, in one statement.
func (p *pinned) summaries(ctx context.Context, q query.Query) ([]store.Session, error) {
	b := newBuilder()
	// The summary of a session covers all its events, not only those that select it.
	whole := query.Query{Apps: q.Apps, SessionIDs: q.SessionIDs, Horizon: q.Horizon}
	text := "SELECT session_id, list_sort(list(DISTINCT app)), min(first) AS started_at, max(last), CAST(sum(events) AS BIGINT) FROM " +
		p.sessionRows(whole, p.tables.memtables, p.prune(query.Sessions, whole, timeRangeOf(whole)), b)
	if filtersEvents(q) {
		single := q
		single.After = nil
		text += " WHERE session_id IN (SELECT session_id FROM " + p.selected(eventTable, query.Sessions, single, b) + ")"
	}
	text += " GROUP BY session_id"
	if q.After != nil {
		at := b.Bind(int64(q.After.Key.OccurredAt))
		text += " HAVING min(first) < " + at + " OR min(first) = " + at + " AND session_id > " + b.Bind(q.After.SessionID)
	}
	text += " ORDER BY started_at DESC, session_id ASC" + limit(q.Limit+1)
	return queryAll(ctx, p.store, b.build("sessions", text), func(scan scanner) (x store.Session, err error) {
		var apps duckdb.Composite[[]string]
		err = scan(&x.ID, &apps, &x.StartedAt, &x.EndedAt, &x.Events)
		x.Apps = apps.Get()
		return x, err
	})
}

// sessionRows renders parts of the sessions that q selects, several for each session. q filters by
// applications and sessions only. The table sessions of a segment summarises all its frames. If the
// horizon excludes some of them, the events of the segment are summarised instead, from q.From on.
func (p *pinned) sessionRows(q query.Query, memtables []*memtable, refs []segmentRef, b builder) string {
	var selects []string
	summarise := func(name string, more ...string) {
		selects = append(selects, "SELECT session_id, app, min(occurred_at) AS first, max(occurred_at) AS last, count(*) AS events FROM "+name+
			where(query.Sessions, q, b, more...)+" GROUP BY session_id, app")
	}
	for _, mt := range memtables {
		summarise(hotName(eventTable, mt.number))
	}
	for _, ref := range refs {
		if uint64(*ref.info.Carried.Max) > q.Horizon {
			summarise(ref.table(eventTable), ref.conditions()...)
			continue
		}
		conditions := query.Conditions(query.DuckDB{}, query.Sessions, query.Query{Apps: q.Apps, SessionIDs: q.SessionIDs}, b.Args)
		selects = append(selects, "SELECT "+sessionColumns+" FROM "+ref.table(sessionTable)+whereAll(append(conditions, ref.conditions()...)))
	}
	return "(" + strings.Join(selects, " UNION ALL ") + ")"
}

// latestSessions lists sessions, latest first, window by window. A session belongs to the window in
// which it begins. q.After advances with the windows.
func (p *pinned) latestSessions(ctx context.Context, q query.Query) (store.Page[store.Session], error) {
	began := time.Now()
	asked := q.Limit
	refs := p.prune(query.Sessions, query.Query{Apps: q.Apps, Horizon: q.Horizon}, timeRange{math.MinInt64, latestStart(q)})
	rare := filtersEvents(q) && p.eventsIn(q) <= bulkRows
	rows := min(2*(asked+1), maxStarts)
	step := sessionStep(refs, rows)
	var items []store.Session
	for round := 0; ; round++ {
		q.Limit = asked - len(items)
		if rare && round == rareWindows {
			found, err := p.summaries(ctx, q)
			q.Limit = asked
			return page(append(items, found...), q, (*store.Session).Size), err
		}
		w := sessionWindow(refs, latestStart(q), step)
		starts, err := p.sessionStarts(ctx, query.Query{Apps: q.Apps, Horizon: q.Horizon, Limit: rows}, refs, w)
		if err != nil {
			return store.Page[store.Session]{}, err
		}
		least := w.low - 1 // the remaining sessions begin at this time at the latest
		if w.low == math.MinInt64 {
			least = w.low
		}
		full := len(starts) == rows
		if full {
			least = starts[len(starts)-1].first
			if least == w.high { // all of them at one time
				rows *= 4
				continue
			}
		}
		found, err := p.sessionsAfter(ctx, q, starts, least)
		if err != nil {
			return store.Page[store.Session]{}, err
		}
		items = append(items, found...)
		if len(items) > asked || least == math.MinInt64 {
			q.Limit = asked
			return page(items, q, (*store.Session).Size), nil
		}
		if time.Since(began) > p.store.opts.SearchTime {
			to := event.Micros(least)
			return store.Page[store.Session]{Items: items, More: true, Horizon: q.Horizon, SearchedTo: &to}, nil
		}
		after := query.AfterSession(event.Micros(least), "")
		q.After = &after
		if full { // few of them are selected
			rows = min(4*rows, maxStarts)
		} else if step < math.MaxInt64/(4*stepGrowth) {
			step *= stepGrowth
		}
	}
}

// latestStart returns the latest time at which a session of a list may begin.
func latestStart(q query.Query) int64 {
	at := int64(math.MaxInt64)
	if q.To != nil {
		at = int64(*q.To) - 1
	}
	if q.After != nil {
		at = min(at, int64(q.After.Key.OccurredAt))
	}
	return at
}

// eventsIn returns an upper bound of the number of events in segments that a query may have to
// read.
func (p *pinned) eventsIn(q query.Query) (n int64) {
	w := timeRangeOf(query.Query{From: q.From, To: q.To})
	for _, ref := range p.prune(query.Events, query.Query{Apps: q.Apps, Horizon: q.Horizon}, w) {
		n += ref.info.Rows.Events
	}
	return n
}

// sessionStep returns the width of a range in which about that many sessions began, by the newest
// segment.
func sessionStep(refs []segmentRef, sessions int) int64 {
	if len(refs) == 0 {
		return 1
	}
	sortByTime(refs, query.Sessions, true)
	x := refs[0].info
	return max((*x.Occurred.Max-*x.Occurred.Min)/max(x.Rows.Sessions, 1), 1) * int64(sessions)
}

// sessionWindow returns the next window of a list, ending at high. The last one has no lower bound.
func sessionWindow(refs []segmentRef, high, step int64) timeRange {
	first, last := int64(math.MaxInt64), int64(math.MinInt64) // of the times in segments
	for _, ref := range refs {
		first, last = min(first, *ref.info.Occurred.Min), max(last, *ref.info.Occurred.Max)
	}
	w := timeRange{math.MinInt64, high}
	if low := min(high, last) - step; len(refs) > 0 && low > first {
		w.low = low
	}
	return w
}

// sessionStart is the beginning of a part of a session.
type sessionStart struct {
	id    string
	first int64
}

// sessionStarts reads the q.Limit latest beginnings of parts of sessions in a window.
func (p *pinned) sessionStarts(ctx context.Context, q query.Query, refs []segmentRef, w timeRange) ([]sessionStart, error) {
	b := newBuilder()
	overlapping := slices.DeleteFunc(slices.Clone(refs), func(ref segmentRef) bool { return !ref.info.Occurred.overlaps(w.low, w.high) })
	if w.low != math.MinInt64 { // the summary of a session shows that it began earlier
		low := event.Micros(w.low)
		q.From = &low
	}
	text := "SELECT session_id, first FROM " + p.sessionRows(q, p.tables.memtables, overlapping, b) +
		" WHERE first BETWEEN " + b.Bind(w.low) + " AND " + b.Bind(w.high) + " ORDER BY first DESC, session_id" + limit(q.Limit)
	return queryAll(ctx, p.store, b.build("sessions", text), func(scan scanner) (x sessionStart, err error) {
		err = scan(&x.id, &x.first)
		return x, err
	})
}

// sessionsAfter reads the sessions that begin after a time and that q selects, in order.
func (p *pinned) sessionsAfter(ctx context.Context, q query.Query, starts []sessionStart, least int64) ([]store.Session, error) {
	known := map[string]bool{}
	q.SessionIDs = []string{}
	for _, x := range starts {
		if !known[x.id] && (x.first > least || least == math.MinInt64) {
			known[x.id] = true
			q.SessionIDs = append(q.SessionIDs, x.id)
		}
	}
	if len(q.SessionIDs) == 0 {
		return nil, nil
	}
	items, err := p.summaries(ctx, q)
	return slices.DeleteFunc(items, func(x store.Session) bool { return least != math.MinInt64 && int64(x.StartedAt) <= least }), err
}
