package storetest

import (
	"theeye/internal/event"
	"theeye/internal/query"
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
