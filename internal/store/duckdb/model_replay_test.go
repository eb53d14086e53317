package duckdb_test

import (
	"slices"
	"time"

	"pgregory.net/rapid"

	"theeye/internal/event"
	"theeye/internal/query"
)

// repairedFrom is the first number of events that only come as rejections, and whose
// time a replay repairs.
const repairedFrom = 42

// replay carries some of the rejections once more, also such as were replayed before,
// with the same body as others have and with another.
func (l *life) replay() {
	p, err := l.store.Rejections(l.Context(), query.Query{Limit: query.MaxLimit})
	l.do(err)
	if len(p.Items) == 0 {
		return
	}
	var records []event.Record
	var places []event.Position
	for range rapid.IntRange(1, 4).Draw(l.T, "replays") {
		r := rapid.SampledFrom(p.Items).Draw(l.T, "rejection")
		if slices.Contains(places, r.Position) || r.Problems[0].Code == event.IDConflict {
			continue
		}
		at := r.SentTime // the id's own, as of the events that have it
		if n := int(r.EventID[15]); n >= repairedFrom {
			at = event.Micros(born().Add(time.Duration(n) * 24 * time.Hour).UnixMicro())
		} else if at > r.ReceivedAt { // no event is as far ahead
			continue
		}
		places = append(places, r.Position)
		records = append(records, event.Record{Event: &event.Event{
			App: r.App, ID: r.EventID, SessionID: r.SessionID, Category: "c", Name: "n",
			Data:      []byte(rapid.SampledFrom([]string{`{}`, `{}`, `{"a":1}`}).Draw(l.T, "data")),
			Timestamp: at.String(), SentTime: at, Seq: event.NoSeq, OccurredAt: at, ReceivedAt: r.ReceivedAt,
		}})
	}
	if len(records) == 0 {
		return
	}
	b := frame(uint64(len(l.frames)+1), records...)
	for i, at := range places {
		b.Records[i].Event.Position = at
	}
	b.Arrivals = nil
	l.frames = append(l.frames, b)
	l.put(b)
	if rapid.Bool().Draw(l.T, "again") { // the same frame does nothing
		_, err := l.store.Write(l.Context(), b)
		l.do(err)
	}
}

// came notes a replay that came through.
func (l *life) came(r event.Record, o event.Outcome) {
	if at := r.Position(); r.IsReplay() && o.Fate != event.Rejected && l.through[at] == 0 {
		l.through[at] = r.Event.CarriedBy
	}
}

// unreplayed counts the rejections that are open, and compares both ways to find them.
func (l *life) unreplayed(all []event.Rejection) int64 {
	var open int64
	for _, r := range all {
		switch frame := l.through[r.Position]; {
		case r.Became == nil && frame == 0:
			open++
		case r.Became == nil || r.Became.Frame != frame:
			l.Fatalf("what became of rejection %s by frame %d: %+v", r.ID, frame, r.Became)
		}
	}
	selected, err := l.store.Rejections(l.Context(), query.Query{Limit: query.MaxLimit, Replayed: new(bool)})
	l.do(err)
	if int64(len(selected.Items)) != open {
		l.Fatalf("%d rejections are open, %d are found", open, len(selected.Items))
	}
	return open
}

// isErasedAt tells whether what arrived at a position was erased.
func (l *life) isErasedAt(p event.Position) bool {
	r := l.frames[p.Frame-1].Records[p.Index]
	if x := r.Rejection; x != nil {
		return l.isErased(x.App, x.SessionID, x.CarriedBy, x.SentTime, x.ReceivedAt)
	}
	e := r.Event
	return l.isErased(e.App, e.SessionID, e.CarriedBy, e.SentTime, e.OccurredAt, e.ReceivedAt)
}

// orphans counts the replayed events that are still there though their rejection has
// expired: as an arrival it has expired. They have expired, too, and go with the next
// that is removed.
func (l *life) orphans(events []event.Event, rejections []event.Rejection) (n int64) {
	there := map[event.Position]bool{}
	for _, r := range rejections {
		there[r.Position] = true
	}
	for _, e := range events {
		// One whose rejection is erased, and whose time lies behind that, is no orphan.
		if e.IsReplay() && e.App == "blog" && !there[e.Position] && !l.isErasedAt(e.Position) {
			if n++; !l.expired(&e) {
				l.Fatalf("the rejection of event %s is gone before it", e.ID)
			}
		}
	}
	return n
}
