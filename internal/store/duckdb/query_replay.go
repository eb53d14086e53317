package duckdb

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// replayed reports whether the store has any replays. Most stores have none, and then queries skip
// the work for them.
func (p *pinned) replayed() bool {
	return slices.ContainsFunc(p.tables.memtables, func(mt *memtable) bool { return mt.replays.Load() > 0 }) ||
		slices.ContainsFunc(p.tables.segments, hasReplays)
}

func hasReplays(seg *segment) bool { return seg.info.Replays > 0 }

// replays renders the replays up to a horizon that were not rejected: the place of the rejection
// that they replay, and their fate.
func (p *pinned) replays(horizon uint64) string {
	const place = "SELECT app, frame, frame_index, carried_by, "
	condition := fmt.Sprintf(" WHERE carried_by <> frame AND carried_by <= %d", horizon)
	return "(" + place + fmt.Sprintf("%d AS fate FROM ", event.Stored) + p.rowsWhere(eventTable, hasReplays) + condition +
		" UNION ALL " + place + "fate FROM " + p.rowsWhere(residueTable, hasReplays) + condition + " AND " + replaySucceeded() + ")"
}

// replaySucceeded renders the condition that the residue of a replay is not that of a rejected
// replay. An erasure removes the problems, but not the fate.
func replaySucceeded() string { return fmt.Sprintf("problems = '' AND fate <> %d", event.Rejected) }

// filterReplayed keeps the rejections that q.Replayed selects.
func (p *pinned) filterReplayed(q query.Query, rows string) string {
	switch {
	case q.Replayed == nil, !*q.Replayed && !p.replayed():
		return rows
	case !p.replayed():
		return "(SELECT " + rejectionColumns + " FROM " + rows + " WHERE FALSE)"
	}
	is := " IN "
	if !*q.Replayed {
		is = " NOT IN "
	}
	return "(SELECT " + rejectionColumns + " FROM " + rows + " WHERE (app, frame, frame_index)" + is +
		"(SELECT (app, frame, frame_index) FROM " + p.replays(q.Horizon) + "))"
}

// origin is the place of a first arrival.
type origin struct {
	app      string
	position event.Position
}

// resolveReplays sets Became of rejections, up to the horizon of q.
func (p *pinned) resolveReplays(ctx context.Context, q query.Query, rejections []event.Rejection) error {
	if len(rejections) == 0 || !p.replayed() {
		return nil
	}
	ids := make([]uuid.UUID, len(rejections))
	for i, r := range rejections {
		ids[i] = r.EventID
	}
	b := newBuilder()
	events := query.Query{Apps: q.Apps, Horizon: q.Horizon, IDs: ids}
	residues := query.Query{Apps: q.Apps, Horizon: q.Horizon, EventIDs: ids}
	const row = "SELECT app, frame, frame_index, carried_by, "
	text := "SELECT app, frame, frame_index, min(carried_by), arg_min(fate, carried_by)::INTEGER FROM (" +
		row + fmt.Sprintf("%d AS fate FROM ", event.Stored) + p.rows(eventTable, p.prune(query.Events, events, timeRangeOf(events))) +
		" WHERE carried_by <> frame AND " + b.inIDs("id", ids) + fmt.Sprintf(" AND carried_by <= %d", q.Horizon) +
		" UNION ALL " + row + "fate FROM " + p.rows(residueTable, p.prune(query.Rejections, residues, timeRangeOf(residues))) +
		" WHERE carried_by <> frame AND " + replaySucceeded() + " AND " + b.inIDs("event_id", ids) + fmt.Sprintf(" AND carried_by <= %d", q.Horizon) +
		") GROUP BY app, frame, frame_index"
	became := map[origin]*event.Became{}
	_, err := queryAll(ctx, p.store, b.build("replays", text), func(scan scanner) (none struct{}, err error) {
		var at origin
		var fate int
		var x event.Became
		err = scan(&at.app, &at.position.Frame, &at.position.Index, &x.Frame, &fate)
		x.Fate = event.Fate(fate)
		became[at] = &x
		return none, err
	})
	if err != nil {
		return err
	}
	for i := range rejections {
		r := &rejections[i]
		r.Became = became[origin{r.App, r.Position}]
	}
	return nil
}

// moveReplayed moves the counts of replays that were not rejected from the fate of the arrival that
// they replay to their own fate, because each was received only once. The replayed arrival is a
// rejection, or the residue of an erased rejection: a repaired event may belong to a session that
// is not erased.
func (p *pinned) moveReplayed(ctx context.Context, q query.Query, counts map[string]Counts) error {
	type move struct {
		app      string
		from, to event.Fate
		n        int64
	}
	erased := func(seg *segment) bool {
		for _, n := range seg.info.Apps {
			if n.Erased > 0 {
				return true
			}
		}
		return false
	}
	b := newBuilder()
	var ofApps string
	if q.Apps != nil {
		ofApps = " AND " + b.In("app", texts(q.Apps)...)
	}
	const first = "SELECT app, frame, frame_index, "
	text := "WITH replayed AS (SELECT app, frame, frame_index, arg_min(fate, carried_by)::INTEGER AS fate FROM " + p.replays(p.position) +
		" GROUP BY app, frame, frame_index)" +
		", origins AS (" + first + fmt.Sprintf("%d AS fate FROM ", event.Rejected) + p.rowsWhere(rejectionTable, anySegment) + " WHERE carried_by = frame" + ofApps +
		" UNION ALL " + first + "fate FROM " + p.rowsWhere(residueTable, erased) + fmt.Sprintf(" WHERE carried_by = frame AND fate = %d", event.Erased) + ofApps +
		") SELECT app, origins.fate::INTEGER, replayed.fate, count(*) FROM replayed JOIN origins USING (app, frame, frame_index) GROUP BY ALL"
	moves, err := queryAll(ctx, p.store, b.build("books", text), func(scan scanner) (m move, err error) {
		var from, to int
		err = scan(&m.app, &from, &to, &m.n)
		m.from, m.to = event.Fate(from), event.Fate(to)
		return m, err
	})
	if err != nil {
		return err
	}
	for _, m := range moves {
		c := counts[m.app]
		c.add(m.from, -m.n)
		c.add(m.to, m.n)
		counts[m.app] = c
	}
	return nil
}

func texts(list []string) []any {
	values := make([]any, len(list))
	for i, text := range list {
		values[i] = text
	}
	return values
}

// rejections is Rejections on a pinned version.
func (p *pinned) rejections(ctx context.Context, q query.Query) (store.Page[event.Rejection], error) {
	found, err := search(ctx, p, q, p.store.rejectionListing())
	if err == nil {
		err = p.resolveReplays(ctx, q, found.Items)
	}
	return found, err
}
