package storetest

import (
	"errors"

	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

func point(group string, at event.Micros, count int64) store.Point {
	return store.Point{Group: group, At: at, Count: count}
}

func testSeries(f *fixture) {
	form := func(e *event.Event) { e.Category = "form" }
	f.write(ev(1, at(hour+1)), ev(2, at(2*hour-1)), ev(3, at(2*hour), form), ev(4, at(5*hour)), ev(1, at(hour+1)), rej(9, "x"))
	series := func(q query.Query, s store.Series) []store.Point {
		f.Helper()
		s.MaxPoints = 100
		points, err := f.Series(f.Context(), q, s)
		if err != nil {
			f.Fatal("series:", err)
		}
		return points
	}
	f.same("by hour", []store.Point{point("", hour, 2), point("", 2*hour, 1), point("", 5*hour, 1)}, series(query.Query{}, store.Series{Interval: store.Hour}))
	f.same("by day and category", []store.Point{point("form", 0, 1), point("page", 0, 3)}, series(query.Query{}, store.Series{Interval: store.Day, Group: store.ByCategory}))
	f.same("filtered", []store.Point{point("view", 2*hour, 1)},
		series(query.Query{Categories: []string{"form"}}, store.Series{Interval: store.Minute, Group: store.ByName}))
	received := 1_600_000_100*second - 1_600_000_100*second%hour
	f.same("by status", []store.Point{point("duplicate", received, 1), point("rejected", received, 1), point("stored", received, 4)},
		series(query.Query{}, store.Series{Interval: store.Hour, Group: store.ByStatus}))
	if _, err := f.Series(f.Context(), query.Query{}, store.Series{Interval: store.Hour, MaxPoints: 2}); !errors.Is(err, store.ErrTooWide) {
		f.Errorf("too many points: %v", err)
	}
}

func value(v string, n int64) store.Value { return typed(query.String, v, n) }

func typed(t query.ValueType, v string, n int64) store.Value {
	return store.Value{Type: t, Value: v, Count: n}
}

func testValues(f *fixture) {
	f.write(ev(1, data(`{"v":"a"}`)), ev(2, data(`{"v":"a","o":{"k":1}}`)), ev(3, data(`{"v":1}`)), ev(4, data(`{"v":null}`)),
		ev(5, data(`{}`)), ev(6, data(`{"v":["a",true,{"k":1}]}`)), ev(7, func(e *event.Event) { e.Name = "other" }))
	values := func(field string, limit int) store.Values {
		f.Helper()
		parsed, err := query.ParseField(field, query.Events)
		if err != nil {
			f.Fatal(err)
		}
		v, err := f.Values(f.Context(), query.Query{Limit: limit}, parsed)
		if err != nil {
			f.Fatal("values:", err)
		}
		return v
	}
	f.same("of a path", store.Values{Top: []store.Value{value("a", 3), typed(query.NumberType, "1", 1), typed(query.Boolean, "true", 1), typed(query.Object, `{"k":1}`, 1)}}, values("data.v", 10))
	f.same("with others", store.Values{Top: []store.Value{value("a", 3), typed(query.NumberType, "1", 1)}, Other: 2}, values("data.v", 2))
	f.same("of an own field", store.Values{Top: []store.Value{value("view", 6), value("other", 1)}}, values("name", 10))
	f.same("of nothing", store.Values{}, values("data.none", 10))
}

func testReceipts(f *fixture) {
	other := func(e *event.Event) { e.Name = "other" }
	f.write(rej(1, "wrong"), ev(1), ev(2))
	f.write(ev(1), ev(1, other), ev(1, func(e *event.Event) { e.App = "blog" }))
	receipt := func(q query.Query, limit int) []string {
		f.Helper()
		list, err := f.Receipt(f.Context(), q, limit)
		if err != nil {
			f.Fatal("receipt:", err)
		}
		var outcomes []event.Outcome
		for _, a := range list {
			if a.EventID != id(1) {
				f.Errorf("arrival of another event: %+v", a)
			}
			outcomes = append(outcomes, event.Outcome{Fate: a.Fate, Problems: a.Problems})
		}
		return fates(outcomes)
	}
	ids := []uuid.UUID{id(1)}
	f.same("newest first", []string{"stored", "rejected id_conflict", "duplicate", "stored", "rejected missing_field"}, receipt(query.Query{IDs: ids}, 100))
	f.same("at most so many", []string{"stored", "rejected id_conflict"}, receipt(query.Query{IDs: ids}, 2))
	f.same("of one application", []string{"stored"}, receipt(query.Query{IDs: ids, Apps: []string{"blog"}}, 100))
	f.same("of nobody", []string(nil), receipt(query.Query{IDs: ids, Apps: []string{}}, 100))
}

func testBooks(f *fixture) {
	f.put(f.batch(ev(1), ev(1), rej(2, "x"), ev(3, func(e *event.Event) { e.App = "blog" })))
	f.last++
	f.put(store.Batch{First: f.last, Last: f.last, Arrivals: map[string]store.Arrivals{"shop": {Received: 5, Lost: 5}, "gone": {Received: 1, Lost: 1}}})
	books := func(apps []string) []store.Account {
		f.Helper()
		b, err := f.Books(f.Context(), apps)
		if err != nil || b.Position != f.last {
			f.Fatalf("books at %d: %v", b.Position, err)
		}
		return b.Accounts
	}
	blog := store.Account{App: "blog", Received: 1, Stored: 1}
	gone := store.Account{App: "gone", Received: 1, Lost: 1}
	shop := store.Account{App: "shop", Received: 8, Stored: 1, Rejected: 1, Duplicate: 1, Lost: 5}
	f.same("of all", []store.Account{blog, gone, shop}, books(nil))
	f.same("of some", []store.Account{shop}, books([]string{"shop", "none"}))
	f.same("of none", []store.Account(nil), books([]string{}))
	found := f.batch(ev(11), ev(12), ev(13))
	found.Arrivals = map[string]store.Arrivals{"shop": {Lost: -3}}
	f.put(found)
	shop.Stored, shop.Lost = 4, 2
	f.same("after some of the lost were found", []store.Account{shop}, books([]string{"shop"}))
	found = f.batch(ev(14), ev(15), ev(16))
	found.Arrivals = map[string]store.Arrivals{"shop": {Lost: -3}}
	f.put(found)
	shop.Received, shop.Stored, shop.Lost = 9, 7, 0
	f.same("after more was found than was known to be lost", []store.Account{shop}, books([]string{"shop"}))
}

// testMoreValues counts values of each kind, the cut between equals, and what the
// query selects.
func testMoreValues(f *fixture) {
	f.write(
		ev(1, data(`{"v":"b","w":[[1,2],{"k":[3]},null,[1,2]],"n":{"v":true}}`)),
		ev(2, data(`{"v":"a","w":"[1,2]","n":[{"v":true},{"v":"true"},{}]}`), func(e *event.Event) { e.App = "blog" }),
		ev(3, data(`{"v":"","w":[]}`), seq(5)),
		ev(4, data(`{"v":"a\u0062"}`), func(e *event.Event) { e.SentAt = 12 }),
		ev(5, data(`{"v":"ab"}`)),
		ev(6, data(`{"v":10}`)),
		ev(7, data(`{"v":"10"}`)),
	)
	for _, c := range []struct {
		field string
		q     query.Query
		want  store.Values
	}{
		{"data.v", query.Query{}, store.Values{Top: []store.Value{value("ab", 2), value("", 1), typed(query.NumberType, "10", 1), value("10", 1), value("a", 1), value("b", 1)}}},
		{"data.v", query.Query{Limit: 1}, store.Values{Top: []store.Value{value("ab", 2)}, Other: 5}},
		{"data.v", query.Query{Limit: 4}, store.Values{Top: []store.Value{value("ab", 2), value("", 1), typed(query.NumberType, "10", 1), value("10", 1)}, Other: 2}},
		{"data.v", query.Query{Apps: []string{"blog"}}, store.Values{Top: []store.Value{value("a", 1)}}},
		{"data.v", query.Query{Apps: []string{}}, store.Values{}},
		{"data.w", query.Query{}, store.Values{Top: []store.Value{typed(query.Array, "[1,2]", 2), value("[1,2]", 1), typed(query.Object, `{"k":[3]}`, 1)}}},
		{"data.w.k", query.Query{}, store.Values{Top: []store.Value{typed(query.NumberType, "3", 1)}}},
		{"data.n.v", query.Query{}, store.Values{Top: []store.Value{typed(query.Boolean, "true", 2), value("true", 1)}}},
		{query.App, query.Query{}, store.Values{Top: []store.Value{value("shop", 6), value("blog", 1)}}},
		{query.Seq, query.Query{}, store.Values{Top: []store.Value{typed(query.NumberType, "5", 1)}}},
		{query.SentAt, query.Query{}, store.Values{Top: []store.Value{value("12", 1)}}},
		{query.Sender, query.Query{}, store.Values{}},
		{query.ID, query.Query{Limit: 2, From: ptr(0)}, store.Values{Top: []store.Value{value(id(1).String(), 1), value(id(2).String(), 1)}, Other: 5}},
	} {
		field, err := query.ParseField(c.field, query.Events)
		if err != nil {
			f.Fatal(err)
		}
		got, err := f.Values(f.Context(), c.q, field)
		if err != nil {
			f.Fatal("values:", err)
		}
		f.same(c.field, c.want, got)
	}
}
