package duckdb

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"theeye/internal/durable"
	"theeye/internal/event"
)

// An event expires by the time at which it occurred, everything else by its time of receipt. A
// segment is removed when all of it has expired. One that has expired in part is rewritten, once
// there is enough to remove.
const (
	// retainSlack is the part of a retention that rows may stay longer.
	retainSlack    = 20
	maxRetainSlack = 24 * time.Hour
)

// clockReading is a reading of the clock by which rows expire.
type clockReading struct {
	opts *Options
	now  time.Time
	held bool // nothing expires
}

func (s *Store) readClock() clockReading {
	now, held := s.opts.Clock()
	return clockReading{&s.opts, now, held}
}

// cutoffs are the times before which rows have expired, by application.
type cutoffs map[string]event.Micros

// cutoffs returns the cutoffs of the applications that have a retention, or least where that is
// longer, moved back by some slacks. There are none while the clock is held.
func (t clockReading) cutoffs(apps iter.Seq[string], least time.Duration, slacks int) cutoffs {
	if t.opts.Retain == nil || t.held {
		return nil
	}
	c := cutoffs{}
	for app := range apps {
		d := t.opts.Retain(app)
		if d <= 0 {
			continue
		}
		d = max(d, least)
		d += time.Duration(slacks) * min(d/retainSlack, maxRetainSlack)
		c[app] = event.Micros(t.now.Add(-d).UnixMicro())
	}
	return c
}

// expiry says which rows have expired. A replayed event leaves a residue for as long as its
// rejection may be kept, a slack longer than the retention: otherwise the rejection would seem
// never to have been replayed. A residue of an erased event stays for the dedupe window, so that a
// retry of the event is not stored.
type expiry struct{ rows, replays, erased cutoffs }

// expiries returns the expiry of a segment's applications, and the one that is a slack later: when
// rows have reached the latter, it is time to remove those that have reached the former.
func (t clockReading) expiries(seg *segment) (now, late expiry) {
	of := func(least time.Duration, slacks int) cutoffs {
		return t.cutoffs(maps.Keys(seg.info.Apps), least, slacks)
	}
	window, slack := t.opts.DedupeWindow, of(0, 1)
	return expiry{of(0, 0), slack, of(window, 0)}, expiry{slack, of(0, 2), of(window, 1)}
}

// NewestReceived returns the latest time of receipt in segments, the zero time when there are none.
func (s *Store) NewestReceived() time.Time {
	newest := time.Time{}
	for _, info := range s.current().manifest.Segments {
		if at := info.Received.Max; at != nil && time.UnixMicro(*at).After(newest) {
			newest = time.UnixMicro(*at)
		}
	}
	return newest
}

// Expire removes what has expired. Writing, flushing and reading go on meanwhile. After an error
// with one segment it continues with the others.
func (s *Store) Expire(ctx context.Context) error {
	if !s.persistent() || s.opts.Retain == nil {
		return nil
	}
	s.merging.Lock()
	defer s.merging.Unlock()
	p := s.pin()
	defer p.release()
	at := s.readClock()
	newest := at.cutoffs(p.arrivals.apps(), 0, 1).greatest()
	var failed error
	for _, seg := range p.tables.segments {
		if !seg.hasRowsBefore(newest) {
			continue
		}
		err := s.expireSegment(ctx, at, seg)
		if err == nil {
			continue
		}
		failed = errors.Join(failed, fmt.Errorf("remove what has expired from segment %s: %w", seg.info.Data.Name, err))
		if p.mustStop(ctx, err) {
			break
		}
	}
	return failed
}

// mustStop reports whether an error with one segment makes work on others pointless.
func (p *pinned) mustStop(ctx context.Context, err error) bool {
	return ctx.Err() != nil || isFatal(err) || p.in.closed.Load() || errors.Is(err, durable.ErrUncertain)
}

// expireSegment removes a segment, or rewrites it without its expired rows when rows of some
// application are as old as they may become.
func (s *Store) expireSegment(ctx context.Context, at clockReading, seg *segment) error {
	now, late := at.expiries(seg)
	account := func(m *Manifest, made []SegmentInfo) { m.countExpired(seg.info, made) }
	if len(now.rows) == len(seg.info.Apps) && seg.hasExpired(now) {
		if err := s.step("before expiry"); err != nil {
			return err
		}
		return s.replaceSegments(ctx, []*segment{seg}, nil, account)
	}
	oldest, err := s.oldestIn(ctx, seg)
	if err != nil || !oldest.before(late) {
		return err
	}
	if err := s.step("before expiry"); err != nil {
		return err
	}
	inputs := []*segment{seg}
	if err := s.rewrite(ctx, inputs, oldest.onlyExpired(now).unexpired(rowsOf(inputs)), account); err != nil {
		return err
	}
	s.metrics.rewritten()
	return nil
}

// oldest are the minimum times by which rows of an application expire: of its events, of its
// rejections and other residues, of its residues of replays, and of those of erased events. The
// greatest number stands for none.
type oldest struct{ event, other, replay, erased event.Micros }

func (o oldest) before(app string, x expiry) bool {
	rows, some := x.rows[app]
	return some && (min(o.event, o.other) < rows || o.replay < x.replays[app] || o.erased < x.erased[app])
}

// oldestRows are those of all applications in a segment.
type oldestRows map[string]oldest

// before reports whether rows of some application have expired.
func (o oldestRows) before(x expiry) bool {
	for app, rows := range o {
		if rows.before(app, x) {
			return true
		}
	}
	return false
}

// onlyExpired returns the expiry of the applications of which rows have expired.
func (o oldestRows) onlyExpired(x expiry) expiry {
	of := func(c cutoffs) cutoffs {
		c = maps.Clone(c)
		maps.DeleteFunc(c, func(app string, _ event.Micros) bool { rows, ok := o[app]; return !ok || !rows.before(app, x) })
		return c
	}
	return expiry{of(x.rows), of(x.replays), of(x.erased)}
}

// oldestIn returns the oldest rows of a segment. It queries them once. The caller must hold
// s.merging.
func (s *Store) oldestIn(ctx context.Context, seg *segment) (oldestRows, error) {
	if seg.oldest != nil {
		return seg.oldest, nil
	}
	none := strconv.FormatInt(math.MaxInt64, 10)
	erased := strconv.Itoa(int(event.Erased))
	least := func(of string) string { return "COALESCE(min(received_at) FILTER (" + of + "), " + none + ")" }
	text := "SELECT app, min(event), min(other), min(replay), min(erased) FROM (" +
		"SELECT app, min(occurred_at) AS event, " + none + " AS other, " + none + " AS replay, " + none + " AS erased FROM " + seg.table(eventTable) + " GROUP BY app" +
		" UNION ALL SELECT app, " + none + ", min(received_at), " + none + ", " + none + " FROM " + seg.table(rejectionTable) + " GROUP BY app" +
		" UNION ALL SELECT app, " + none + ", " + least("fate <> "+erased+" AND carried_by = frame") + ", " + least("fate <> "+erased+" AND carried_by <> frame") + ", " +
		least("fate = "+erased) + " FROM " + seg.table(residueTable) + " GROUP BY app"
	found := oldestRows{}
	_, err := queryAll(ctx, s, statement{kind: "expire", text: text + ") GROUP BY app"}, func(scan scanner) (struct{}, error) {
		var app string
		var o oldest
		err := scan(&app, &o.event, &o.other, &o.replay, &o.erased)
		found[app] = o
		return struct{}{}, err
	})
	if err == nil {
		seg.oldest = found
	}
	return found, err
}

// unexpired returns the source of the rows that have not expired.
func (x expiry) unexpired(rows source) source {
	return func(table string) string {
		if table != residueTable {
			return "(SELECT " + columnsOf(table) + " FROM " + rows(table) + " WHERE NOT (" + x.rows.condition(table) + "))"
		}
		replays := x.replays.condition(table)
		return "(SELECT " + residueColumns + " FROM " + rows(table) + fmt.Sprintf(" WHERE NOT CASE WHEN fate = %d THEN ", event.Erased) + x.erased.condition(table) +
			" WHEN carried_by <> frame THEN " + replays + " ELSE " + x.rows.condition(table) + " END" +
			fmt.Sprintf(" UNION ALL SELECT app, id, %s%d::UTINYINT, '' FROM ", redactedColumns, event.Expired) + rows(eventTable) +
			" WHERE carried_by <> frame AND (" + x.rows.condition(eventTable) + ") AND NOT (" + replays + "))"
	}
}

// hasExpired reports whether all rows have expired.
func (seg *segment) hasExpired(at expiry) bool {
	received := at.rows.least()
	if seg.info.Replays > 0 {
		received = at.replays.least()
	}
	for _, counts := range seg.info.Apps {
		if counts.Erased > 0 {
			received = min(received, at.erased.least())
		}
	}
	return (seg.info.Occurred.empty() || *seg.info.Occurred.Max < at.rows.least()) &&
		(seg.info.Rows.Rejections+seg.info.Rows.Traces+seg.info.Replays == 0 || *seg.info.Received.Max < received)
}

// least returns the time before which rows of every application have expired.
func (c cutoffs) least() int64 {
	least := int64(math.MaxInt64)
	for _, at := range c {
		least = min(least, int64(at))
	}
	return least
}

// greatest returns the time from which rows of no application have expired.
func (c cutoffs) greatest() int64 {
	greatest := int64(math.MinInt64)
	for _, at := range c {
		greatest = max(greatest, int64(at))
	}
	return greatest
}

// hasRowsBefore reports whether some rows are older than a time.
func (seg *segment) hasRowsBefore(at int64) bool {
	return !seg.info.Occurred.empty() && *seg.info.Occurred.Min < at || seg.info.Rows.Rejections+seg.info.Rows.Traces > 0 && *seg.info.Received.Min < at
}

// condition renders that a row of a table has expired. Applications with one cutoff are in one
// term.
func (c cutoffs) condition(table string) string {
	column := "received_at"
	if table == eventTable {
		column = "occurred_at"
	}
	apps := map[event.Micros][]string{}
	for app, at := range c {
		apps[at] = append(apps[at], quoted(app))
	}
	terms := []string{"FALSE"}
	for _, at := range slices.Sorted(maps.Keys(apps)) {
		slices.Sort(apps[at])
		terms = append(terms, fmt.Sprintf("(%s < %d AND app IN (%s))", column, int64(at), strings.Join(apps[at], ", ")))
	}
	return strings.Join(terms, " OR ")
}

// countExpired accounts for the first arrivals whose rows a rewrite dropped.
func (m *Manifest) countExpired(old SegmentInfo, made []SegmentInfo) {
	gone := maps.Clone(m.Removed)
	if gone == nil {
		gone = map[string]Counts{}
	}
	for app, before := range old.Apps {
		var after Counts
		for _, info := range made {
			after.addAll(info.Apps[app])
		}
		g := gone[app]
		g.Expired += before.Stored - after.Stored + before.Rejected - after.Rejected + before.Expired - after.Expired
		g.Duplicate += before.Duplicate - after.Duplicate
		g.Erased += before.Erased - after.Erased
		gone[app] = g
	}
	m.Removed = gone
}

// expired reports whether an event has expired on arrival.
func (d *decider) expired(e *event.Event) bool {
	if d.store.opts.Retain == nil {
		return false
	}
	at, known := d.cutoffs[e.App]
	if !known {
		at = event.Micros(math.MinInt64)
		if c, some := d.clock.cutoffs(slices.Values([]string{e.App}), 0, 0)[e.App]; some {
			at = c
		}
		d.cutoffs[e.App] = at
	}
	return e.OccurredAt < at
}
