package storetest

import (
	"errors"
	"fmt"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// exported returns what an export hands over.
func exported(f *fixture, q query.Query) []event.Event {
	f.Helper()
	var all []event.Event
	if err := f.Export(f.Context(), q, func(e *event.Event) error {
		all = append(all, *e)
		return nil
	}); err != nil {
		f.Fatal("export:", err)
	}
	return all
}

func testExport(f *fixture) {
	f.same("of nothing", 0, len(exported(f, query.Query{})))
	for n := range 30 { // many at one time, and far from each other
		f.write(ev(n, at(event.Micros(n%5)*hour)), rej(n, "x"))
	}
	f.write(ev(30, at(0), in("t", "blog", 7)), ev(31, in("t", "blog", 3)))
	for name, q := range map[string]query.Query{
		"everything":          {},
		"in the other order":  {Descending: true},
		"of one application":  {Apps: []string{"blog"}},
		"of none":             {Apps: []string{}},
		"of a session":        {SessionIDs: []string{"t"}, Descending: true},
		"of a time":           {From: ptr(hour), To: ptr(3 * hour)},
		"of no time":          {From: ptr(hour), To: ptr(hour)},
		"with a condition":    {Where: f.where(query.Events, "data.n>=10", "seq!=3")},
		"at a horizon":        {Horizon: 7},
		"with a limit to all": {Limit: query.MaxLimit},
	} {
		want := q
		want.Limit = query.MaxLimit
		f.same(name, f.events(want), exported(f, q))
	}
	after := query.AfterEvent(&f.events(query.Query{})[3])
	f.same("neither place nor limit count", 32, len(exported(f, query.Query{After: &after, Limit: 2})))

	enough := errors.New("enough")
	n := 0
	err := f.Export(f.Context(), query.Query{}, func(*event.Event) error {
		if n++; n == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || n != 3 {
		f.Errorf("an export that is ended after 3: %d, %v", n, err)
	}
}

// testExportMeanwhile writes between the events of an export.
func testExportMeanwhile(f *fixture) {
	for n := range 10 {
		f.write(ev(n, at(event.Micros(n)*hour)))
	}
	want := f.events(query.Query{})
	n := 0
	var got []event.Event
	if err := f.Export(f.Context(), query.Query{}, func(e *event.Event) error {
		got = append(got, *e)
		f.write(ev(100+n, at(event.Micros(n)*hour+1)), ev(200+n, at(20*hour)))
		n++
		return nil
	}); err != nil {
		f.Fatal(err)
	}
	f.same("what was there at the beginning", want, got)
	f.same("and then there is more", int64(3*len(want)), f.count(query.Query{}))
}

// exportEvents compares an export with the model's, while batches are written.
func (h *history) exportEvents() {
	q := drawQuery(h.t, query.Events, h.last)
	read := func(s store.Reader, between func()) (all []event.Event) {
		if err := s.Export(h.ctx, q, func(e *event.Event) error {
			all = append(all, *e)
			between()
			return nil
		}); err != nil {
			h.t.Fatal(fmt.Errorf("export: %w", err))
		}
		return all
	}
	want := read(h.model, func() {})
	h.equal("export", want, read(h.store, func() {
		if chance(h.t, "write between events", 20) {
			h.write()
		}
	}))
}
