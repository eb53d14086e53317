package storetest

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
	"theeye/internal/store/memory"
)

// history is a random life of a store: events of three sessions and two
// applications with few different times, so that most are equal.
type history struct {
	*fixture
	t     *rapid.T
	model *memory.Store
	salt  int // makes the ids of each history its own, because a store lives through many
}

func (h *history) record() event.Record {
	n := h.salt*1000 + rapid.IntRange(1, 40).Draw(h.t, "id")
	session := fmt.Sprint(h.salt, "-", rapid.IntRange(1, 3).Draw(h.t, "session"))
	if rapid.IntRange(0, 5).Draw(h.t, "kind") == 0 {
		r := rej(n, rapid.SampledFrom([]string{"a", `{"data":{"v":1}}`, "\xff"}).Draw(h.t, "raw"))
		r.Rejection.SessionID = session
		return r
	}
	return ev(n, func(e *event.Event) {
		e.App = rapid.SampledFrom([]string{"shop", "shop", "blog"}).Draw(h.t, "app")
		e.SessionID = session
		e.Category = rapid.SampledFrom([]string{"page", "form"}).Draw(h.t, "category")
		e.OccurredAt = event.Micros(rapid.IntRange(0, 3).Draw(h.t, "time")) * 3600 * second
		e.Seq = rapid.SampledFrom([]int64{event.NoSeq, event.NoSeq, 0, 1, 2}).Draw(h.t, "seq")
		e.Data = []byte(rapid.SampledFrom([]string{`{}`, `{"v":1}`, `{"v":"1"}`, `{"v":[1,"x"]}`, `{"v":{"w":true}}`, `{"v":null}`}).Draw(h.t, "data"))
	})
}

// step gives the store and the model the same batch of one to three frames.
func (h *history) step() {
	h.last += uint64(rapid.IntRange(0, 2).Draw(h.t, "gap"))
	b := store.Batch{First: h.last + 1, Arrivals: map[string]store.Arrivals{}}
	for range rapid.IntRange(1, 3).Draw(h.t, "frames") {
		h.last++
		var records []event.Record
		for range rapid.IntRange(0, 8).Draw(h.t, "records") {
			records = append(records, h.record())
		}
		frame := batchAt(h.last, records)
		b.Records = append(b.Records, frame.Records...)
		for app, a := range frame.Arrivals {
			sum := b.Arrivals[app]
			b.Arrivals[app] = store.Arrivals{Received: sum.Received + a.Received}
		}
	}
	b.Last = h.last
	want, err := h.model.Write(h.Context(), b)
	if err != nil {
		h.t.Fatal(err)
	}
	for range rapid.IntRange(1, 2).Draw(h.t, "times") {
		got, err := h.Write(h.Context(), b)
		if err != nil {
			h.t.Fatal(err)
		}
		h.equal("outcomes", want, got)
	}
}

func (h *history) query(kind query.Kind) query.Query {
	// Only this history's sessions, or each would page through all before it.
	q := query.Query{Limit: rapid.IntRange(1, 10).Draw(h.t, "limit")}
	for i := range 3 {
		q.SessionIDs = append(q.SessionIDs, fmt.Sprint(h.salt, "-", i+1))
	}
	some := func(what string) bool { return rapid.IntRange(0, 2).Draw(h.t, what) == 0 }
	if kind != query.Sessions {
		q.Descending = rapid.Bool().Draw(h.t, "descending")
	}
	if some("by app") {
		q.Apps = []string{rapid.SampledFrom([]string{"shop", "blog", "none"}).Draw(h.t, "app")}
	}
	if some("by session") {
		q.SessionIDs = []string{fmt.Sprint(h.salt, "-", rapid.IntRange(1, 3).Draw(h.t, "session"))}
	}
	if some("by category") {
		q.Categories = []string{rapid.SampledFrom([]string{"page", "form"}).Draw(h.t, "category")}
	}
	if kind != query.Rejections && some("by time") {
		q.From = ptr(event.Micros(rapid.IntRange(0, 4).Draw(h.t, "from")) * 3600 * second)
	}
	if some("by condition") {
		text := rapid.SampledFrom([]string{"data.v=1", "data.v!=1", "data.v~x", "data.v>=1", "data.v.w=true", "data.v!=null", "app=shop"}).Draw(h.t, "where")
		q.Where = h.where(kind, text)
	}
	return q
}

func (h *history) equal(what string, want, got any) {
	h.Helper()
	h.same(what, want, got)
	if h.Failed() {
		h.t.Fatal(what + " differ")
	}
}

// walk pages through a list of both, writing between the pages.
func walk[T any](h *history, q query.Query, read func(store.Reader, query.Query) (store.Page[T], error), after func(*T) query.After) {
	for {
		want, errWant := read(h.model, q)
		got, errGot := read(h.Store, q)
		if errWant != nil || errGot != nil {
			h.t.Fatal(errWant, errGot)
		}
		h.equal("a page", want, got)
		if !got.More {
			return
		}
		place := after(&got.Items[len(got.Items)-1])
		q.After, q.Horizon = &place, got.Horizon
		if rapid.Bool().Draw(h.t, "write between pages") {
			h.step()
		}
	}
}

// total compares a session's pages with R1 as it is written here once more: all
// its events sorted by time, seq with absent last, and arrival.
func (h *history) total() {
	session := fmt.Sprint(h.salt, "-", rapid.IntRange(1, 3).Draw(h.t, "session"))
	q := query.Query{SessionIDs: []string{session}, Limit: query.MaxLimit}
	all := h.events(q)
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, func(a, b event.Event) int {
		absent := func(e event.Event) int {
			if e.Seq == event.NoSeq {
				return 1
			}
			return 0
		}
		return cmp.Or(cmp.Compare(a.OccurredAt, b.OccurredAt), cmp.Compare(absent(a), absent(b)), cmp.Compare(a.Seq, b.Seq),
			cmp.Compare(a.Position.Frame, b.Position.Frame), cmp.Compare(a.Position.Index, b.Position.Index))
	})
	h.equal("the order of a session", sorted, all)
	var want []int
	for _, e := range sorted {
		want = append(want, number(e.ID))
	}
	q.Limit = rapid.IntRange(1, 7).Draw(h.t, "page size")
	h.equal("a session by pages while events arrive", want, h.paged(q, h.step))
}

func testModel(f *fixture) {
	salt := 0
	model := memory.New()
	rapid.Check(f.T, func(t *rapid.T) {
		salt++
		h := &history{fixture: f, t: t, model: model, salt: salt}
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			h.step()
			switch rapid.IntRange(0, 4).Draw(t, "read") {
			case 0:
				walk(h, h.query(query.Events), func(s store.Reader, q query.Query) (store.Page[event.Event], error) {
					return s.Events(f.Context(), q)
				}, query.AfterEvent)
			case 1:
				walk(h, h.query(query.Sessions), func(s store.Reader, q query.Query) (store.Page[store.Session], error) {
					return s.Sessions(f.Context(), q)
				}, func(x *store.Session) query.After { return query.AfterSession(x.StartedAt, x.ID) })
			case 2:
				walk(h, h.query(query.Rejections), func(s store.Reader, q query.Query) (store.Page[event.Rejection], error) {
					return s.Rejections(f.Context(), q)
				}, query.AfterRejection)
			case 3:
				h.total()
			default:
				h.aggregates()
			}
		}
	})
}

// aggregates compares everything that is not a list.
func (h *history) aggregates() {
	q, ctx := h.query(query.Events), h.Context()
	both := func(what string, ask func(store.Reader) (any, error)) {
		want, errWant := ask(h.model)
		got, errGot := ask(h.Store)
		if errWant != nil || errGot != nil {
			h.t.Fatal(what, errWant, errGot)
		}
		h.equal(what, want, got)
	}
	both("count", func(s store.Reader) (any, error) { return s.Count(ctx, q) })
	both("books", func(s store.Reader) (any, error) { return s.Books(ctx, q.Apps) })
	for _, group := range []store.Group{store.ByNothing, store.ByCategory, store.ByApp} {
		both("series", func(s store.Reader) (any, error) {
			return s.Series(ctx, q, store.Series{Interval: store.Hour, Group: group, MaxPoints: 1000})
		})
	}
	both("values", func(s store.Reader) (any, error) {
		return s.Values(ctx, q, query.Field{Name: query.Data, Path: []string{"v"}})
	})
	both("summary", func(s store.Reader) (any, error) {
		return s.RejectionSummary(ctx, query.Query{SessionIDs: q.SessionIDs})
	})
	byID := query.Query{Apps: q.Apps, IDs: []uuid.UUID{id(h.salt*1000 + rapid.IntRange(1, 40).Draw(h.t, "id"))}}
	both("receipt", func(s store.Reader) (any, error) { return s.Receipt(ctx, byID, 100) })
}
