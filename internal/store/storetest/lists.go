package storetest

import (
	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

func in(session, app string, occurred event.Micros) func(*event.Event) {
	return func(e *event.Event) { e.SessionID, e.App, e.OccurredAt = session, app, occurred }
}

func (f *fixture) sessions(q query.Query) store.Page[store.Session] {
	f.Helper()
	p, err := f.Sessions(f.Context(), q)
	if err != nil {
		f.Fatal("sessions:", err)
	}
	return p
}

func testSessions(f *fixture) {
	f.write(ev(1, in("a", "shop", 10)), ev(2, in("a", "blog", 5)), ev(3, in("b", "shop", 20)), ev(4, in("b", "shop", 8)), ev(5, in("c", "blog", 5)))
	a := store.Session{ID: "a", Apps: []string{"blog", "shop"}, StartedAt: 5, EndedAt: 10, Events: 2}
	b := store.Session{ID: "b", Apps: []string{"shop"}, StartedAt: 8, EndedAt: 20, Events: 2}
	c := store.Session{ID: "c", Apps: []string{"blog"}, StartedAt: 5, EndedAt: 5, Events: 1}
	f.same("latest start first, then id", []store.Session{b, a, c}, f.sessions(query.Query{}).Items)
	f.same("the summary is of the whole session", []store.Session{b}, f.sessions(query.Query{From: ptr(15)}).Items)
	f.same("by one session", []store.Session{a}, f.sessions(query.Query{SessionIDs: []string{"a"}}).Items)
	seen := a
	seen.Apps, seen.StartedAt, seen.Events = []string{"shop"}, 10, 1
	f.same("as the applications see it", []store.Session{seen, b}, f.sessions(query.Query{Apps: []string{"shop"}}).Items)
	f.same("by a condition", []store.Session{c}, f.sessions(query.Query{Where: f.where(query.Sessions, "data.n=5")}).Items)

	q := query.Query{Limit: 1}
	var ids []string
	for {
		p := f.sessions(q)
		for _, s := range p.Items {
			ids = append(ids, s.ID)
		}
		if !p.More {
			break
		}
		// An earlier event moves a session; at the horizon it stays where it was.
		f.write(ev(100+len(ids), in("c", "blog", 1)), ev(200+len(ids), in("d", "shop", 100)))
		after := query.AfterSession(p.Items[0].StartedAt, p.Items[0].ID)
		q.After, q.Horizon = &after, p.Horizon
	}
	f.same("paged while events arrive", []string{"b", "a", "c"}, ids)
}

func testRejectionLists(f *fixture) {
	missing := event.Problem{Code: event.MissingField, Pointer: "/data/a/b", Message: "it's \"missing\""}
	future := event.Problem{Code: event.TimestampInFuture, Pointer: "/timestamp"}
	f.write(rej(1, `{"data":{"a":1}}`, missing), rej(2, `{"data":{"a":2}}`, missing, future), rej(3, "no JSON", future))
	f.write(rej(3, "again", future))
	list := func(q query.Query) []int {
		f.Helper()
		p, err := f.Rejections(f.Context(), q)
		if err != nil {
			f.Fatal("rejections:", err)
		}
		var got []int
		for _, r := range p.Items {
			got = append(got, number(r.EventID))
		}
		return got
	}
	f.same("newest first", []int{3, 3, 2, 1}, list(query.Query{Descending: true}))
	f.same("oldest first", []int{1, 2, 3, 3}, list(query.Query{}))
	f.same("by code", []int{1, 2}, list(query.Query{Codes: []string{event.MissingField, "none"}}))
	f.same("by pointer", []int{2, 3, 3}, list(query.Query{Pointers: []string{"/timestamp"}}))
	f.same("by event", []int{3, 3}, list(query.Query{EventIDs: []uuid.UUID{id(3)}}))
	f.same("by id", []int{2}, list(query.Query{IDs: []uuid.UUID{rej(2, `{"data":{"a":2}}`).Rejection.ID}}))
	f.same("by time", []int{2}, list(query.Query{From: ptr(1_600_000_200*second + 2), To: ptr(1_600_000_200*second + 3)}))
	f.same("by payload", []int{2}, list(query.Query{Where: f.where(query.Rejections, "data.a=2")}))
	f.same("an unreadable payload matches != alone", []int{1, 3, 3}, list(query.Query{Where: f.where(query.Rejections, "data.a!=2")}))
	f.same("at a horizon", []int{1, 2, 3}, list(query.Query{Horizon: 1}))
	for _, descending := range []bool{true, false} {
		q := query.Query{Descending: descending, Limit: 1}
		var got []int
		for {
			p, err := f.Rejections(f.Context(), q)
			if err != nil || len(p.Items) != 1 {
				f.Fatalf("%d items, %v", len(p.Items), err)
			}
			got = append(got, number(p.Items[0].EventID))
			if !p.More {
				break
			}
			after := query.AfterRejection(&p.Items[0])
			q.After, q.Horizon = &after, p.Horizon
		}
		f.same("paged", list(query.Query{Descending: descending}), got)
	}
	groups, err := f.RejectionSummary(f.Context(), query.Query{}, 0)
	if err != nil {
		f.Fatal(err)
	}
	at := 1_600_000_200 * second
	f.same("summary", []store.RejectionGroup{
		{App: "shop", Category: "page", Code: future.Code, Pointer: future.Pointer, Count: 3, FirstSeen: at + 2, LastSeen: at + 3, Example: rej(3, "again").Rejection.ID},
		{App: "shop", Category: "page", Code: missing.Code, Pointer: missing.Pointer, Count: 2, FirstSeen: at + 1, LastSeen: at + 2, Example: rej(2, `{"data":{"a":2}}`).Rejection.ID, Message: missing.Message},
	}, groups)
}

// testSummary has groups that differ in one part each, and equal counts.
func testSummary(f *fixture) {
	received := 1_600_000_200 * second
	one := func(n int, change func(*event.Rejection), problems ...event.Problem) event.Record {
		r := rej(n, "x", problems...)
		change(r.Rejection)
		return r
	}
	keep := func(*event.Rejection) {}
	a, b, c := event.Problem{Code: "a", Pointer: "/x"}, event.Problem{Code: "b", Pointer: "/x"}, event.Problem{Code: "a", Pointer: "/y"}
	a.Message = "first"
	again := a
	again.Message = "second"
	f.write(
		one(1, func(r *event.Rejection) { r.ReceivedAt = received + 9 }, a, b, again), // the newest, though first
		one(2, keep, a, c),
		one(3, func(r *event.Rejection) { r.App = "blog" }, a),
		one(4, func(r *event.Rejection) { r.Category = "form" }, a),
		one(5, func(r *event.Rejection) { r.Name = "send" }, a),
	)
	f.write(one(2, keep, a, c)) // a duplicate does not count
	group := func(p event.Problem, count int64, example int) store.RejectionGroup {
		at := received + event.Micros(example)
		return store.RejectionGroup{App: "shop", Category: "page", Code: p.Code, Pointer: p.Pointer, Count: count,
			FirstSeen: at, LastSeen: at, Example: rej(example, "x").Rejection.ID, Message: p.Message}
	}
	want := []store.RejectionGroup{group(a, 3, 1), group(a, 1, 3), group(a, 1, 4), group(c, 1, 2), group(b, 1, 1), group(a, 1, 5)}
	want[0].FirstSeen, want[0].LastSeen, want[4].FirstSeen, want[4].LastSeen = received+2, received+9, received+9, received+9
	want[0].Message = again.Message
	want[1].App, want[2].Category, want[5].Name = "blog", "form", "send"
	summary := func(q query.Query) []store.RejectionGroup {
		f.Helper()
		groups, err := f.RejectionSummary(f.Context(), q, 0)
		if err != nil {
			f.Fatal("summary:", err)
		}
		return groups
	}
	f.same("most frequent first, then by the fields", want, summary(query.Query{}))
	f.same("at most so many", want[:2], summary(query.Query{Limit: 2}))
	f.same("of one application", want[1:2], summary(query.Query{Apps: []string{"blog"}}))
	ofFirst := group(a, 2, 1)
	ofFirst.Message = again.Message
	ofFirst.FirstSeen, ofFirst.LastSeen = received+9, received+9
	f.same("all problems of those that have a code", []store.RejectionGroup{ofFirst, want[4]}, summary(query.Query{Codes: []string{"b"}}))
	f.same("of none", 0, len(summary(query.Query{Apps: []string{}})))

	from, to := received, received+10
	groups, err := f.RejectionSummary(f.Context(), query.Query{From: &from, To: &to, Apps: []string{"shop"}, Limit: 2}, 5)
	if err != nil || len(groups) != 2 {
		f.Fatal("summary in parts:", len(groups), err)
	}
	f.same("the parts of the first group", []int64{0, 1, 0, 0, 2}, groups[0].Parts)
	f.same("the parts of the second group", []int64{0, 0, 1, 0, 0}, groups[1].Parts)
	if _, err := f.RejectionSummary(f.Context(), query.Query{From: &from}, 5); err == nil {
		f.Error("parts of a span without an end")
	}
}
