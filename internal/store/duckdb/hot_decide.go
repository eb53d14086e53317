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

// decision is what becomes of a batch before it is written.
type decision struct {
	outcomes   []event.Outcome
	events     []*event.Event
	rejections []*event.Rejection
	traces     []trace
	stored     int64 // bytes of the rejections' bodies as they are stored, once they are inserted
}

// trace is what is left of an arrival that adds nothing.
type trace struct {
	app                       string
	eventID                   uuid.UUID
	clientID                  string
	sessionID, category, name string
	receivedAt                event.Micros
	position                  event.Position
	carriedBy                 uint64
	fate                      event.Fate
	problems                  []event.Problem // of a rejection that came again
}

// traceOf returns the trace of a record.
func traceOf(r event.Record, fate event.Fate, problems []event.Problem) trace {
	return trace{
		app: r.App(), eventID: r.EventID(), clientID: r.ClientID(),
		sessionID: r.SessionID(), category: r.Category(), name: r.Name(),
		receivedAt: r.ReceivedAt(), position: r.Position(), carriedBy: r.CarriedBy(),
		fate: fate, problems: problems,
	}
}

// blank leaves nothing of what was sent but the event's id.
func (t trace) blank() trace {
	t.clientID, t.sessionID, t.category, t.name = "", "", "", ""
	return t
}

// decider holds what records are compared with. The writer's lock is held.
type decider struct {
	*pinned
	moment   moment
	stored   map[idKey]*event.Event // whose bodies have to be compared
	repeated map[idKey]string       // digests of events of segments, as far as some record has the same
	refused  map[uuid.UUID]struct{} // rejections of segments, and of this batch
	gone     map[idKey]erasedID     // what was erased: ids of segments, and of this batch
	d        decision
	cutoffs  map[string]event.Micros      // before which events have expired, as far as asked
	covers   map[appSession]erasure.Cover // what was erased of the sessions of the batch
}

// decide finds the fate of each record by R2 and R3, without writing.
func (p *pinned) decide(ctx context.Context, records []event.Record) (*decision, error) {
	x := &decider{pinned: p, moment: p.store.moment(), stored: make(map[idKey]*event.Event, len(records)), refused: map[uuid.UUID]struct{}{}, repeated: map[idKey]string{}, gone: map[idKey]erasedID{},
		cutoffs: map[string]event.Micros{}, covers: map[appSession]erasure.Cover{},
	}
	x.d.outcomes = make([]event.Outcome, len(records))
	asked := withFormer(records)
	if err := x.recallHot(ctx, asked); err != nil {
		return nil, err
	}
	if err := x.recallFlushed(ctx, asked); err != nil {
		return nil, err
	}
	for i, record := range records {
		e := record.Event
		if x.wasErased(record) {
			x.erase(i, record)
			continue
		}
		if e == nil {
			x.refuse(i, record, record.Rejection)
			continue
		}
		key := idKey{p.store.number(e.App), e.ID}
		match := x.match(record)
		outcome, conflict := event.Decide(e, match)
		switch {
		case match == event.Repeated:
			t := traceOf(record, event.Duplicate, nil)
			if !x.cover(appSession{e.App, e.SessionID}).Empty() { // what it repeats may be about to go
				t = t.blank()
			}
			x.d.outcomes[i] = outcome
			x.d.traces = append(x.d.traces, t)
		case x.idWasErased(record):
			x.erase(i, record)
		case match == event.Unseen && x.expired(e):
			x.d.outcomes[i] = event.Outcome{Fate: event.Expired}
			x.d.traces = append(x.d.traces, traceOf(record, event.Expired, nil).blank())
		case match == event.Unseen:
			x.stored[key] = e
			x.d.outcomes[i] = outcome
			x.d.events = append(x.d.events, e)
		case conflict == nil: // a replay
			x.d.outcomes[i] = outcome
			x.d.traces = append(x.d.traces, traceOf(record, outcome.Fate, outcome.Problems))
		default:
			x.refuse(i, record, conflict)
		}
	}
	return &x.d, nil
}

// withFormer adds to records what they would be under the ids that versions before gave
// them.
func withFormer(records []event.Record) []event.Record {
	all := slices.Clip(records)
	for _, record := range records {
		if former, ok := record.Former(); ok {
			all = append(all, former)
		}
	}
	return all
}

// match compares the event of a record with what is stored under its id, present or former.
func (x *decider) match(record event.Record) event.Match {
	former, _ := record.Former()
	_, known := x.stored[idKey{x.store.number(record.Event.App), record.Event.ID}]
	switch {
	case x.isStored(record.Event), former.Event != nil && x.isStored(former.Event):
		return event.Repeated
	case known:
		return event.Conflicting
	}
	return event.Unseen
}

// isStored reports whether an event with the same id and the same body is stored.
func (x *decider) isStored(e *event.Event) bool {
	key := idKey{x.store.number(e.App), e.ID}
	if first, again := x.stored[key]; again {
		return event.MatchOf(first, e) == event.Repeated
	}
	return x.repeats(key, e)
}

// isRefused reports whether a rejection is kept.
func (x *decider) isRefused(id uuid.UUID) bool {
	if _, before := x.refused[id]; before {
		return true
	}
	return slices.ContainsFunc(x.tables.memtables, func(mt *memtable) bool {
		_, hot := mt.refused[id]
		return hot
	})
}

// erase decides that nothing is kept of record i.
func (x *decider) erase(i int, record event.Record) {
	t := traceOf(record, event.Erased, nil).blank()
	key := idKey{x.store.number(t.app), t.eventID}
	x.gone[key] = x.gone[key].and(t.erasedID())
	x.d.outcomes[i] = event.Outcome{Fate: event.Erased}
	x.d.traces = append(x.d.traces, t)
}

// idWasErased reports whether an event with the id of a record, present or former, went by the erasure of
// a session, and was received within the dedupe window. What went with a whole application does not
// count: the ids of its successor are its own.
func (x *decider) idWasErased(record event.Record) bool {
	if x.erased.Len() == 0 {
		return false
	}
	if former, ok := record.Former(); ok && x.idWasErased(former) {
		return true
	}
	key := idKey{x.store.number(record.App()), record.EventID()}
	e := x.gone[key]
	for _, mt := range x.tables.memtables {
		e = e.and(mt.erased[key])
	}
	if e.carriedBy == 0 || int64(e.receivedAt) < x.window(record.ReceivedAt()) {
		return false
	}
	app := x.cover(appSession{app: record.App()}).Bounds()
	return e.carriedBy > app.AppFrame && e.receivedAt > app.App
}

// window returns the time at which the dedupe window of an arrival begins, in microseconds. A system
// clock that has jumped ahead must not make the window pass over what came before the jump.
func (x *decider) window(received event.Micros) int64 {
	return min(int64(received), x.moment.now.UnixMicro()) - x.store.opts.DedupeWindow.Microseconds()
}

// refuse decides about a rejection that record i is or becomes.
func (x *decider) refuse(i int, record event.Record, r *event.Rejection) {
	former, _ := record.Former()
	kept := x.isRefused(r.ID) || former.Rejection != nil && x.isRefused(former.Rejection.ID)
	outcome := event.DecideRejection(r, kept)
	if kept {
		x.d.outcomes[i] = outcome
		x.d.traces = append(x.d.traces, traceOf(record, outcome.Fate, outcome.Problems))
		return
	}
	if record.Event == nil && x.idWasErased(record) {
		x.erase(i, record)
		return
	}
	x.refused[r.ID] = struct{}{}
	x.d.outcomes[i] = outcome
	x.d.rejections = append(x.d.rejections, r)
}

// seenAs returns what is remembered of an event that is stored in hot tables.
func (x *decider) seenAs(key idKey) (arrival, bool) {
	for _, mt := range x.tables.memtables {
		if a, ok := mt.seen[key]; ok {
			return a, true
		}
	}
	return arrival{}, false
}

// sameAsSeen reports whether an event repeats one of the hot tables byte for byte.
func (x *decider) sameAsSeen(key idKey, e *event.Event) bool {
	first, again := x.seenAs(key)
	return again && first.body == x.store.bodyHash(e)
}

// recallHot reads those events of the hot tables whose ids come again with bytes
// that differ.
func (x *decider) recallHot(ctx context.Context, records []event.Record) error {
	var ids []uuid.UUID
	var from, to uint64
	for _, record := range records {
		if record.Event == nil {
			continue
		}
		key := idKey{x.store.number(record.Event.App), record.Event.ID}
		first, again := x.seenAs(key)
		if !again || first.body == x.store.bodyHash(record.Event) {
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
	for _, mt := range x.tables.memtables {
		b := newBuilder()
		text := "SELECT " + eventColumns + " FROM " + hotName(eventTable, mt.number) + " WHERE carried_by BETWEEN " + b.Var(from) + " AND " + b.Var(to) +
			" AND " + b.idIn(ids)
		if err := x.recall(ctx, b.build("write", text)); err != nil {
			return err
		}
	}
	return nil
}

// recall reads events to be compared with.
func (x *decider) recall(ctx context.Context, q statement) error {
	events, err := queryAll(ctx, x.store, x.own(q), scanEvent)
	for i := range events {
		e := &events[i]
		x.stored[idKey{x.store.number(e.App), e.ID}] = e
	}
	return err
}

// own lets a statement run on the writer's connection, so that it does not wait
// for readers.
func (p *pinned) own(q statement) statement {
	q.on = p.store.writer
	return q
}

// again returns what the first writing of a batch returned.
func (p *pinned) again(ctx context.Context, b store.Batch) ([]event.Outcome, error) {
	type place struct {
		carriedBy uint64
		position  event.Position
	}
	type found struct {
		place
		event.Outcome
	}
	q := newBuilder()
	between := " WHERE carried_by BETWEEN " + q.Var(b.First) + " AND " + q.Var(b.Last)
	carried := func(seg *segment) bool { return seg.info.Carried.touches(int64(b.First), int64(b.Last)) }
	text := fmt.Sprintf(`SELECT carried_by, frame, frame_index, %d::INTEGER, '' FROM %s%s
		UNION ALL SELECT carried_by, frame, frame_index, %d, problems FROM %s%s
		UNION ALL SELECT carried_by, frame, frame_index, fate, problems FROM %s%s`,
		event.Stored, p.all(eventTable, carried), between, event.Rejected, p.all(rejectionTable, carried), between, p.all(traceTable, carried), between)
	rows, err := queryAll(ctx, p.store, p.own(q.build("write", text)), func(scan scanner) (found, error) {
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
			return nil, fmt.Errorf("a record of frame %d that was written before is not there", r.CarriedBy())
		}
		outcomes[i] = outcome
	}
	return outcomes, nil
}
