package duckdb

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"theeye/internal/event"
)

// Erased counts what an erasure has removed from one application.
type Erased struct {
	Events     int64
	Rejections int64
}

// Bury begins the erasure of a session (S11): what arrives from now on for it in
// any of the applications has the fate erased when it was received, was sent or
// occurred not after at, or tells no sent time. The tombstones are durable when it returns. frame is the last
// frame that may hold something of the session; the erasure is finished by Erase
// when the store has flushed it.
func (s *Store) Bury(apps []string, session string, at event.Micros, frame uint64) error {
	return s.bury(func(m *Manifest) (added []Tombstone) {
		for _, app := range apps {
			added = append(added, Tombstone{Hash: m.hashOf(buried{app, session}), At: at, Frame: frame})
		}
		return added
	})
}

// BuryApp begins the erasure of all that an application sent: what was received
// not after at has the fate erased, whatever time it tells. So what another
// application of that name sends later is stored. The rest is as with Bury.
func (s *Store) BuryApp(app string, at event.Micros, frame uint64) error {
	return s.bury(func(m *Manifest) []Tombstone {
		return []Tombstone{{Hash: m.hashOfApp(app), At: at, Frame: frame}}
	})
}

// bury adds tombstones, which are durable when it returns.
func (s *Store) bury(added func(*Manifest) []Tombstone) error {
	s.upkeep.Lock()
	defer s.upkeep.Unlock()
	s.writing.Lock() // no batch is decided by what was before
	defer s.writing.Unlock()
	m := *s.current().manifest
	m.Tombstones = slices.Clone(m.Tombstones)
	if err := m.needKey(); err != nil {
		return err
	}
	m.Tombstones = append(m.Tombstones, added(&m)...)
	if err := s.step("before tombstone"); err != nil {
		return err
	}
	if err := m.writeTombstones(s.opts.Tombstones); err != nil {
		return err
	}
	if err := s.commit(m); err != nil {
		return err
	}
	s.change(func(next *state) { next.manifest = s.committed(m) })
	return s.step("tombstone written")
}

// Erasing reports whether anything was ever erased: then the queue may hold
// something of it, until it is trimmed.
func (s *Store) Erasing() bool { return len(s.current().manifest.Tombstones) > 0 }

// Erase removes from the segments all that has a tombstone, and returns what it
// removed by application. It must be called when the store has flushed the frames
// of the tombstones, and the queue was trimmed up to them. Rows that are removed
// leave a trace with the event's id and the fate erased.
func (s *Store) Erase(ctx context.Context) (map[string]Erased, error) {
	report := map[string]Erased{}
	return report, s.tended(ctx, func(ctx context.Context) error { return s.eraseOpen(ctx, report) })
}

// eraseOpen is Erase; it adds to report.
func (s *Store) eraseOpen(ctx context.Context, report map[string]Erased) error {
	s.merging.Lock()
	defer s.merging.Unlock()
	p := s.snapshot()
	defer p.release()
	var open []Tombstone
	for _, t := range p.manifest.Tombstones {
		if !t.Done && t.Frame <= p.manifest.Flushed {
			open = append(open, t)
		}
	}
	if len(open) == 0 {
		return nil
	}
	for _, x := range p.view.segments {
		graves, err := s.gravesIn(ctx, p.manifest, x, open)
		if err != nil {
			return err
		}
		if len(graves) == 0 {
			continue
		}
		if err := s.step("before erasure"); err != nil {
			return err
		}
		inputs := []*segment{x}
		if err := s.rewrite(ctx, inputs, withoutGraves(rowsOf(inputs), graves), func(*Manifest, []SegmentInfo) {}); err != nil {
			return fmt.Errorf("erase from segment %s: %w", x.info.Data.Name, err)
		}
		for _, g := range graves {
			n := report[g.app]
			n.Events += g.events
			n.Rejections += g.rejections
			report[g.app] = n
		}
	}
	return s.finish(open)
}

// finish notes that erasures are done.
func (s *Store) finish(open []Tombstone) error {
	s.upkeep.Lock()
	defer s.upkeep.Unlock()
	m := *s.current().manifest
	m.Tombstones = slices.Clone(m.Tombstones)
	for i, t := range m.Tombstones {
		if slices.Contains(open, t) {
			m.Tombstones[i].Done = true
		}
	}
	if err := s.commit(m); err != nil {
		return err
	}
	s.change(func(next *state) { next.manifest = s.committed(m) })
	return nil
}

// grave is a session of one application in one segment that is to be erased, or
// all of the application.
type grave struct {
	buried
	whole                      bool
	at                         event.Micros
	events, rejections, traces int64
}

// gravesIn finds the sessions of a segment that have open tombstones. A hash does
// not tell its session: those of the segment are hashed and compared.
func (s *Store) gravesIn(ctx context.Context, m *Manifest, x *segment, open []Tombstone) ([]grave, error) {
	byHash := map[string]event.Micros{}
	for _, t := range open {
		byHash[t.Hash] = max(byHash[t.Hash], t.At)
	}
	text := fmt.Sprintf("SELECT DISTINCT app, session_id FROM (SELECT app, session_id FROM %s UNION ALL SELECT app, session_id FROM %s UNION ALL SELECT app, session_id FROM %s)",
		x.table(sessionTable), x.table(rejectionTable), x.table(traceTable))
	found, err := queryAll(ctx, s, statement{kind: "erase", text: text}, func(scan scanner) (b buried, err error) {
		err = scan(&b.app, &b.session)
		return b, err
	})
	if err != nil {
		return nil, err
	}
	dug := map[grave]bool{}
	for _, b := range found {
		if at, ok := byHash[m.hashOfApp(b.app)]; ok {
			dug[grave{buried: buried{app: b.app}, whole: true, at: at}] = true
		} else if at, ok := byHash[m.hashOf(b)]; ok && b.session != "" {
			dug[grave{buried: b, at: at}] = true
		}
	}
	var graves []grave
	for g := range dug {
		for table, n := range map[string]*int64{eventTable: &g.events, rejectionTable: &g.rejections, traceTable: &g.traces} {
			if *n, err = s.one(ctx, statement{kind: "erase", text: "SELECT count(*) FROM " + x.table(table) + " WHERE " + g.condition(table)}); err != nil {
				return nil, err
			}
		}
		if g.events+g.rejections+g.traces > 0 {
			graves = append(graves, g)
		}
	}
	return graves, nil
}

// condition renders that a row of a table is to be erased.
func (g grave) condition(table string) string {
	if g.whole {
		return fmt.Sprintf("(app = %s AND received_at <= %d)", quoted(g.app), int64(g.at))
	}
	// A clock, or a time zone, may be ahead: what came before the erasure goes.
	times := []string{"received_at"}
	switch table {
	case eventTable:
		times = append(times, "sent_time", "occurred_at")
	case rejectionTable:
		times = append(times, "sent_time") // absent is 0
	}
	return "(app = " + quoted(g.app) + " AND session_id = " + quoted(g.session) + fmt.Sprintf(" AND least(%s) <= %d)", strings.Join(times, ", "), int64(g.at))
}

// blankColumns are those of a trace between the event's id and the fate, with
// nothing of what was sent.
const blankColumns = "'' AS client_id, '' AS session_id, '' AS category, '' AS name, received_at, frame, frame_index, carried_by, "

// withoutGraves is a source of rows without those to be erased, and with their
// traces.
func withoutGraves(rows source, graves []grave) source {
	condition := func(table string) string {
		terms := make([]string, len(graves))
		for i, g := range graves {
			terms[i] = g.condition(table)
		}
		return "(" + strings.Join(terms, " OR ") + ")"
	}
	return func(table string) string {
		text := "(SELECT " + columnsOf(table) + " FROM " + rows(table) + " WHERE NOT " + condition(table)
		if table != traceTable {
			return text + ")"
		}
		return text +
			" UNION ALL SELECT app, event_id, " + blankColumns + "fate, '' AS problems FROM " + rows(traceTable) + " WHERE " + condition(traceTable) +
			fmt.Sprintf(" UNION ALL SELECT app, id, %s%d::UTINYINT, '' FROM ", blankColumns, event.Erased) + rows(eventTable) + " WHERE " + condition(eventTable) +
			fmt.Sprintf(" UNION ALL SELECT app, event_id, %s%d::UTINYINT, '' FROM ", blankColumns, event.Erased) + rows(rejectionTable) + " WHERE " + condition(rejectionTable) + ")"
	}
}

// wasErased reports whether a record belongs to an erased session or application.
// Of a session, all belongs to it that was received, sent or occurred before the
// erasure: a retry repeats its sent time, which may be ahead of the server's clock, and
// a replay its time of receipt, while its time may have been repaired.
func (x *decider) wasErased(r event.Record) bool {
	if len(x.manifest.Tombstones) == 0 {
		return false
	}
	var b buried
	var sent, received event.Micros
	if e := r.Event; e != nil {
		b, sent, received = buried{e.App, e.SessionID}, min(e.SentTime, e.OccurredAt), e.ReceivedAt
	} else {
		b, sent, received = buried{r.Rejection.App, r.Rejection.SessionID}, r.Rejection.SentTime, r.Rejection.ReceivedAt
	}
	if received <= x.appErased(b.app) {
		return true
	}
	at, known := x.erased[b]
	if !known {
		at = x.tombstones[x.manifest.hashOf(b)]
		x.erased[b] = at
	}
	return at > 0 && min(sent, received) <= at
}

// appErased returns when an application was erased; 0 for never.
func (x *decider) appErased(app string) event.Micros {
	at, known := x.erasedApps[app]
	if !known {
		at = x.tombstones[x.manifest.hashOfApp(app)]
		x.erasedApps[app] = at
	}
	return at
}
