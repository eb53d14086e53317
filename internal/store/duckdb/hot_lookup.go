package duckdb

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"theeye/internal/event"
)

// wanted is what has to be looked for in one segment.
type wanted struct {
	slices []int
	events []*event.Event // that may be stored there
	others []uuid.UUID    // ids of rejections that may be kept there
	gone   []uuid.UUID    // ids of events that may have been erased there
}

// recallFlushed reads what the segments hold of the records' ids (S6): from those
// whose bounds hold an event's sent time, and from all that received anything
// within the dedupe window; a replay, which may come long after its time of receipt
// and with a repaired timestamp, from all. It asks filters first, and then each segment that may
// have something once.
func (x *decider) recallFlushed(ctx context.Context, records []event.Record) error {
	if len(x.tables.segments) == 0 {
		return nil
	}
	found := map[*segment]*wanted{}
	for _, record := range records {
		if record.Erased == nil {
			x.lookFor(record, found)
		}
	}
	for _, segment := range x.tables.segments {
		w := found[segment]
		if w == nil {
			continue
		}
		if len(w.events) > 0 {
			if err := x.recallEvents(ctx, segment, w); err != nil {
				return err
			}
		}
		if len(w.gone) > 0 {
			if err := x.recallErased(ctx, segment, w.gone); err != nil {
				return err
			}
		}
		if len(w.others) > 0 {
			b := newBuilder()
			text := "SELECT id FROM " + segment.table(rejectionTable) + " WHERE " + b.idIn(w.others)
			ids, err := queryAll(ctx, x.store, x.own(b.build("dedupe", text)), scanID)
			if err != nil {
				return err
			}
			for _, id := range ids {
				x.refused[id] = struct{}{}
			}
		}
	}
	return nil
}

// recallErased finds which ids of events were erased from a segment, or when they came.
func (x *decider) recallErased(ctx context.Context, segment *segment, ids []uuid.UUID) error {
	b := newBuilder()
	text := "SELECT app, event_id, carried_by, received_at FROM " + segment.table(traceTable) + " WHERE fate = " + strconv.Itoa(int(event.Erased)) + " AND " + b.among("event_id", ids)
	_, err := queryAll(ctx, x.store, x.own(b.build("dedupe", text)), func(scan scanner) (none struct{}, err error) {
		var t trace
		err = scan(&t.app, &t.eventID, &t.carriedBy, &t.receivedAt)
		key := idKey{x.store.number(t.app), t.eventID}
		x.gone[key] = x.gone[key].and(t.erasedID())
		return none, err
	})
	return err
}

// recallEvents finds which events a segment has. Most are repeated byte for byte,
// which a digest tells: only of the others the stored body is read.
func (x *decider) recallEvents(ctx context.Context, segment *segment, w *wanted) error {
	ids := make([]uuid.UUID, len(w.events))
	for i, e := range w.events {
		ids[i] = e.ID
	}
	b := newBuilder()
	text := "SELECT app, id, " + digestSQL + " FROM " + segment.table(eventTable) + " WHERE " + sliceIn(distinct(w.slices)) + " AND " + b.idIn(ids)
	stored := map[idKey]string{}
	_, err := queryAll(ctx, x.store, x.own(b.build("dedupe", text)), func(scan scanner) (none struct{}, err error) {
		var app, digest string
		var id uuid.UUID
		err = scan(&app, &id, &digest)
		stored[idKey{x.store.number(app), id}] = digest
		return none, err
	})
	if err != nil {
		return err
	}
	var others []uuid.UUID
	for _, e := range w.events {
		key := idKey{x.store.number(e.App), e.ID}
		switch there, ok := stored[key]; {
		case !ok: // the filter was wrong
		case there == digest(e):
			x.repeated[key] = there
		default:
			others = append(others, e.ID)
		}
	}
	if len(others) == 0 {
		return nil
	}
	b = newBuilder()
	text = "SELECT " + segment.columnsOf(eventTable) + " FROM " + segment.table(eventTable) + " WHERE " + sliceIn(w.slices) + " AND " + b.idIn(others)
	return x.recall(ctx, b.build("dedupe", text))
}

// digest is equal for events whose bodies are the same byte for byte; digestSQL
// renders it in hexadecimal. No text has a NUL.
func digest(e *event.Event) string {
	b := make([]byte, 0, len(e.SessionID)+len(e.Category)+len(e.Name)+len(e.Timestamp)+len(e.Sender)+len(e.Data)+32)
	for _, text := range []string{e.SessionID, e.Category, e.Name, e.Timestamp, e.Sender} {
		b = append(append(b, text...), 0)
	}
	b = append(strconv.AppendInt(b, e.Seq, 10), 0)
	sum := sha256.Sum256(append(b, e.Data...))
	return hex.EncodeToString(sum[:])
}

const digestSQL = `sha256(concat(session_id, chr(0), category, chr(0), name, chr(0), "timestamp", chr(0), sender, chr(0), seq, chr(0), data))`

// repeats reports whether an event repeats a stored one byte for byte.
func (x *decider) repeats(key idKey, e *event.Event) bool {
	if x.sameAsSeen(key, e) {
		return true
	}
	first, again := x.repeated[key]
	return again && first == digest(e)
}

// lookFor notes the segments that may have something of a record.
func (x *decider) lookFor(record event.Record, found map[*segment]*wanted) {
	app, id, sent := record.App(), record.EventID(), record.SentTime()
	if record.Event != nil {
		if _, hot := x.seenAs(idKey{x.store.number(app), id}); hot {
			return // first write wins, and the first is known
		}
	}
	window := x.window(record.ReceivedAt())
	apps := []string{app}
	for _, segment := range x.tables.segments {
		inWindow := record.IsReplay() || !segment.info.Received.empty() && *segment.info.Received.Max >= window
		if !inWindow && (sent == 0 || !segment.info.Sent.touches(int64(sent), int64(sent))) {
			continue
		}
		hit, others := segment.slicesOfIDs(apps, id)
		if len(hit) == 0 && !others {
			continue
		}
		w := found[segment]
		if w == nil {
			w = &wanted{}
			found[segment] = w
		}
		if others && x.erased.Len() > 0 && segment.info.Rows.Traces > 0 {
			w.gone = append(w.gone, id)
		}
		switch e := record.Event; {
		case e == nil && others:
			w.others = append(w.others, record.Rejection.ID)
		case e != nil:
			w.slices = append(w.slices, hit...)
			if len(hit) > 0 {
				w.events = append(w.events, e)
			}
			if others { // it may conflict as it did before
				w.others = append(w.others, event.Conflict(e).ID)
			}
		}
	}
}

// sliceIn renders that a row is in one of the slices.
func sliceIn(numbers []int) string {
	list := make([]string, 0, len(numbers))
	for _, i := range numbers {
		list = append(list, strconv.Itoa(i))
	}
	return "slice IN (" + strings.Join(list, ", ") + ")"
}

func distinct(list []int) []int {
	slices.Sort(list)
	return slices.Compact(list)
}

// idIn renders that an id is one of a list, which may be long.
func (b builder) idIn(ids []uuid.UUID) string { return b.among("id", ids) }

// among is idIn for another column of ids.
func (b builder) among(column string, ids []uuid.UUID) string {
	list := make([]any, len(ids))
	for i, id := range ids {
		list[i] = id.String()
	}
	return column + " IN (SELECT CAST(unnest(" + b.Var(list) + "::VARCHAR[]) AS UUID))"
}

func scanID(scan scanner) (id uuid.UUID, err error) {
	err = scan(&id)
	return id, err
}
