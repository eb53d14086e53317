package storetest

import (
	"errors"
	"math"
	"slices"

	"pgregory.net/rapid"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// everything selects the whole feed in pages of a size.
func everything(limit int) store.FeedQuery {
	return store.FeedQuery{Events: &query.Query{}, Rejections: &query.Query{}, Erasures: &query.Query{}, Limit: limit, MaxBytes: query.PageBytes}
}

func (f *fixture) feed(q store.FeedQuery) store.FeedPage {
	f.Helper()
	p, err := f.Feed(f.Context(), q)
	if err != nil {
		f.Fatal("feed:", err)
	}
	return p
}

// feedLine describes an item by its test id.
func feedLine(i store.FeedItem) string {
	if i.Event != nil {
		return "event " + i.Event.Name
	}
	return "rejection " + string(i.Rejection.Raw)
}

func feedLines(items []store.FeedItem) (list []string) {
	for _, i := range items {
		list = append(list, feedLine(i))
	}
	return list
}

func testFeed(f *fixture) {
	start := f.feed(everything(10))
	f.same("an empty store", 0, len(start.Items))
	if start.More || start.Next != (store.FeedPlace{}) {
		f.Errorf("the feed of an empty store goes to %+v, more %v", start.Next, start.More)
	}
	named := func(name string) func(*event.Event) { return func(e *event.Event) { e.Name = name } }
	f.write(ev(1, named("a"), func(e *event.Event) { e.OccurredAt += hour }), rej(2, "x"), ev(3, named("b")))
	f.write(ev(4, named("c"), func(e *event.Event) { e.SessionID = "other" }), ev(1, named("a"), func(e *event.Event) { e.OccurredAt += hour }))
	first := f.feed(everything(3))
	f.same("in the order of arrival, not of time", []string{"event a", "rejection x", "event b"}, feedLines(first.Items))
	if !first.More {
		f.Error("there is more")
	}
	next := everything(3)
	next.After, next.Timeline = first.Next, first.Timeline
	second := f.feed(next)
	f.same("the rest; a duplicate is not an item", []string{"event c"}, feedLines(second.Items))
	if second.More || second.Next.Compare(store.AfterFrame(f.last)) < 0 {
		f.Errorf("the second page goes to %+v, more %v", second.Next, second.More)
	}
	if a, b := first.Items[0].SessionKey, first.Items[2].SessionKey; a == "" || a != b || a == second.Items[0].SessionKey {
		f.Errorf("keys of two sessions: %q and %q, %q", a, b, second.Items[0].SessionKey)
	}
	next.After = second.Next
	again := f.feed(next)
	f.same("nothing is new", 0, len(again.Items))
	f.same("nothing was passed", second.Next, again.Next)
	f.write(ev(5, named("d")))
	f.same("what is new", []string{"event d"}, feedLines(f.feed(next).Items))

	only := everything(10)
	only.Rejections = nil
	f.same("events alone", []string{"event a", "event b", "event c", "event d"}, feedLines(f.feed(only).Items))
	only.Events = &query.Query{Names: []string{"c"}}
	found := f.feed(only)
	f.same("a filter", []string{"event c"}, feedLines(found.Items))
	f.same("the search goes to the end", f.last, found.Next.CarriedBy)
	only.Events, only.Rejections = nil, &query.Query{Codes: []string{event.MissingField}}
	f.same("rejections alone", []string{"rejection x"}, feedLines(f.feed(only).Items))
	only.Limit, only.MaxBytes, only.Events = 10, 1, &query.Query{}
	f.same("the first item always fits", []string{"event a"}, feedLines(f.feed(only).Items))

	gone := everything(1)
	gone.After, gone.Timeline = first.Next, "another"
	if _, err := f.Feed(f.Context(), gone); !isGone(err) {
		f.Errorf("a place on an unknown timeline: %v", err)
	}
}

func isGone(err error) bool {
	_, ok := errors.AsType[*store.PlaceGoneError](err)
	return ok
}

// walkFeed reads the feed while batches are written. Its pages together are what the model has in
// the end: nothing is skipped or repeated.
func (h *history) walkFeed() {
	q := store.FeedQuery{Erasures: &query.Query{}, MaxBytes: query.PageBytes}
	if rapid.IntRange(0, 3).Draw(h.t, "kinds") > 0 {
		e := drawQuery(h.t, query.Events, h.last)
		q.Events = &e
	}
	if q.Events == nil || rapid.Bool().Draw(h.t, "both kinds") {
		r := drawRejectionQuery(h)
		r.Replayed = nil
		q.Rejections = &r
	}
	if rapid.Bool().Draw(h.t, "unfiltered") {
		q.Events, q.Rejections = &query.Query{}, &query.Query{}
	}
	var all []store.FeedItem
	keys := map[string]string{}
	for {
		q.Limit = rapid.IntRange(1, 9).Draw(h.t, "limit")
		q.MaxBytes = draw(h.t, "bytes", query.PageBytes, 1, 1500)
		p, err := h.store.Feed(h.ctx, q)
		if err != nil {
			h.t.Fatal("feed:", err)
		}
		if len(p.Items) > q.Limit || p.Next.Compare(q.After) < 0 || p.More && p.Next == q.After {
			h.t.Fatalf("a page of %d, limit %d, from %+v to %+v, more %v", len(p.Items), q.Limit, q.After, p.Next, p.More)
		}
		for i := range p.Items {
			session := sessionOf(p.Items[i])
			if key, ok := keys[session]; ok && key != p.Items[i].SessionKey || (session == "") != (p.Items[i].SessionKey == "") {
				h.t.Fatalf("session %q has the keys %q and %q", session, key, p.Items[i].SessionKey)
			}
			keys[session] = p.Items[i].SessionKey
			if p.Items[i].Timeline == "" {
				h.t.Fatalf("the item at %+v has no timeline", p.Items[i].Place)
			}
			// These are of the store's own making.
			p.Items[i].SessionKey, p.Items[i].Timeline = "", ""
		}
		all = append(all, p.Items...)
		q.After, q.Timeline = p.Next, p.Timeline
		if !p.More {
			break
		}
		if chance(h.t, "write between pages", 3) {
			h.write()
		}
	}
	whole := q
	whole.After, whole.Timeline, whole.Limit, whole.MaxBytes = store.FeedPlace{}, "", math.MaxInt, math.MaxInt
	want, err := h.model.Feed(h.ctx, whole)
	if err != nil {
		h.t.Fatal("the model:", err)
	}
	for i := range want.Items {
		want.Items[i].SessionKey, want.Items[i].Timeline = "", ""
	}
	h.equal("the feed", want.Items, all)
	if !slices.IsSortedFunc(all, func(a, b store.FeedItem) int { return a.Place.Compare(b.Place) }) {
		h.t.Fatal("the feed is not in order")
	}
	if q.After.CarriedBy != h.last {
		h.t.Fatalf("the feed ends at frame %d of %d", q.After.CarriedBy, h.last)
	}
}

func sessionOf(i store.FeedItem) string {
	if i.Event != nil {
		return i.Event.SessionID
	}
	return i.Rejection.SessionID
}
