package storetest

import (
	"fmt"
	"strings"

	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// testPagesByBytes has items of very different sizes. Pages end by their bytes, and
// together are the whole list.
func testPagesByBytes(f *fixture) {
	const items, large = 24, 20_000
	size := func(n int) int {
		switch {
		case n%7 == 0:
			return large
		case n == 16:
			return 10 * large // more than a page may have
		}
		return n
	}
	var want, refused []int
	for n := range items {
		text := strings.Repeat("x", size(n))
		f.write(
			ev(n, at(event.Micros(n/3)), data(`{"v":"`+text+`"}`), func(e *event.Event) { e.SessionID = fmt.Sprintf("%03d", n) }),
			rej(n, text, event.Problem{Code: "c", Pointer: fmt.Sprintf("/%03d", n), Message: text}),
		)
		want = append(want, n)
		refused = append([]int{n}, refused...)
	}
	eventNumber := func(e *event.Event) int {
		if got := len(e.Data) - len(`{"v":""}`); got != size(number(e.ID)) {
			f.Errorf("the data of %d has %d bytes", number(e.ID), got)
		}
		return number(e.ID)
	}
	rejectionNumber := func(r *event.Rejection) int {
		n := number(r.EventID)
		if len(r.Raw) != size(n) || len(r.Problems) != 1 || len(r.Problems[0].Message) != size(n) {
			f.Errorf("rejection %d has %d bytes and the problems %.100v", n, len(r.Raw), r.Problems)
		}
		return n
	}
	afterSession := func(x *store.Session) query.After { return query.AfterSession(x.StartedAt, x.ID) }
	for _, page := range []struct{ most, limit int }{
		{1, items}, {1_000, items - 1}, {3 * large, 3}, {4 * large, items}, {1 << 30, 3}, {1 << 30, items},
	} {
		q := query.Query{Limit: page.limit, MaxBytes: page.most}
		f.same("events", want, walk(f, q, list[event.Event]{store.Reader.Events, query.AfterEvent}, (*event.Event).Size, eventNumber))
		q.SessionIDs = []string{"007", "016", "014", "001"}
		f.same("events of some sessions", []int{1, 7, 14, 16}, walk(f, q, list[event.Event]{store.Reader.Events, query.AfterEvent}, (*event.Event).Size, eventNumber))
		q = query.Query{Limit: page.limit, MaxBytes: page.most, Descending: true}
		f.same("rejections", refused, walk(f, q, list[event.Rejection]{store.Reader.Rejections, query.AfterRejection}, (*event.Rejection).Size, rejectionNumber))
		f.same("sessions", items, len(walk(f, q, list[store.Session]{store.Reader.Sessions, afterSession}, (*store.Session).Size, func(*store.Session) int { return 0 })))
	}
	f.testShortened(items)
}

// testShortened looks at answers that have no next page, after so many items were written.
func (f *fixture) testShortened(items int64) {
	f.Helper()
	groups, err := f.RejectionSummary(f.Context(), query.Query{MaxBytes: 1, Limit: 9}, 0)
	if err != nil || len(groups) != 1 {
		f.Errorf("a summary of one group has %d, %v", len(groups), err)
	}
	values, err := f.Values(f.Context(), query.Query{MaxBytes: 1, Limit: 9}, query.Field{Name: query.SessionID})
	if err != nil || len(values.Top) != 1 || values.Other != items-1 {
		f.Errorf("values of which one fits: %d and %d others, %v", len(values.Top), values.Other, err)
	}
	seven := []uuid.UUID{id(7)}
	for n := range 5 {
		f.write(rej(7, fmt.Sprint("again", n), event.Problem{Code: "c", Message: strings.Repeat("x", 1000)}))
	}
	whole, err := f.Receipt(f.Context(), query.Query{IDs: seven}, 9)
	if err != nil || len(whole) != 7 {
		f.Fatalf("a receipt of 7 lines has %d, %v", len(whole), err)
	}
	for most, lines := range map[int]int{1: 1, 2 * whole[0].Size(): 2, 5*whole[0].Size() - 1: 4} {
		got, err := f.Receipt(f.Context(), query.Query{IDs: seven, MaxBytes: most}, 9)
		if err != nil {
			f.Fatal("receipt:", err)
		}
		f.same(fmt.Sprint("a receipt within ", most, " bytes"), whole[:lines], got)
	}
}

// walk reads a list page by page and returns the names of its items.
func walk[T any](f *fixture, q query.Query, l list[T], size, name func(*T) int) (names []int) {
	f.Helper()
	for {
		p, err := l.read(f, f.Context(), q)
		if err != nil {
			f.Fatal(err)
		}
		sum := 0
		for i := range p.Items {
			sum += size(&p.Items[i])
			names = append(names, name(&p.Items[i]))
		}
		if len(p.Items) > q.Limit || len(p.Items) > 1 && sum > q.MaxBytes {
			f.Fatalf("a page has %d items of %d bytes, at most %d of %d are asked for", len(p.Items), sum, q.Limit, q.MaxBytes)
		}
		if !p.More {
			return names
		}
		if len(p.Items) == 0 {
			f.Fatal("a page has nothing, and there is more")
		}
		place := l.after(&p.Items[len(p.Items)-1])
		q.After, q.Horizon = &place, p.Horizon
	}
}
