package storetest

import (
	"slices"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

func testPages(f *fixture) {
	var one []int
	for frame := range slices.Chunk(make([]event.Record, query.DefaultLimit), 10) {
		for i := range frame {
			one = append(one, len(one))
			frame[i] = ev(len(one)-1, at(10))
		}
		f.write(frame...)
	}
	page := func(what string, q query.Query, items int, more bool) {
		f.Helper()
		p, err := f.Events(f.Context(), q)
		if err != nil {
			f.Fatal("events:", err)
		}
		if len(p.Items) != items || p.More != more {
			f.Errorf("%s: %d items, more %v; want %d, %v", what, len(p.Items), p.More, items, more)
		}
	}
	page("no limit, just full", query.Query{}, query.DefaultLimit, false)
	page("one less", query.Query{Limit: query.DefaultLimit - 1}, query.DefaultLimit-1, true)
	page("just full", query.Query{Limit: query.DefaultLimit}, query.DefaultLimit, false)
	page("one more", query.Query{Limit: query.DefaultLimit + 1}, query.DefaultLimit, false)
	f.same("in the order of arrival", one, f.numbers(query.Query{}))
	f.write(ev(query.DefaultLimit, at(10)))
	page("no limit", query.Query{}, query.DefaultLimit, true)

	all := f.events(query.Query{Limit: query.MaxLimit})
	behind := func(n int) *query.After {
		after := query.AfterEvent(&all[n])
		return &after
	}
	last := len(all) - 1
	page("behind the last", query.Query{After: behind(last)}, 0, false)
	page("behind the first, descending", query.Query{After: behind(0), Descending: true}, 0, false)
	page("behind the first", query.Query{After: behind(0), Limit: last}, last, false)
	page("behind the third, descending", query.Query{After: behind(2), Descending: true}, 2, false)
	f.same("neither place nor limit is counted", int64(len(all)), f.count(query.Query{After: behind(50), Limit: 3}))
}

// testHorizons asks for the horizon that lists tell, and for what is counted at
// a given one, between the frames of one batch, too.
func testHorizons(f *fixture) {
	first, second := f.batch(ev(1), rej(1, "a")), f.batch(ev(2, at(5)), rej(2, "a"))
	f.put(join(first, second))
	f.write(ev(3), rej(3, "a"))
	for _, q := range []query.Query{{}, {Horizon: 2}, {Limit: 1}, {SessionIDs: []string{"none"}}, {Apps: []string{}}} {
		want := q.Horizon
		if want == 0 {
			want = 3
		}
		events, err := f.Events(f.Context(), q)
		if err != nil || events.Horizon != want {
			f.Errorf("events %+v: horizon %d, %v; want %d", q, events.Horizon, err, want)
		}
		rejections, err := f.Rejections(f.Context(), q)
		if err != nil || rejections.Horizon != want {
			f.Errorf("rejections %+v: horizon %d, %v; want %d", q, rejections.Horizon, err, want)
		}
		if got := f.sessions(q).Horizon; got != want {
			f.Errorf("sessions %+v: horizon %d, want %d", q, got, want)
		}
	}
	for horizon := uint64(1); horizon <= 3; horizon++ {
		q := query.Query{Horizon: horizon}
		n := int64(horizon)
		f.same("count", n, f.count(q))
		f.same("events of sessions", n, f.sessions(q).Items[0].Events)
		rejections, err := f.Rejections(f.Context(), q)
		if err != nil || int64(len(rejections.Items)) != n {
			f.Errorf("%d rejections at %d, %v", len(rejections.Items), horizon, err)
		}
		groups, err := f.RejectionSummary(f.Context(), q, 0)
		if err != nil || groups[0].Count != n {
			f.Errorf("summary %+v at %d, %v", groups, horizon, err)
		}
		values, err := f.Values(f.Context(), q, query.Field{Name: query.ID})
		if err != nil || int64(len(values.Top)) != n {
			f.Errorf("values %+v at %d, %v", values, horizon, err)
		}
		for group, want := range map[store.Group]int64{store.ByNothing: n, store.ByStatus: 2 * n} {
			points, err := f.Series(f.Context(), q, store.Series{Interval: store.Day, Group: group, MaxPoints: 9})
			var sum int64
			for _, p := range points {
				sum += p.Count
			}
			if err != nil || sum != want {
				f.Errorf("series by %q %+v at %d, %v; want %d", group, points, horizon, err, want)
			}
		}
	}
}
