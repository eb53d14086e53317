package duckdb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"theeye/internal/durable"
	"theeye/internal/event"
)

// Retention (S11 apart): an event expires by the time at which it occurred, all else
// by the time of its receipt. A segment goes as a whole when all of it has expired;
// one that has expired in part is written again, but not for a little only.
const (
	// retainSlack is the part of a retention that rows may stay longer.
	retainSlack    = 20
	maxRetainSlack = 24 * time.Hour
)

// moment is a time of the clock by which rows expire.
type moment struct {
	opts *Options
	now  time.Time
	held bool // nothing expires
}

func (s *Store) moment() moment {
	now, held := s.opts.Clock()
	return moment{&s.opts, now, held}
}

// cutoffs are the times before which rows have expired, by application.
type cutoffs map[string]event.Micros

// cutoffs returns those of all applications that have a retention now, moved back
// by a slack. There are none while nothing expires.
func (t moment) cutoffs(apps []string, slack bool) cutoffs {
	if t.opts.Retain == nil || t.held {
		return nil
	}
	c := cutoffs{}
	for _, app := range apps {
		d := t.opts.Retain(app)
		if d <= 0 {
			continue
		}
		if slack {
			d += min(d/retainSlack, maxRetainSlack)
		}
		c[app] = event.Micros(t.now.Add(-d).UnixMicro())
	}
	return c
}

// Newest returns the greatest time of receipt in the segments; zero without any.
func (s *Store) Newest() time.Time {
	newest := time.Time{}
	for _, info := range s.current().manifest.Segments {
		if at := info.Received.Max; at != nil && time.UnixMicro(*at).After(newest) {
			newest = time.UnixMicro(*at)
		}
	}
	return newest
}

// Expire removes what has expired. Writing, flushing and reading go on meanwhile. After an error
// with one segment it goes on with the others.
func (s *Store) Expire(ctx context.Context) error {
	if !s.keeps() || s.opts.Retain == nil {
		return nil
	}
	s.merging.Lock()
	defer s.merging.Unlock()
	p := s.snapshot()
	defer p.release()
	var failed error
	for _, x := range p.view.segments {
		err := s.expire(ctx, x)
		if err == nil {
			continue
		}
		failed = errors.Join(failed, fmt.Errorf("remove what has expired from segment %s: %w", x.info.Data.Name, err))
		if p.stops(ctx, err) {
			break
		}
	}
	return failed
}

// stops reports whether work on other segments is of no use after an error with one.
func (p *snapshot) stops(ctx context.Context, err error) bool {
	return ctx.Err() != nil || isFatal(err) || p.in.gone.Load() || errors.Is(err, durable.ErrUncertain)
}

// expire removes a segment, or the rows of it that have expired.
func (s *Store) expire(ctx context.Context, x *segment) error {
	apps := slices.Sorted(maps.Keys(x.info.Apps))
	at := s.moment()
	if at.held {
		return nil
	}
	now, late := at.cutoffs(apps, false), at.cutoffs(apps, true)
	settle := func(m *Manifest, made []SegmentInfo) { m.bury(x.info, made) }
	switch {
	case len(now) == len(apps) && x.expiredBy(now, late):
		if err := s.step("before expiry"); err != nil {
			return err
		}
		return s.replace(ctx, []*segment{x}, nil, settle)
	case x.someExpiredBy(late):
		inputs := []*segment{x}
		all := rowsOf(inputs)
		if n, err := s.countExpired(ctx, all, now); n == 0 || err != nil {
			return err
		}
		if err := s.step("before expiry"); err != nil {
			return err
		}
		return s.rewrite(ctx, inputs, now.unexpired(all, late), settle)
	}
	return nil
}

// unexpired is a source of the rows that have not expired. An event that was
// replayed leaves a trace for as long as its rejection may be kept, which is until
// late: else that would seem never to have been replayed.
func (c cutoffs) unexpired(rows source, late cutoffs) source {
	return func(table string) string {
		if table != traceTable {
			return "(SELECT " + columnsOf(table) + " FROM " + rows(table) + " WHERE NOT (" + c.condition(table) + "))"
		}
		return "(SELECT " + traceColumns + " FROM " + rows(table) + " WHERE NOT (carried_by = frame AND (" + c.condition(table) + ") OR " + late.condition(table) + ")" +
			fmt.Sprintf(" UNION ALL SELECT app, id, %s%d::UTINYINT, '' FROM ", blankColumns, event.Expired) + rows(eventTable) +
			" WHERE carried_by <> frame AND (" + c.condition(eventTable) + ") AND NOT (" + late.condition(traceTable) + "))"
	}
}

// countExpired counts rows that have expired.
func (s *Store) countExpired(ctx context.Context, rows source, c cutoffs) (n int64, err error) {
	for _, table := range dataTables() {
		some, err := s.one(ctx, statement{kind: "expire", text: "SELECT count(*) FROM " + rows(table) + " WHERE " + c.condition(table)})
		if err != nil {
			return 0, err
		}
		n += some
	}
	return n, nil
}

// expiredBy reports whether all rows have expired, those of replays as late says.
func (x *segment) expiredBy(now, late cutoffs) bool {
	received := now
	if x.info.Replays > 0 {
		received = late
	}
	return (x.info.Occurred.empty() || *x.info.Occurred.Max < now.least()) &&
		(x.info.Rows.Rejections+x.info.Rows.Traces+x.info.Replays == 0 || *x.info.Received.Max < received.least())
}

// least is the time before which rows of all applications have expired.
func (c cutoffs) least() int64 {
	least := int64(math.MaxInt64)
	for _, at := range c {
		least = min(least, int64(at))
	}
	return least
}

// someExpiredBy reports whether some rows may have expired.
func (x *segment) someExpiredBy(c cutoffs) bool {
	for _, at := range c {
		if !x.info.Occurred.empty() && *x.info.Occurred.Min < int64(at) ||
			x.info.Rows.Rejections+x.info.Rows.Traces > 0 && *x.info.Received.Min < int64(at) {
			return true
		}
	}
	return false
}

// condition renders that a row of a table has expired.
func (c cutoffs) condition(table string) string {
	column := "received_at"
	if table == eventTable {
		column = "occurred_at"
	}
	terms := []string{"FALSE"}
	for _, app := range slices.Sorted(maps.Keys(c)) {
		terms = append(terms, fmt.Sprintf("(app = %s AND %s < %d)", quoted(app), column, int64(c[app])))
	}
	return strings.Join(terms, " OR ")
}

// bury notes what became of the first arrivals whose rows were in a segment and
// are not in what was made of it.
func (m *Manifest) bury(old SegmentInfo, made []SegmentInfo) {
	gone := maps.Clone(m.Gone)
	if gone == nil {
		gone = map[string]Counts{}
	}
	for app, before := range old.Apps {
		var after Counts
		for _, info := range made {
			after.sum(info.Apps[app])
		}
		g := gone[app]
		g.Expired += before.Stored - after.Stored + before.Rejected - after.Rejected + before.Expired - after.Expired
		g.Duplicate += before.Duplicate - after.Duplicate
		g.Erased += before.Erased - after.Erased
		gone[app] = g
	}
	m.Gone = gone
}

// expired reports whether an event is older on arrival than its application keeps.
func (x *decider) expired(e *event.Event) bool {
	if x.store.opts.Retain == nil {
		return false
	}
	at, known := x.cutoffs[e.App]
	if !known {
		at = event.Micros(math.MinInt64)
		if c, some := x.moment.cutoffs([]string{e.App}, false)[e.App]; some {
			at = c
		}
		x.cutoffs[e.App] = at
	}
	return e.OccurredAt < at
}
