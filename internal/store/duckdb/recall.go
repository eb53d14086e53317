package duckdb

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"theeye/internal/event"
)

// wanted is what has to be looked for in one segment.
type wanted struct {
	slices []int
	events []uuid.UUID // ids of events that may be stored there
	others []uuid.UUID // ids of rejections that may be kept there
}

// recallFlushed reads what the segments hold of the records' ids (S6): from those
// whose bounds hold an event's sent time, and from all that received anything
// within the dedupe window. It asks filters first, and then each segment that may
// have something once.
func (x *decider) recallFlushed(ctx context.Context, records []event.Record) error {
	if len(x.view.segments) == 0 {
		return nil
	}
	found := map[*segment]*wanted{}
	for _, record := range records {
		x.lookFor(record, found)
	}
	for _, segment := range x.view.segments {
		w := found[segment]
		if w == nil {
			continue
		}
		if len(w.events) > 0 {
			b := newBuilder()
			text := "SELECT " + eventColumns + " FROM " + segment.table(eventTable) + " WHERE " + sliceIn(distinct(w.slices)) + " AND " + b.idIn("id", w.events)
			if err := x.recall(ctx, b.build("dedupe", text)); err != nil {
				return err
			}
		}
		if len(w.others) > 0 {
			b := newBuilder()
			text := "SELECT id FROM " + segment.table(rejectionTable) + " WHERE " + b.idIn("id", w.others)
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

// lookFor notes the segments that may have something of a record.
func (x *decider) lookFor(record event.Record, found map[*segment]*wanted) {
	app, id, sent, received := record.App(), uuid.UUID{}, event.Micros(0), event.Micros(0)
	if e := record.Event; e != nil {
		id, sent, received = e.ID, e.SentTime, e.ReceivedAt
		if _, hot := x.seenAs(idKey{x.store.number(app), id}); hot {
			return // first write wins, and the first is known
		}
	} else {
		id, sent, received = record.Rejection.EventID, record.Rejection.SentTime, record.Rejection.ReceivedAt
	}
	window := int64(received) - x.store.opts.DedupeWindow.Microseconds()
	key := eventKey(app, id)
	for _, segment := range x.view.segments {
		inWindow := !segment.info.Received.empty() && *segment.info.Received.Max >= window
		if !inWindow && (sent == 0 || !segment.info.Sent.touches(int64(sent), int64(sent))) {
			continue
		}
		hit, others := segment.slicesOf(key)
		if len(hit) == 0 && !others {
			continue
		}
		w := found[segment]
		if w == nil {
			w = &wanted{}
			found[segment] = w
		}
		switch e := record.Event; {
		case e == nil && others:
			w.others = append(w.others, record.Rejection.ID)
		case e != nil:
			w.slices = append(w.slices, hit...)
			if len(hit) > 0 {
				w.events = append(w.events, id)
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

// idIn renders that a column of ids has one of a list, which may be long.
func (b builder) idIn(column string, ids []uuid.UUID) string {
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
