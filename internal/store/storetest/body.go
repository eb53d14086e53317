package storetest

import (
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// testBodies sends an id again with one change each. Stores must keep enough of
// the first body to tell.
func testBodies(f *fixture) {
	full := func(e *event.Event) {
		e.Seq, e.Sender, e.SentAt, e.Data = 7, "web", 1, []byte(`{"a":{"x":1,"y":"é"},"b":[1,2]}`)
	}
	data := func(text string) func(*event.Event) { return func(e *event.Event) { e.Data = []byte(text) } }
	f.write(ev(1, full))
	for _, c := range []struct {
		what   string
		change func(*event.Event)
		want   string
	}{
		{"the same", func(*event.Event) {}, "duplicate"},
		{"sent_at", func(e *event.Event) { e.SentAt = 2 }, "duplicate"},
		{"received_at", func(e *event.Event) { e.ReceivedAt++ }, "duplicate"},
		{"occurred_at", func(e *event.Event) { e.OccurredAt++ }, "duplicate"},
		{"schema_version", func(e *event.Event) { e.SchemaVersion++ }, "duplicate"},
		{"order of keys", data(`{"b":[1,2],"a":{"y":"é","x":1}}`), "duplicate"},
		{"white space", data(`{ "a" : {"x":1, "y":"é"}, "b":[ 1,2 ] }`), "duplicate"},
		{"escapes", data(`{"a":{"x":1,"y":"\u00e9"},"b":[1,2]}`), "duplicate"},
		{"session", func(e *event.Event) { e.SessionID = "S" }, "rejected id_conflict"},
		{"category", func(e *event.Event) { e.Category = "pages" }, "rejected id_conflict"},
		{"name", func(e *event.Event) { e.Name = "View" }, "rejected id_conflict"},
		{"timestamp", func(e *event.Event) { e.Timestamp = "2021-01-01 00:00:00" }, "rejected id_conflict"},
		{"seq", func(e *event.Event) { e.Seq = 8 }, "rejected id_conflict"},
		{"no seq", func(e *event.Event) { e.Seq = event.NoSeq }, "rejected id_conflict"},
		{"sender", func(e *event.Event) { e.Sender = "" }, "rejected id_conflict"},
		{"number", data(`{"a":{"x":1.0,"y":"é"},"b":[1,2]}`), "rejected id_conflict"},
		{"order of elements", data(`{"a":{"x":1,"y":"é"},"b":[2,1]}`), "rejected id_conflict"},
	} {
		f.same(c.what, []string{c.want}, fates(f.write(ev(1, full, c.change))))
	}
	f.same("across applications", []string{"stored"}, fates(f.write(ev(1, func(e *event.Event) { e.App = "blog" }))))
	got := f.events(query.Query{Apps: []string{"shop"}})
	if len(got) != 1 || string(got[0].Data) != string(ev(1, full).Event.Data) || got[0].SentAt != 1 {
		f.Errorf("the first is now %+v", got)
	}
}

// testMemory scribbles over a batch when it is written, and over answers.
func testMemory(f *fixture) {
	b := f.batch(ev(1), rej(2, "raw"))
	written := batchAt(f.last, []event.Record{ev(1), rej(2, "raw")})
	outcomes := f.put(b)
	scribble(b.Records[0].Event.Data)
	scribble(b.Records[1].Rejection.Raw)
	*b.Records[0].Event = event.Event{}
	b.Records[1].Rejection.Problems[0] = event.Problem{Code: "gone"}
	b.Records[0], b.Records[1] = event.Record{}, event.Record{}
	b.Arrivals["shop"] = store.Arrivals{Received: 99}
	outcomes[1].Problems[0].Code = "gone"
	for range 2 { // the second time after the answers of the first were changed
		events := f.events(query.Query{})
		f.same("events", []event.Event{*written.Records[0].Event}, events)
		p, err := f.Rejections(f.Context(), query.Query{})
		if err != nil {
			f.Fatal("rejections:", err)
		}
		f.same("rejections", []event.Rejection{*written.Records[1].Rejection}, p.Items)
		s := f.sessions(query.Query{})
		f.same("sessions", []string{"shop"}, s.Items[0].Apps)
		if f.Failed() {
			return
		}
		scribble(events[0].Data)
		scribble(p.Items[0].Raw)
		p.Items[0].Problems[0].Code = "gone"
		s.Items[0].Apps[0] = "gone"
	}
	if diff := cmp.Diff([]string{"stored", "rejected missing_field"}, fates(f.put(written))); diff != "" {
		f.Errorf("written again (-want +got):\n%s", diff)
	}
	b2, err := f.Books(f.Context(), nil)
	f.same("books", []store.Account{{App: "shop", Received: 2, Stored: 1, Rejected: 1}}, b2.Accounts)
	if err != nil {
		f.Error(err)
	}
}

// testQueryMemory asks with lists in no order, which must stay as they are.
func testQueryMemory(f *fixture) {
	f.write(ev(1), rej(2, "a"))
	made := func() query.Query {
		after := query.After{Key: event.Key{OccurredAt: 1}}
		return query.Query{
			Apps: []string{"z", "shop", "a"}, IDs: []uuid.UUID{id(2), id(1)}, SessionIDs: []string{"z", "s", "a"},
			Categories: []string{"z", "page", "a"}, Names: []string{"z", "view", "a"}, From: ptr(1), To: ptr(event.Latest),
			Where: f.where(query.Sessions, "data.z!=1", "app=shop"), After: &after,
		}
	}
	refusals := func() query.Query {
		return query.Query{
			Apps: []string{"z", "shop", "a"}, EventIDs: []uuid.UUID{id(2), id(1)},
			Codes: []string{"z", event.MissingField, "a"}, Pointers: []string{"z", "/name", "a"},
		}
	}
	arrivals := func() query.Query {
		return query.Query{Apps: []string{"z", "shop", "a"}, IDs: []uuid.UUID{id(2), id(1)}}
	}
	s, ctx := f.Store, f.Context()
	for what, c := range map[string]struct {
		made func() query.Query
		ask  func(query.Query) error
	}{
		"events":     {made, func(q query.Query) error { _, err := s.Events(ctx, q); return err }},
		"count":      {made, func(q query.Query) error { _, err := s.Count(ctx, q); return err }},
		"sessions":   {made, func(q query.Query) error { _, err := s.Sessions(ctx, q); return err }},
		"values":     {made, func(q query.Query) error { _, err := s.Values(ctx, q, query.Field{Name: query.Name}); return err }},
		"rejections": {refusals, func(q query.Query) error { _, err := s.Rejections(ctx, q); return err }},
		"summary":    {refusals, func(q query.Query) error { _, err := s.RejectionSummary(ctx, q, 0); return err }},
		"receipt":    {arrivals, func(q query.Query) error { _, err := s.Receipt(ctx, q, 9); return err }},
		"books":      {arrivals, func(q query.Query) error { _, err := s.Books(ctx, q.Apps); return err }},
		"series": {made, func(q query.Query) error {
			_, err := s.Series(ctx, q, store.Series{Interval: store.Day, Group: store.ByApp, MaxPoints: 9})
			return err
		}},
	} {
		q := c.made()
		if err := c.ask(q); err != nil {
			f.Errorf("%s: %v", what, err)
		}
		f.same("the query for "+what, c.made(), q)
	}
}

func scribble(b []byte) {
	for i := range b {
		b[i] = 'X'
	}
}
