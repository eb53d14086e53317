package storetest

import (
	"strings"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// rejWith changes the rejection of a record.
func rejWith(r event.Record, change func(*event.Rejection)) event.Record {
	change(r.Rejection)
	return r
}

func testSessionEnds(f *fixture) {
	end := func(category, name, data string) func(*event.Event) {
		return func(e *event.Event) { e.Category, e.Name, e.Data = category, name, []byte(data) }
	}
	long := strings.Repeat("é", store.MaxEndPath+1)
	f.write(
		ev(1, in("a", "shop", 10), seq(2), end("page", "second", `{"path":"/2"}`)),
		ev(2, in("a", "shop", 10), seq(1), end("page", "first", `{"path":"/1","x":{"path":"/no"}}`)),
		ev(3, in("a", "blog", 20), end("form", "send", `{"path":7}`)),
		ev(4, in("b", "shop", 20), end("page", "only", `{"path":"`+long+`"}`)),
		ev(5, in("c", "shop", 20), end("page", "only", `{"path":["/x"]}`)),
		rej(6, "x"), rejWith(rej(7, "x"), func(r *event.Rejection) { r.SessionID = "a" }), rejWith(rej(8, "y"), func(r *event.Rejection) { r.SessionID = "a" }),
	)
	ends := func(q query.Query) []store.SessionEnds {
		f.Helper()
		page := f.sessions(q)
		q.Horizon = page.Horizon
		list, err := f.SessionEnds(f.Context(), q, page.Items)
		if err != nil {
			f.Fatal("session ends:", err)
		}
		return list
	}
	b := store.SessionEnd{Category: "page", Name: "only", Path: strings.Repeat("é", store.MaxEndPath)}
	c := store.SessionEnd{Category: "page", Name: "only"}
	first, second := store.SessionEnd{Category: "page", Name: "first", Path: "/1"}, store.SessionEnd{Category: "page", Name: "second", Path: "/2"}
	f.same("in the order of the sessions", []store.SessionEnds{{First: b, Last: b}, {First: c, Last: c}, {First: first, Last: store.SessionEnd{Category: "form", Name: "send"}, Rejections: 2}},
		ends(query.Query{}))
	f.same("as the applications see it", []store.SessionEnds{{First: first, Last: second, Rejections: 2}},
		ends(query.Query{Apps: []string{"shop"}, SessionIDs: []string{"a"}}))
	f.same("of none", 0, len(ends(query.Query{SessionIDs: []string{"none"}})))
	earlier := f.sessions(query.Query{SessionIDs: []string{"a"}})
	f.write(ev(9, in("a", "shop", 10), seq(0), end("page", "earlier", `{}`)))
	list, err := f.SessionEnds(f.Context(), query.Query{Horizon: earlier.Horizon}, earlier.Items)
	if err != nil {
		f.Fatal(err)
	}
	f.same("at the horizon", first, list[0].First)
}

func testTotals(f *fixture) {
	const day = 24 * hour
	f.write(
		ev(1, in("a", "shop", 10*day)), ev(2, in("a", "shop", 10*day+hour)), ev(3, in("a", "blog", 10*day-1)),
		ev(4, in("b", "shop", 11*day-1)), ev(5, in("b", "shop", 11*day)), ev(6, in("c", "blog", 10*day)), ev(1, in("a", "shop", 10*day)),
		rejWith(rej(7, "x"), func(r *event.Rejection) { r.ReceivedAt = 10 * day }), rejWith(rej(8, "x"), func(r *event.Rejection) { r.ReceivedAt = 11 * day }),
	)
	totals := func(q query.Query) store.Totals {
		f.Helper()
		t, err := f.Totals(f.Context(), q)
		if err != nil {
			f.Fatal("totals:", err)
		}
		return t
	}
	span := query.Query{From: ptr(10 * day), To: ptr(11 * day)}
	f.same("of all", store.Totals{Events: 4, Rejected: 1, Sessions: 2}, totals(span))
	span.Apps = []string{"shop"}
	f.same("of an application, to which the session began later", store.Totals{Events: 3, Rejected: 1, Sessions: 2}, totals(span))
	span.Apps = []string{"blog"}
	f.same("of another", store.Totals{Events: 1, Sessions: 1}, totals(span))
	f.same("of everything", store.Totals{Events: 6, Rejected: 2, Sessions: 3}, totals(query.Query{From: ptr(0), To: ptr(100 * day)}))
	f.same("of nothing", store.Totals{}, totals(query.Query{From: ptr(20 * day), To: ptr(21 * day)}))
	f.write(ev(10, in("c", "blog", 10*day-hour)))
	f.same("after an earlier event of a session", store.Totals{Events: 1}, totals(span))
}
