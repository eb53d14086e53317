package duckdb

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// sampledAbove is the number of rows of sessions above which Totals counts a sample.
const sampledAbove = 200_000

// Totals implements store.Reader. A segment that is within the span as a whole is not read: the
// manifest has its counts.
func (s *Store) Totals(ctx context.Context, q query.Query) (store.Totals, error) {
	return queryWithRecovery(ctx, s, q, func(p *pinned, q query.Query) (t store.Totals, err error) {
		if t.Events, err = p.countIn(ctx, eventTable, query.Events, q); err != nil {
			return t, err
		}
		if t.Rejected, err = p.countIn(ctx, rejectionTable, query.Rejections, q); err != nil {
			return t, err
		}
		t.Sessions, t.Sampled, err = p.sessionsStarted(ctx, q)
		return t, err
	})
}

// countIn counts the rows of a table in a span.
func (p *pinned) countIn(ctx context.Context, table string, kind query.Kind, q query.Query) (int64, error) {
	var known int64
	var refs []segmentRef
	w := timeRangeOf(q)
	for _, ref := range p.prune(kind, q, w) {
		times := ref.orderTimes(kind)
		whole := *times.Min >= w.low && *times.Max <= w.high && uint64(*ref.info.Carried.Max) <= q.Horizon
		if n, ok := ref.rowsOf(table, q.Apps); ok && whole {
			known += n
		} else {
			refs = append(refs, ref)
		}
	}
	b := newBuilder()
	n, err := p.store.queryInt(ctx, b.build("totals", "SELECT count(*) FROM "+p.rows(table, refs)+where(kind, q, b)))
	return known + n, err
}

// rowsOf returns the number of rows of events or rejections of applications, nil for all, if the
// manifest has it.
func (seg *segment) rowsOf(table string, apps []string) (n int64, ok bool) {
	events := table == eventTable
	switch {
	case apps == nil && events:
		return seg.info.Rows.Events, true
	case apps == nil:
		return seg.info.Rows.Rejections, true
	case seg.info.Replays > 0: // the counts by application are of first arrivals
		return 0, false
	}
	for app, c := range seg.info.Apps {
		switch {
		case !slices.Contains(apps, app):
		case events:
			n += c.Stored
		default:
			n += c.Rejected
		}
	}
	return n, true
}

// sessionsStarted counts the sessions that started in a span, of which nothing occurred in the
// SessionGap before it. Of many sessions, it counts those whose hashes are in a sample.
func (p *pinned) sessionsStarted(ctx context.Context, q query.Query) (n int64, sampled bool, err error) {
	from, to := *q.From, *q.To
	since := from - event.Micros(store.SessionGap.Microseconds())
	whole := query.Query{Apps: q.Apps, From: &since, To: &to, Horizon: q.Horizon}
	refs := p.prune(query.Sessions, whole, timeRangeOf(whole))
	rows := int64(0)
	for _, ref := range refs {
		rows += ref.info.Rows.Sessions
	}
	part := rows/sampledAbove + 1
	b := newBuilder()
	whole.To = nil // a part of a session that ends later may begin in the span
	text := "SELECT session_id, min(first) AS started FROM " + p.sessionRows(whole, p.tables.memtables, refs, b) +
		" WHERE last >= " + b.Bind(int64(since))
	if part > 1 {
		text += fmt.Sprintf(" AND hash(session_id) %% %d = 0", part)
	}
	text = "SELECT count(*) FROM (" + text + " GROUP BY session_id) WHERE started >= " + b.Bind(int64(from)) + " AND started < " + b.Bind(int64(to))
	n, err = p.store.queryInt(ctx, b.build("totals", text))
	return n * part, part > 1, err
}

// SessionEnds implements store.Reader. Only the events at the start and at the end of a session are
// read.
func (s *Store) SessionEnds(ctx context.Context, q query.Query, sessions []store.Session) ([]store.SessionEnds, error) {
	if len(sessions) == 0 {
		return nil, nil
	}
	q = query.Query{Apps: q.Apps, Horizon: q.Horizon}
	places := map[string]int{}
	for i, x := range sessions {
		places[x.ID] = i
		q.SessionIDs = append(q.SessionIDs, x.ID)
	}
	return queryWithRecovery(ctx, s, q, func(p *pinned, q query.Query) ([]store.SessionEnds, error) {
		ends := make([]store.SessionEnds, len(sessions))
		if err := p.sessionEnds(ctx, q, sessions, func(id string) *store.SessionEnds { return &ends[places[id]] }); err != nil {
			return nil, err
		}
		return ends, nil
	})
}

func (p *pinned) sessionEnds(ctx context.Context, q query.Query, sessions []store.Session, of func(id string) *store.SessionEnds) error {
	var times []any
	from, to := sessions[0].StartedAt, sessions[0].EndedAt
	for _, x := range sessions {
		times = append(times, int64(x.StartedAt), int64(x.EndedAt))
		from, to = min(from, x.StartedAt), max(to, x.EndedAt)
	}
	to++
	events := q
	events.From, events.To = &from, &to // blocks of other times are not read
	b := newBuilder()
	const order = "occurred_at, seq, frame, frame_index"
	path := fmt.Sprintf("CASE WHEN json_type(data, '/path') = 'VARCHAR' THEN left(json_extract_string(data, '/path'), %d) ELSE '' END", store.MaxEndPath)
	ends := []string{"first(category", "first(name", "first(path", "last(category", "last(name", "last(path"}
	columns := "session_id, " + strings.Join(ends, " ORDER BY "+order+"), ") + " ORDER BY " + order + ")"
	text := "SELECT " + columns + " FROM (SELECT session_id, category, name, " + path + " AS path, " + order + " FROM " + p.selected(eventTable, query.Sessions, events, b) +
		" AND occurred_at IN (SELECT unnest(" + b.Bind(times) + "::BIGINT[]))) GROUP BY session_id"
	_, err := queryAll(ctx, p.store, b.build("session ends", text), func(scan scanner) (none struct{}, err error) {
		var id string
		var first, last store.SessionEnd
		if err := scan(&id, &first.Category, &first.Name, &first.Path, &last.Category, &last.Name, &last.Path); err != nil {
			return none, err
		}
		of(id).First, of(id).Last = first, last
		return none, nil
	})
	if err != nil {
		return err
	}
	b = newBuilder()
	open := false
	q.Replayed = &open
	text = "SELECT session_id, count(*) FROM " + p.selected(rejectionTable, query.Rejections, q, b) + " GROUP BY session_id"
	_, err = queryAll(ctx, p.store, b.build("session ends", text), func(scan scanner) (none struct{}, err error) {
		var id string
		var n int64
		if err := scan(&id, &n); err != nil {
			return none, err
		}
		of(id).Rejections = n
		return none, nil
	})
	return err
}
