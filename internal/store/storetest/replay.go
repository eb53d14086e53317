package storetest

import (
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
// with another body it stays rejected.
func testReplayBooks(f *fixture) {
	f.write(rej(1, "a"), rej(2, "a"), rej(3, "a"), rej(4, "a"), ev(5))
	f.write(ev(2), ev(3))
	other := func(e *event.Event) { e.Name = "other" }
	for _, c := range []struct {
		what                        string
		replay                      event.Record
		want                        string
		stored, rejected, duplicate int64
	}{
		{"passes now", replayed(ev(1), 1, 0), "stored", 4, 3, 0},
		{"stored meanwhile", replayed(ev(2), 1, 1), "duplicate", 4, 2, 1},
		{"stored meanwhile with another body", replayed(ev(3, other), 1, 2), "rejected id_conflict", 4, 2, 1},
		{"once more", replayed(ev(1), 1, 0), "duplicate", 4, 2, 1},
		{"once more with another body", replayed(ev(1, other), 1, 0), "rejected id_conflict", 4, 2, 1},
		{"the conflict once more", replayed(ev(3, other), 1, 2), "duplicate id_conflict", 4, 2, 1},
		{"what was refused twice passes", replayed(ev(3), 1, 2), "duplicate", 4, 1, 2},
	} {
		f.same(c.what, []string{c.want}, fates(f.write(c.replay)))
		want := store.Account{App: "shop", Received: 7, Stored: c.stored, Rejected: c.rejected, Duplicate: c.duplicate}
		f.same("books: "+c.what, []store.Account{want}, f.books(nil).Accounts)
	}
}
