package storetest

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

func testEmpty(f *fixture) {
	if p, err := f.Position(f.Context()); p != 0 || err != nil {
		f.Errorf("position %d, %v", p, err)
	}
	if got := f.events(query.Query{}); len(got) != 0 {
		f.Errorf("events %v", got)
	}
	b, err := f.Books(f.Context(), nil)
	if err != nil || len(b.Accounts) != 0 {
		f.Errorf("books %+v, %v", b, err)
	}
	f.same("an empty batch", []string(nil), fates(f.write()))
	if p, _ := f.Position(f.Context()); p != 1 {
		f.Errorf("position %d after an empty batch", p)
	}
}

func testFates(f *fixture) {
	other := func(e *event.Event) { e.Data = []byte(`{"n":2}`) }
	again := func(e *event.Event) { e.SentAt = 5; e.ReceivedAt++; e.Data = []byte(`{ "n" : 1 }`) }
	blog := func(e *event.Event) { e.App = "blog" }
	f.same("first", []string{"stored", "duplicate", "rejected id_conflict", "stored"},
		fates(f.write(ev(1), ev(1, again), ev(1, other), ev(1, blog))))
	f.same("again", []string{"duplicate", "duplicate id_conflict", "duplicate", "rejected id_conflict"},
		fates(f.write(ev(1, again), ev(1, other), ev(1, blog), ev(1, blog, other))))
	f.same("the first body is stored", []int{1, 1}, f.numbers(query.Query{}))
	p, err := f.Rejections(f.Context(), query.Query{Descending: true})
	if err != nil || len(p.Items) != 2 {
		f.Fatalf("%d rejections, %v", len(p.Items), err)
	}
	want := event.Conflict(ev(1, other).Event)
	if got := p.Items[1]; string(got.Raw) != string(want.Raw) || got.ID != want.ID || got.Problems[0].Code != event.IDConflict {
		f.Errorf("the conflict is kept as %+v", got)
	}
}

// Where a version before gave another id, the same body under that id is what came
// first, and another body there is no conflict.
func testFormer(f *fixture) {
	other := func(e *event.Event) { e.Data = []byte(`{"n":-2}`) }
	third := func(e *event.Event) { e.Data = []byte(`{"n":3}`) }
	former := func(n int) func(*event.Event) {
		return func(e *event.Event) { e.FormerID, e.Data = id(n), ev(n).Event.Data }
	}
	refused := func(n, formerly int, raw string) event.Record {
		r := rej(n, raw)
		r.Rejection.FormerID = id(formerly)
		return r
	}
	f.same("by the version before", []string{"stored", "stored", "rejected missing_field"}, fates(f.write(ev(1), ev(2), rej(3, "a"))))
	f.same("sent again", []string{"duplicate", "stored", "duplicate missing_field", "rejected missing_field"},
		fates(f.write(ev(11, former(1)), ev(12, former(2), other), refused(13, 3, "a"), refused(13, 3, "b"))))
	f.same("and again", []string{"duplicate", "duplicate", "duplicate missing_field", "rejected id_conflict", "duplicate"},
		fates(f.write(ev(11, former(1)), ev(12, former(2), other), refused(13, 3, "b"), ev(12, former(2), third), ev(2))))
	f.same("in one batch", []string{"stored", "duplicate", "stored", "duplicate"},
		fates(f.write(ev(4), ev(14, former(4)), ev(14, former(4), other), ev(14, former(4), other))))
	f.same("without an id of before", []string{"stored"}, fates(f.write(ev(15))))
	f.same("in another application", []string{"stored"}, fates(f.write(ev(16, former(1), func(e *event.Event) { e.App = "blog" }))))
	f.same("what is stored", []int{1, 2, 12, 4, 14, 15, 16}, f.numbers(query.Query{}))
	// The id that was answered has a history of its own.
	a, err := f.Receipt(f.Context(), query.Query{IDs: []uuid.UUID{id(11)}}, 10)
	if err != nil || len(a) != 2 || a[0].Fate != event.Duplicate || a[1].Fate != event.Duplicate {
		f.Errorf("the receipt of a duplicate: %+v, %v", a, err)
	}
}

func testRejections(f *fixture) {
	f.same("first", []string{"rejected missing_field", "duplicate missing_field", "rejected missing_field"},
		fates(f.write(rej(1, "a"), rej(1, "a"), rej(1, "b"))))
	f.same("again", []string{"duplicate missing_field", "stored"}, fates(f.write(rej(1, "b"), ev(1))))
	f.same("a rejection never blocks its id", []int{1}, f.numbers(query.Query{}))
}

func testRepeat(f *fixture) {
	other := func(e *event.Event) { e.Name = "other" }
	first := f.batch(ev(1), rej(2, "a"))
	second := f.batch(ev(1), ev(1, other), rej(2, "a"), ev(3))
	want := [][]event.Outcome{f.put(first), f.put(second)}
	for range 2 {
		f.same("outcomes of the first", want[0], f.put(first))
		f.same("outcomes of the second", want[1], f.put(second))
		both := store.Batch{First: 1, Last: 2, Records: append(append([]event.Record{}, first.Records...), second.Records...)}
		f.same("outcomes of both together", append(append([]event.Outcome{}, want[0]...), want[1]...), f.put(both))
	}
	b, err := f.Books(f.Context(), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.same("books", []store.Account{{App: "shop", Received: 6, Stored: 2, Rejected: 2, Duplicate: 2}}, b.Accounts)
}

func testBatchOrder(f *fixture) {
	f.put(store.Batch{First: 5, Last: 7}) // gaps are allowed
	for _, b := range []store.Batch{{First: 7, Last: 8}, {First: 3, Last: 9}, {First: 9, Last: 8}, {First: 0, Last: 9}} {
		if _, err := f.Write(f.Context(), b); !errors.Is(err, store.ErrOutOfOrder) {
			f.Errorf("frames %d to %d: %v", b.First, b.Last, err)
		}
	}
	if p, _ := f.Position(f.Context()); p != 7 {
		f.Errorf("position %d", p)
	}
	f.put(store.Batch{First: 100, Last: 100})
}

func testCancelled(f *fixture) {
	f.write(ev(1))
	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	b := f.batch(ev(2), ev(1), rej(3, "x"))
	if _, err := f.Write(ctx, b); !errors.Is(err, context.Canceled) {
		f.Errorf("cancelled write: %v", err)
	}
	f.same("nothing is written", []int{1}, f.numbers(query.Query{}))
	if _, err := f.Events(ctx, query.Query{}); !errors.Is(err, context.Canceled) {
		f.Errorf("cancelled read: %v", err)
	}
	f.same("the same batch again", []string{"stored", "duplicate", "rejected missing_field"}, fates(f.put(b)))
}

func testReplay(f *fixture) {
	f.write(ev(1), rej(2, "a"), ev(3))
	p, err := f.Events(f.Context(), query.Query{Limit: 1})
	if err != nil {
		f.Fatal(err)
	}
	// The rejection's event passes now: it is carried by a later frame.
	f.write(ev(2, func(e *event.Event) { e.Position = event.Position{Frame: 1, Index: 1} }))
	f.same("it has its first arrival's place", []int{1, 2, 3}, f.numbers(query.Query{}))
	after := query.AfterEvent(&p.Items[0])
	f.same("a page of an older horizon does not show it", []int{3}, f.numbers(query.Query{After: &after, Horizon: p.Horizon}))
}

func testFields(f *fixture) {
	full := &event.Event{
		App: "shop", ID: id(1), ClientID: "order/1", SessionID: "ä\"s'\\", Category: "c c", Name: "日本", Data: []byte(`{"b": 1.50,"a":"\u00e9"}`),
		Timestamp: "1600000000.5", SentTime: 7, SentAt: 8, Seq: 0, Sender: "web", OccurredAt: 9, ReceivedAt: 10, SchemaVersion: 3,
	}
	bare := &event.Event{App: "shop", ID: id(2), SessionID: "s", Category: "c", Name: "n", Data: []byte(`{}`), Timestamp: "2021-01-01 00:00:00", Seq: event.NoSeq, OccurredAt: event.Latest - 1}
	refused := &event.Rejection{
		ID: id(3), EventID: id(4), ClientID: "x", App: "shop", SessionID: "s", Category: "c", Name: "n", SentTime: 1, SentAt: 2, ReceivedAt: 3,
		SchemaVersion: 4, Problems: []event.Problem{{Code: "a", Pointer: "/b", Message: "ü"}, {Code: "c", Pointer: "", Message: "'"}}, Raw: []byte("\xff\x00{"),
	}
	b := f.batch(event.Record{Event: full}, event.Record{Event: bare}, event.Record{Rejection: refused})
	f.put(b)
	f.same("events", []event.Event{*b.Records[0].Event, *b.Records[1].Event}, f.events(query.Query{}))
	p, err := f.Rejections(f.Context(), query.Query{Descending: true})
	if err != nil {
		f.Fatal(err)
	}
	f.same("rejections", []event.Rejection{*b.Records[2].Rejection}, p.Items)
}
