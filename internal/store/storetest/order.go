package storetest

import (
	"slices"

	"theeye/internal/event"
	"theeye/internal/query"
)

func at(occurred event.Micros) func(*event.Event) {
	return func(e *event.Event) { e.OccurredAt = occurred }
}

func seq(n int64) func(*event.Event) { return func(e *event.Event) { e.Seq = n } }

func testOrder(f *fixture) {
	f.write(ev(1, at(5)), ev(2, at(5), seq(2)), ev(3, at(4)))
	f.write(ev(4, at(5), seq(1)), ev(5, at(6), seq(0)), ev(6, at(5)), ev(7, at(5), seq(2)))
	want := []int{3, 4, 2, 7, 1, 6, 5} // time, then seq with absent last, then arrival
	f.same("ascending", want, f.numbers(query.Query{}))
	backwards := slices.Clone(want)
	slices.Reverse(backwards)
	f.same("descending", backwards, f.numbers(query.Query{Descending: true}))
	for _, descending := range []bool{false, true} {
		for size := 1; size <= len(want); size++ {
			f.same("paged", f.numbers(query.Query{Descending: descending}), f.paged(query.Query{Descending: descending, Limit: size}, nil))
		}
	}
}

// paged walks through all pages; between them it calls meanwhile.
func (f *fixture) paged(q query.Query, meanwhile func()) []int {
	f.Helper()
	var all []int
	for {
		p, err := f.Events(f.Context(), q)
		if err != nil {
			f.Fatal("events:", err)
		}
		if len(p.Items) > q.Limit || p.More && len(p.Items) < q.Limit {
			f.Fatalf("a page of %d items, limit %d, more %v", len(p.Items), q.Limit, p.More)
		}
		for _, e := range p.Items {
			all = append(all, number(e.ID))
		}
		if !p.More {
			return all
		}
		after := query.AfterEvent(&p.Items[len(p.Items)-1])
		q.After, q.Horizon = &after, p.Horizon
		if meanwhile != nil {
			meanwhile()
		}
	}
}

func testHorizon(f *fixture) {
	f.write(ev(1, at(10)), ev(2, at(20)), ev(3, at(30)))
	n := 100
	got := f.paged(query.Query{Limit: 1}, func() {
		f.write(ev(n, at(5)), ev(n+1, at(15)), ev(n+2, at(25)), ev(n+3, at(35)))
		n += 10
	})
	f.same("pages show what was there at the first", []int{1, 2, 3}, got)
	if p, _ := f.Position(f.Context()); p != 3 {
		f.Errorf("position %d", p)
	}
	f.same("count at a horizon", int64(3), f.count(query.Query{Horizon: 1}))
	f.same("count now", int64(11), f.count(query.Query{}))
}

func (f *fixture) count(q query.Query) int64 {
	f.Helper()
	n, err := f.Count(f.Context(), q)
	if err != nil {
		f.Fatal("count:", err)
	}
	return n
}
