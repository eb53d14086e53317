package duckdb

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"theeye/internal/erasure"
	"theeye/internal/event"
	"theeye/internal/store"
)

// decision is the outcome of a batch, before it is written.
type decision struct {
	outcomes       []event.Outcome
	events         []*event.Event
	rejections     []*event.Rejection
	residues       []residue
	rejectionBytes int64 // bytes of the bodies of rejections as stored; set when they are inserted
}

// residue is what remains of an arrival that is neither stored nor rejected. Residues are in the
// table traces.
type residue struct {
	app                       string
	eventID                   uuid.UUID
	clientID                  string
	sessionID, category, name string
	receivedAt                event.Micros
	position                  event.Position
	carriedBy                 uint64
	fate                      event.Fate
	problems                  []event.Problem // of a repeated rejection
}

// residueOf returns the residue of a record.
func residueOf(r event.Record, fate event.Fate, problems []event.Problem) residue {
	return residue{
		app:        r.App(),
		eventID:    r.EventID(),
		clientID:   r.ClientID(),
		sessionID:  r.SessionID(),
		category:   r.Category(),
		name:       r.Name(),
		receivedAt: r.ReceivedAt(),
		position:   r.Position(),
		carriedBy:  r.CarriedBy(),
		fate:       fate,
		problems:   problems,
	}
}

// redacted returns the residue without anything that was sent except the event's id.
func (t residue) redacted() residue {
	t.clientID, t.sessionID, t.category, t.name = "", "", "", ""
	return t
}

// decider decides the fates of a batch, and contains what its records are compared with. The caller
// must hold s.writing.
type decider struct {
	*pinned
	clock      clockReading
	bodies     map[idKey]*event.Event // stored events whose bodies have to be compared, including those of this batch
	digests    map[idKey]string       // of events in segments of which a record of the batch is a byte-identical copy
	rejections map[uuid.UUID]struct{} // in segments and in this batch
	erasedIDs  map[idKey]lastErased   // in segments and in this batch
	decision   decision
	cutoffs    map[string]event.Micros      // the times before which events have expired; filled on demand
	covers     map[appSession]erasure.Cover // what the tombstones say about the sessions of the batch; filled on demand
}

// decide decides the fate of each record, as event.Decide and event.DecideRejection define it,
// without writing.
func (p *pinned) decide(ctx context.Context, records []event.Record) (*decision, error) {
	d := &decider{
		pinned:     p,
		clock:      p.store.readClock(),
		bodies:     make(map[idKey]*event.Event, len(records)),
		digests:    map[idKey]string{},
		rejections: map[uuid.UUID]struct{}{},
		erasedIDs:  map[idKey]lastErased{},
		cutoffs:    map[string]event.Micros{},
		covers:     map[appSession]erasure.Cover{},
	}
	d.decision.outcomes = make([]event.Outcome, len(records))
	lookups := withFormer(records)
	if err := d.lookupMemtables(ctx, lookups); err != nil {
		return nil, err
	}
	if err := d.lookupSegments(ctx, lookups); err != nil {
		return nil, err
	}
	for i, record := range records {
		e := record.Event
		if d.wasErased(record) {
			d.decideErased(i, record)
			continue
		}
		if e == nil {
			d.decideRejection(i, record, record.Rejection)
			continue
		}
		key := idKey{p.store.appNumber(e.App), e.ID}
		match := d.match(record)
		outcome, conflict := event.Decide(e, match)
		switch {
		case match == event.Repeated:
			t := residueOf(record, event.Duplicate, nil)
			if !d.cover(appSession{e.App, e.SessionID}).Empty() { // an unfinished erasure may cover the stored event
				t = t.redacted()
			}
			d.decision.outcomes[i] = outcome
			d.decision.residues = append(d.decision.residues, t)
		case d.idWasErased(record):
			d.decideErased(i, record)
		case match == event.Unseen && d.expired(e):
			d.decision.outcomes[i] = event.Outcome{Fate: event.Expired}
			d.decision.residues = append(d.decision.residues, residueOf(record, event.Expired, nil).redacted())
		case match == event.Unseen:
			d.bodies[key] = e
			d.decision.outcomes[i] = outcome
			d.decision.events = append(d.decision.events, e)
		case conflict == nil: // a replay
			d.decision.outcomes[i] = outcome
			d.decision.residues = append(d.decision.residues, residueOf(record, outcome.Fate, outcome.Problems))
		default:
			d.decideRejection(i, record, conflict)
		}
	}
	return &d.decision, nil
}

// withFormer returns the records, and those with other ids in earlier versions also under these
// ids.
func withFormer(records []event.Record) []event.Record {
	all := slices.Clip(records)
	for _, record := range records {
		if former, ok := record.Former(); ok {
			all = append(all, former)
		}
	}
	return all
}

// match compares the event of a record with what is stored under its id or its former id.
func (d *decider) match(record event.Record) event.Match {
	former, _ := record.Former()
	_, known := d.bodies[idKey{d.store.appNumber(record.Event.App), record.Event.ID}]
	switch {
	case d.isDuplicate(record.Event), former.Event != nil && d.isDuplicate(former.Event):
		return event.Repeated
	case known:
		return event.Conflicting
	}
	return event.Unseen
}

// isDuplicate reports whether an event with the same id and the same body is stored.
func (d *decider) isDuplicate(e *event.Event) bool {
	key := idKey{d.store.appNumber(e.App), e.ID}
	if first, found := d.bodies[key]; found {
		return event.MatchOf(first, e) == event.Repeated
	}
	return d.isIdentical(key, e)
}

// isKnownRejection reports whether a rejection is stored already.
func (d *decider) isKnownRejection(id uuid.UUID) bool {
	if _, before := d.rejections[id]; before {
		return true
	}
	return slices.ContainsFunc(d.tables.memtables, func(mt *memtable) bool {
		_, hot := mt.known.rejections[id]
		return hot
	})
}

// decideErased decides that record i is erased: only its id is kept.
func (d *decider) decideErased(i int, record event.Record) {
	t := residueOf(record, event.Erased, nil).redacted()
	key := idKey{d.store.appNumber(t.app), t.eventID}
	d.erasedIDs[key] = d.erasedIDs[key].merge(t.lastErased())
	d.decision.outcomes[i] = event.Outcome{Fate: event.Erased}
	d.decision.residues = append(d.decision.residues, t)
}

// idWasErased reports whether an event with the id or the former id of a record was erased with its
// session and was received within the dedupe window. Events that were erased with a whole
// application do not count: a later application of that name has ids of its own.
func (d *decider) idWasErased(record event.Record) bool {
	if d.erased.Len() == 0 {
		return false
	}
	if former, ok := record.Former(); ok && d.idWasErased(former) {
		return true
	}
	key := idKey{d.store.appNumber(record.App()), record.EventID()}
	e := d.erasedIDs[key]
	for _, mt := range d.tables.memtables {
		e = e.merge(mt.known.erased[key])
	}
	if e.carriedBy == 0 || int64(e.receivedAt) < d.dedupeStart(record.ReceivedAt()) {
		return false
	}
	app := d.cover(appSession{app: record.App()}).Bounds()
	return e.carriedBy > app.AppFrame && e.receivedAt > app.App
}

// dedupeStart returns the time at which the dedupe window of an arrival begins, in microseconds. A
// system clock that has jumped ahead must not exclude what arrived before the jump from the window.
func (d *decider) dedupeStart(received event.Micros) int64 {
	return min(int64(received), d.clock.now.UnixMicro()) - d.store.opts.DedupeWindow.Microseconds()
}

// decideRejection decides the fate of record i, which is the rejection r or becomes it.
func (d *decider) decideRejection(i int, record event.Record, r *event.Rejection) {
	former, _ := record.Former()
	kept := d.isKnownRejection(r.ID) || former.Rejection != nil && d.isKnownRejection(former.Rejection.ID)
	outcome := event.DecideRejection(r, kept)
	if kept {
		d.decision.outcomes[i] = outcome
		d.decision.residues = append(d.decision.residues, residueOf(record, outcome.Fate, outcome.Problems))
		return
	}
	if record.Event == nil && d.idWasErased(record) {
		d.decideErased(i, record)
		return
	}
	d.rejections[r.ID] = struct{}{}
	d.decision.outcomes[i] = outcome
	d.decision.rejections = append(d.decision.rejections, r)
}

// lookupHot returns what the memtables know about a stored event.
func (d *decider) lookupHot(key idKey) (knownEvent, bool) {
	for _, mt := range d.tables.memtables {
		if e, ok := mt.known.events[key]; ok {
			return e, true
		}
	}
	return knownEvent{}, false
}

// identicalToHot reports whether an event is a byte-identical copy of one in a memtable.
func (d *decider) identicalToHot(key idKey, e *event.Event) bool {
	first, found := d.lookupHot(key)
	return found && first.hash == d.store.bodyHash(e)
}

// lookupMemtables reads the events of the memtables of which records have the ids, but other bytes.
func (d *decider) lookupMemtables(ctx context.Context, records []event.Record) error {
	var ids []uuid.UUID
	var from, to uint64
	for _, record := range records {
		if record.Event == nil {
			continue
		}
		key := idKey{d.store.appNumber(record.Event.App), record.Event.ID}
		first, found := d.lookupHot(key)
		if !found || first.hash == d.store.bodyHash(record.Event) {
			continue
		}
		if ids == nil {
			from = first.carriedBy
		}
		from, to = min(from, first.carriedBy), max(to, first.carriedBy)
		ids = append(ids, record.Event.ID)
	}
	if ids == nil {
		return nil
	}
	for _, mt := range d.tables.memtables {
		b := newBuilder()
		text := "SELECT " + eventColumns + " FROM " + hotName(eventTable, mt.number) + " WHERE carried_by BETWEEN " + b.Bind(from) + " AND " + b.Bind(to) +
			" AND " + b.idIn(ids)
		if err := d.loadBodies(ctx, b.build("write", text)); err != nil {
			return err
		}
	}
	return nil
}

// loadBodies reads stored events whose bodies have to be compared.
func (d *decider) loadBodies(ctx context.Context, q statement) error {
	events, err := queryAll(ctx, d.store, d.onWriter(q), scanEvent)
	for i := range events {
		e := &events[i]
		d.bodies[idKey{d.store.appNumber(e.App), e.ID}] = e
	}
	return err
}

// onWriter returns a statement that runs on the writer's connection, where it does not wait for
// readers.
func (p *pinned) onWriter(q statement) statement {
	q.on = p.store.writer
	return q
}

// previousOutcomes returns the outcomes of a batch that was written before.
func (p *pinned) previousOutcomes(ctx context.Context, b store.Batch) ([]event.Outcome, error) {
	type place struct {
		carriedBy uint64
		position  event.Position
	}
	type found struct {
		place
		event.Outcome
	}
	q := newBuilder()
	between := " WHERE carried_by BETWEEN " + q.Bind(b.First) + " AND " + q.Bind(b.Last)
	carried := func(seg *segment) bool { return seg.info.Carried.overlaps(int64(b.First), int64(b.Last)) }
	text := fmt.Sprintf(`SELECT carried_by, frame, frame_index, %d::INTEGER, '' FROM %s%s
		UNION ALL SELECT carried_by, frame, frame_index, %d, problems FROM %s%s
		UNION ALL SELECT carried_by, frame, frame_index, fate, problems FROM %s%s`,
		event.Stored, p.rowsWhere(eventTable, carried), between, event.Rejected, p.rowsWhere(rejectionTable, carried), between, p.rowsWhere(residueTable, carried), between)
	rows, err := queryAll(ctx, p.store, p.onWriter(q.build("write", text)), func(scan scanner) (found, error) {
		var f found
		var fate int
		var problems string
		err := scan(&f.carriedBy, &f.position.Frame, &f.position.Index, &fate, &problems)
		if err == nil {
			f.Fate = event.Fate(fate)
			f.Problems, err = parseProblems(problems)
		}
		return f, err
	})
	if err != nil {
		return nil, err
	}
	byPlace := make(map[place]event.Outcome, len(rows))
	for _, f := range rows {
		byPlace[f.place] = f.Outcome
	}
	outcomes := make([]event.Outcome, len(b.Records))
	for i, r := range b.Records {
		outcome, ok := byPlace[place{r.CarriedBy(), r.Position()}]
		if !ok {
			return nil, fmt.Errorf("a record of frame %d that was written before is missing", r.CarriedBy())
		}
		outcomes[i] = outcome
	}
	return outcomes, nil
}

// wasErased reports whether a record belongs to an erased session or application.
func (d *decider) wasErased(r event.Record) bool {
	if r.Erased != nil {
		return true
	}
	return d.cover(appSession{r.App(), r.SessionID()}).Has(r)
}

// cover returns what the tombstones say about a session. It looks that up once for a batch.
func (d *decider) cover(key appSession) erasure.Cover {
	if d.erased.Len() == 0 {
		return erasure.Cover{}
	}
	cover, known := d.covers[key]
	if !known {
		cover = d.erased.Cover(key.app, key.session)
		d.covers[key] = cover
	}
	return cover
}

// appSession is a session of one application, or, without a session, the application.
type appSession struct{ app, session string }
