package storetest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// testSessionPages has sessions that start at the same time: their ids decide,
// by bytes.
func testSessionPages(f *fixture) {
	ids := []string{"é", "a", "Z", "b", "10", "9", "日本", "a b", "a'"}
	for i, session := range ids {
		f.write(ev(2*i, in(session, "shop", 7)), ev(2*i+1, in(session, "shop", event.Micros(8+i))))
	}
	slices.Sort(ids)
	for size := 1; size <= len(ids)+1; size++ {
		q := query.Query{Limit: size}
		var got []string
		for {
			p := f.sessions(q)
			for _, s := range p.Items {
				got = append(got, s.ID)
			}
			if !p.More {
				break
			}
			if len(p.Items) != size {
				f.Fatalf("a page of %d of %d", len(p.Items), size)
			}
			after := query.AfterSession(p.Items[size-1].StartedAt, p.Items[size-1].ID)
			q.After, q.Horizon = &after, p.Horizon
		}
		f.same(fmt.Sprint("pages of ", size), ids, got)
	}
	f.same("the order is the same when descending", ids, sessionIDs(f.sessions(query.Query{Descending: true})))
	f.same("an event selects a session once", 1, len(f.sessions(query.Query{SessionIDs: []string{"a"}}).Items))
	f.same("by applications that are not there", 0, len(f.sessions(query.Query{Apps: []string{"blog"}}).Items))
}

func sessionIDs(p store.Page[store.Session]) []string {
	var ids []string
	for _, s := range p.Items {
		ids = append(ids, s.ID)
	}
	return ids
}

// testReceiptLines looks at all that a line of a receipt says.
func testReceiptLines(f *fixture) {
	client := func(e *event.Event) { e.ClientID, e.ReceivedAt = "order/1", 50 }
	later := func(e *event.Event) { e.ClientID, e.ReceivedAt = "order/1", 40 } // by a clock that went back
	refused := rej(1, "a", event.Problem{Code: "a", Pointer: "/b", Message: "m"}, event.Problem{Code: "c"})
	f.write(ev(2), ev(1, client), refused)
	f.write(ev(1, later), ev(2), refused)
	line := func(frame uint64, index uint32, fate event.Fate) store.Arrival {
		return store.Arrival{App: "shop", EventID: id(1), ClientID: "order/1", Position: event.Position{Frame: frame, Index: index}, CarriedBy: frame, ReceivedAt: 50, Fate: fate}
	}
	want := []store.Arrival{line(2, 2, event.Duplicate), line(2, 0, event.Duplicate), line(1, 2, event.Rejected), line(1, 1, event.Stored)}
	for _, i := range []int{0, 2} {
		want[i].ClientID, want[i].ReceivedAt, want[i].Problems = "", refused.Rejection.ReceivedAt, refused.Rejection.Problems
	}
	want[1].ReceivedAt = 40
	receipt := func(limit int, ids ...uuid.UUID) []store.Arrival {
		f.Helper()
		list, err := f.Receipt(f.Context(), query.Query{IDs: ids}, limit)
		if err != nil {
			f.Fatal("receipt:", err)
		}
		return list
	}
	f.same("newest first by position", want, receipt(100, id(1)))
	f.same("the newest", want[:3], receipt(3, id(1)))
	f.same("of several ids", 6, len(receipt(100, id(1), id(2))))
	f.same("of no such id", 0, len(receipt(100, id(9))))
}

// testSteps counts at the edges of steps, and orders points by group first.
func testSteps(f *fixture) {
	const day = 86400 * second
	f.write(
		ev(1, at(0)), ev(2, at(60*second-1)), ev(3, at(60*second)), ev(4, at(3600*second-1)), ev(5, at(3600*second)),
		ev(6, at(day-1)), ev(7, at(day), func(e *event.Event) { e.App = "blog" }), ev(8, at(event.Latest-1), func(e *event.Event) { e.Name = "a" }),
	)
	series := func(s store.Series) []store.Point {
		f.Helper()
		if s.MaxPoints == 0 {
			s.MaxPoints = 100
		}
		points, err := f.Series(f.Context(), query.Query{}, s)
		if err != nil {
			f.Fatal("series:", err)
		}
		return points
	}
	f.same("minutes", []store.Point{
		point("", 0, 2), point("", 60*second, 1), point("", 3540*second, 1), point("", 3600*second, 1), point("", day-60*second, 1),
		point("", day, 1), point("", event.Latest-60*second, 1),
	}, series(store.Series{Interval: store.Minute}))
	f.same("days by application", []store.Point{point("blog", day, 1), point("shop", 0, 6), point("shop", event.Latest-day, 1)},
		series(store.Series{Interval: store.Day, Group: store.ByApp}))
	f.same("hours by name", []store.Point{
		point("a", event.Latest-3600*second, 1),
		point("view", 0, 4), point("view", 3600*second, 1), point("view", day-3600*second, 1), point("view", day, 1),
	}, series(store.Series{Interval: store.Hour, Group: store.ByName}))
	f.same("just as many as allowed", 3, len(series(store.Series{Interval: store.Day, MaxPoints: 3})))
	_, err := f.Series(f.Context(), query.Query{}, store.Series{Interval: store.Day, MaxPoints: 2})
	if !errors.Is(err, store.ErrTooWide) {
		f.Errorf("one too many: %v", err)
	}
}

// testFateSeries counts arrivals by when they were received, whatever became of
// them, with the filters that all of them have.
func testFateSeries(f *fixture) {
	received := func(at event.Micros) func(*event.Event) { return func(e *event.Event) { e.ReceivedAt = at } }
	blog := func(e *event.Event) { e.App, e.SessionID, e.Category, e.Name = "blog", "t", "form", "send" }
	refused := rej(9, "x")
	refused.Rejection.ReceivedAt = hour
	f.write(ev(1, at(9*hour), received(0)), ev(1, at(9*hour), received(hour)), refused, ev(2, blog, received(2*hour)))
	f.write(ev(1, data(`{}`), received(hour)), ev(2, blog, received(2*hour)))
	series := func(q query.Query) []store.Point {
		f.Helper()
		points, err := f.Series(f.Context(), q, store.Series{Interval: store.Hour, Group: store.ByStatus, MaxPoints: 9})
		if err != nil {
			f.Fatal("series:", err)
		}
		return points
	}
	f.same("all", []store.Point{
		point("duplicate", hour, 1), point("duplicate", 2*hour, 1), point("rejected", hour, 2), point("stored", 0, 1), point("stored", 2*hour, 1),
	}, series(query.Query{}))
	ofBlog := []store.Point{point("duplicate", 2*hour, 1), point("stored", 2*hour, 1)}
	for _, q := range []query.Query{
		{Apps: []string{"blog"}}, {SessionIDs: []string{"t"}}, {Categories: []string{"form"}}, {Names: []string{"send"}}, {From: ptr(2 * hour)},
	} {
		f.same("of the other application", ofBlog, series(q))
	}
	f.same("until", []store.Point{point("stored", 0, 1)}, series(query.Query{To: ptr(hour)}))
	f.same("of none", 0, len(series(query.Query{Apps: []string{}})))
}
