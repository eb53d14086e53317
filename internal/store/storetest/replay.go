package storetest

import (
	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// replayed is a record with the place of its first arrival.
func replayed(r event.Record, frame uint64, index uint32) event.Record {
	r.Event.Position = event.Position{Frame: frame, Index: index}
	return r
}

// testReplays carries what was rejected a second time, by a later frame.
func testReplays(f *fixture) {
	same := []func(*event.Event){at(10), seq(1)}
	f.write(ev(1, same...), rej(2, "a"), rej(3, "a"), ev(4, same...))
	f.write(ev(5, same...), ev(6, at(10), seq(0)))
	other := func(e *event.Event) { e.Name = "other" }
	b := f.batch(replayed(ev(3, same...), 1, 2), replayed(ev(2, same...), 1, 1), ev(7, same...), ev(5, append(same, other)...))
	want := []string{"stored", "stored", "stored", "rejected id_conflict"}
	f.same("outcomes", want, fates(f.put(b)))
	f.same("repeated", want, fates(f.put(b)))
	f.same("by first arrival, not by what carried it", []int{6, 1, 2, 3, 4, 5, 7}, f.numbers(query.Query{}))
	f.same("descending", []int{7, 5, 4, 3, 2, 1, 6}, f.numbers(query.Query{Descending: true}))
	f.same("before they were carried again", []int{6, 1, 4, 5}, f.numbers(query.Query{Horizon: 2}))
	for size := 1; size < 8; size++ {
		f.same("paged", []int{6, 1, 2, 3, 4, 5, 7}, f.paged(query.Query{Limit: size}, nil))
	}
	for _, e := range f.events(query.Query{}) {
		first, carrier := map[int]uint64{2: 1, 3: 1}[number(e.ID)], e.Position.Frame
		if first != 0 {
			carrier = 3
		} else {
			first = e.Position.Frame
		}
		if e.Position.Frame != first || e.CarriedBy != carrier {
			f.Errorf("event %d is at %+v, carried by %d", number(e.ID), e.Position, e.CarriedBy)
		}
	}
}

// testReplayBooks carries rejections again. Each was received once: a replay
// moves it to stored, or to duplicate when the same event was stored meanwhile;
// with another body it stays rejected, and no rejection is added.
func testReplayBooks(f *fixture) {
	f.write(rej(1, "a"), rej(2, "a"), rej(3, "a"), rej(4, "a"), ev(5))
	f.write(ev(2), ev(3))
	other := func(e *event.Event) { e.Name = "other" }
	became := map[int]event.Became{}
	for _, c := range []struct {
		what                        string
		replay                      event.Record
		want                        string
		stored, rejected, duplicate int64
		became                      *event.Became // of what it replays
	}{
		{"passes now", replayed(ev(1), 1, 0), "stored", 4, 3, 0, &event.Became{Fate: event.Stored, Frame: 3}},
		{"stored meanwhile", replayed(ev(2), 1, 1), "duplicate", 4, 2, 1, &event.Became{Fate: event.Duplicate, Frame: 4}},
		{"stored meanwhile with another body", replayed(ev(3, other), 1, 2), "rejected id_conflict", 4, 2, 1, nil},
		{"once more", replayed(ev(1), 1, 0), "duplicate", 4, 2, 1, nil},
		{"once more with another body", replayed(ev(1, other), 1, 0), "rejected id_conflict", 4, 2, 1, nil},
		{"the conflict once more", replayed(ev(3, other), 1, 2), "rejected id_conflict", 4, 2, 1, nil},
		{"what was refused twice passes", replayed(ev(3), 1, 2), "duplicate", 4, 1, 2, &event.Became{Fate: event.Duplicate, Frame: 9}},
	} {
		b := f.batch(c.replay)
		f.same(c.what, []string{c.want}, fates(f.put(b)))
		f.same(c.what+", written again", []string{c.want}, fates(f.put(b)))
		want := store.Account{App: "shop", Received: 7, Stored: c.stored, Rejected: c.rejected, Duplicate: c.duplicate}
		f.same("books: "+c.what, []store.Account{want}, f.books(nil).Accounts)
		if c.became != nil {
			became[number(c.replay.Event.ID)] = *c.became
		}
		f.same("became: "+c.what, became, f.became(query.Query{}))
	}
	f.same("before the last one", map[int]event.Became{1: became[1], 2: became[2]}, f.became(query.Query{Horizon: 8}))
	f.same("by event", map[int]event.Became{2: became[2]}, f.became(query.Query{EventIDs: []uuid.UUID{id(2), id(4)}}))
}

// became reads which rejections have become something; there is always number 4,
// which has not.
func (f *fixture) became(q query.Query) map[int]event.Became {
	f.Helper()
	p, err := f.Rejections(f.Context(), q)
	if err != nil {
		f.Fatal("rejections:", err)
	}
	became := map[int]event.Became{}
	for _, r := range p.Items {
		if r.Became != nil {
			became[number(r.EventID)] = *r.Became
		}
	}
	return became
}

// testReplayed selects rejections by whether a replay has brought them through.
func testReplayed(f *fixture) {
	yes, no := true, false
	f.same("none of none", 0, len(f.refused(query.Query{Replayed: &yes})))
	f.write(rej(1, "a"), rej(2, "a"), rej(3, "a"), ev(4))
	f.same("none yet", 0, len(f.refused(query.Query{Replayed: &yes})))
	f.same("all open", []int{1, 2, 3}, f.refused(query.Query{Replayed: &no}))
	f.write(replayed(ev(2), 1, 1))
	f.same("replayed", []int{2}, f.refused(query.Query{Replayed: &yes}))
	f.same("open", []int{1, 3}, f.refused(query.Query{Replayed: &no}))
	f.same("open before it", []int{1, 2, 3}, f.refused(query.Query{Replayed: &no, Horizon: 1}))
	f.same("both", []int{1, 2, 3}, f.refused(query.Query{}))
	f.same("of another application", 0, len(f.refused(query.Query{Replayed: &no, Apps: []string{"blog"}})))
	for replayed, want := range map[*bool]int64{&yes: 1, &no: 2, nil: 3} {
		groups, err := f.RejectionSummary(f.Context(), query.Query{Replayed: replayed}, 0)
		if err != nil || len(groups) != 1 || groups[0].Count != want {
			f.Errorf("summary %+v, %v; want %d", groups, err, want)
		}
	}
	f.write(replayed(ev(1), 1, 0), replayed(ev(3), 1, 2))
	f.same("nothing is open any more", 0, len(f.refused(query.Query{Replayed: &no})))
	f.same("all of them are stored", []int{1, 2, 3, 4}, f.numbers(query.Query{}))
}

// testReplayReceipts looks at the receipt of what was refused, refused again and
// then stored: each carrying is a line of the place of the first arrival.
func testReplayReceipts(f *fixture) {
	refused := rej(1, "a")
	f.write(ev(2), refused)
	f.write(replayed(ev(1, func(e *event.Event) { e.ReceivedAt = refused.Rejection.ReceivedAt }), 1, 1))
	f.write(replayed(ev(1, func(e *event.Event) { e.ReceivedAt, e.Name = refused.Rejection.ReceivedAt, "other" }), 1, 1))
	line := func(frame uint64, fate event.Fate, problems ...event.Problem) store.Arrival {
		return store.Arrival{App: "shop", EventID: id(1), Position: event.Position{Frame: 1, Index: 1}, CarriedBy: frame,
			ReceivedAt: refused.Rejection.ReceivedAt, Fate: fate, Problems: problems}
	}
	got, err := f.Receipt(f.Context(), query.Query{IDs: []uuid.UUID{id(1)}}, 9)
	if err != nil {
		f.Fatal("receipt:", err)
	}
	want := []store.Arrival{
		line(3, event.Rejected, event.Conflict(ev(1).Event).Problems...), line(2, event.Stored), line(1, event.Rejected, refused.Rejection.Problems...),
	}
	f.same("newest first", want, got)
}
