package storetest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// testMany writes and pages through more than a database takes in one block of
// rows, in one batch, and then sends some of it again.
func testMany(f *fixture) {
	const frames, inFrame, sessions = 5, 900, 50
	one := func(n int) event.Record {
		return ev(n, at(event.Micros(n/100)), func(e *event.Event) { e.SessionID = fmt.Sprint(n % sessions) })
	}
	var batches []store.Batch
	var want []int
	for frame := range frames {
		var records []event.Record
		for i := range inFrame {
			n := frame*inFrame + i
			records = append(records, one(n))
			want = append(want, n)
		}
		batches = append(batches, f.batch(records...))
	}
	f.put(join(batches[:4]...))
	f.put(batches[4])
	var again []event.Record
	for n := 0; n < len(want); n += 7 {
		again = append(again, one(n))
	}
	for _, o := range f.write(again...) {
		if o.Fate != event.Duplicate {
			f.Fatalf("an event sent again is %s", o.Fate)
		}
	}
	f.same("count", int64(len(want)), f.count(query.Query{}))
	f.same("all", want, f.paged(query.Query{Limit: query.MaxLimit}, nil))
	f.same("a session", len(want)/sessions, len(f.events(query.Query{SessionIDs: []string{"7"}})))
	f.same("sessions", sessions, len(f.sessions(query.Query{}).Items))
	f.same("books", []store.Account{{App: "shop", Received: int64(len(want) + len(again)), Stored: int64(len(want)), Duplicate: int64(len(again))}},
		f.books(nil).Accounts)
}

// testRefusedBodies has bodies of rejections that are kept in each way. What is not kept
// whole, or is too large, is not searched by its payload.
func testRefusedBodies(f *fixture) {
	body := func(size int) string { return `{"data":{"n":1,"v":"` + strings.Repeat("x", size) + `"}}` }
	noise := make([]byte, 100<<10)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	cut := rej(3, body(0))
	cut.Rejection.Whole = event.BodyOf([]byte(body(9)))
	want := []event.Record{rej(1, body(10)), rej(2, body(4<<20)), cut, rej(4, string(noise)), rej(5, ""), rej(6, body(1000))}
	f.write(want...)
	f.write(rej(2, body(4<<20)), cut) // duplicates
	p, err := f.Rejections(f.Context(), query.Query{})
	if err != nil || len(p.Items) != len(want) {
		f.Fatalf("%d rejections, %v", len(p.Items), err)
	}
	for i, got := range p.Items {
		r := want[i].Rejection
		if !bytes.Equal(got.Raw, r.Raw) || got.Whole != r.Whole {
			f.Errorf("the body of rejection %d came back as %d bytes of %d", i+1, len(got.Raw), got.Whole.Bytes)
		}
	}
	found, err := f.Rejections(f.Context(), query.Query{Where: f.where(query.Rejections, "data.n=1")})
	if err != nil {
		f.Fatal(err)
	}
	var numbers []int
	for _, r := range found.Items {
		numbers = append(numbers, number(r.EventID))
	}
	f.same("found by the payload", []int{1, 6}, numbers)
}

// testLarge has as much data as is accepted, and raw bytes with zeros.
func testLarge(f *fixture) {
	b := f.batch(ev(1, data(`{"v":"`+strings.Repeat("é", 128<<10)+`"}`)), ev(2, data(`{"v":"x"}`)), rej(3, strings.Repeat("\x00\xff", 100<<10)))
	f.put(b)
	events := f.events(query.Query{})
	if len(events) != 2 || string(events[0].Data) != string(b.Records[0].Event.Data) {
		f.Errorf("the data of %d events came back changed", len(events))
	}
	for _, e := range f.events(query.Query{Bare: true}) {
		if len(e.Data) > 0 || e.SessionID != "s" {
			f.Errorf("without its data an event is %+v", e)
		}
	}
	f.same("found by what is in it", []int{1}, f.numbers(query.Query{Where: f.where(query.Events, "data.v~éé")}))
	p, err := f.Rejections(f.Context(), query.Query{})
	if err != nil || len(p.Items) != 1 || string(p.Items[0].Raw) != string(b.Records[2].Rejection.Raw) {
		f.Errorf("the raw body of %d rejections came back changed: %v", len(p.Items), err)
	}
}
