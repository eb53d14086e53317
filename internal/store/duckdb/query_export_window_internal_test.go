package duckdb

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// scattered writes events of few and of many times, into segments and hot tables.
func scattered(t *testing.T, s *Store, n, sessions int) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	for frame := range uint64(6) {
		b := store.Batch{First: frame + 1, Last: frame + 1, Arrivals: map[string]store.Arrivals{"shop": {Received: int64(n)}}}
		for i := range n {
			at := event.Micros(1_600_000_000_000_000 + random.Int64N(5)*86_400_000_000)
			if i%3 > 0 {
				at += event.Micros(random.Int64N(40_000_000_000))
			}
			b.Records = append(b.Records, event.Record{Event: &event.Event{
				App: "shop", ID: uuid.New(), SessionID: fmt.Sprint(random.IntN(sessions)), Category: "c", Name: "n", Data: []byte(`{}`),
				Timestamp: "2020-09-13T12:26:40Z", Seq: random.Int64N(3), OccurredAt: at, ReceivedAt: at,
				Position: event.Position{Frame: frame + 1, Index: uint32(i)}, CarriedBy: frame + 1,
			}})
		}
		if _, err := s.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if frame%2 == 0 {
			if err := s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Windows of any size give what paging gives, also where many events have one
// time and where there are none for long.
func TestWindows(t *testing.T) {
	s, err := Open(t.Context(), Options{Dir: t.TempDir(), MemoryLimit: 512 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	scattered(t, s, 25, 9)
	from, to := event.Micros(1_600_000_000_000_000+86_400_000_000), event.Micros(1_600_000_000_000_000+3*86_400_000_000)
	for _, q := range []query.Query{{}, {Descending: true}, {SessionIDs: []string{"3"}}, {From: &from, To: &to}, {From: &to, Descending: true}} {
		want := q
		want.Limit = query.MaxLimit
		page, err := s.Events(t.Context(), want)
		if err != nil {
			t.Fatal(err)
		}
		for _, most := range []int{1, 2, 7, 50, windowRows} {
			got := collect(t, s, q, most)
			if diff := cmp.Diff(page.Items, got); diff != "" {
				t.Errorf("%+v in windows of %d (-pages +export):\n%s", q, most, diff)
			}
		}
	}
}

// collect exports in windows of so many events.
func collect(t *testing.T, s *Store, q query.Query, most int) (all []event.Event) {
	t.Helper()
	e, err := s.beginExport(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	e.most = most
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	chunks := make(chan []event.Event)
	done := make(chan error, 1)
	go func() {
		done <- e.read(ctx, chunks)
		close(chunks)
	}()
	for chunk := range chunks {
		all = append(all, chunk...)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return all
}

// A search that is ended after each window goes on where it was, and gives in the
// end what one that is not ended gives.
func TestSearchThatIsEnded(t *testing.T) {
	s, err := Open(t.Context(), Options{Dir: t.TempDir(), MemoryLimit: 512 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	scattered(t, s, 200, 900)
	from, to := event.Micros(1_600_000_000_000_000+86_400_000_000), event.Micros(1_600_000_000_000_000+3*86_400_000_000)
	rare := []query.Condition{{Field: query.Field{Name: query.Seq}, Operator: query.Equal, Value: "2"}, {Field: query.Field{Name: query.SessionID}, Operator: query.Contains, Value: "77"}}
	for name, q := range map[string]query.Query{
		"newest first": {Descending: true}, "between": {From: &from, To: &to}, "rare": {Where: rare, To: &to}, "none": {Names: []string{"other"}},
	} {
		t.Run(name, func(t *testing.T) {
			endless(t, s, q, s.Events, query.AfterEvent)
			q.Descending = false
			endless(t, s, q, s.Sessions, func(x *store.Session) query.After { return query.AfterSession(x.StartedAt, x.ID) })
		})
	}
}

// endless compares a list with itself when each search is ended as soon as it may.
func endless[T any](t *testing.T, s *Store, q query.Query, list func(context.Context, query.Query) (store.Page[T], error), after func(*T) query.After) {
	t.Helper()
	read := func(limit int, within time.Duration) (all []T, ended int) {
		s.opts.SearchTime = within
		next := q
		next.Limit = limit
		for {
			p, err := list(t.Context(), next)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, p.Items...)
			if !p.More {
				return all, ended
			}
			var place query.After
			if p.SearchedTo != nil {
				ended++
				place = query.AfterTime(*p.SearchedTo, q.Descending)
			} else {
				place = after(&p.Items[len(p.Items)-1])
			}
			next.After, next.Horizon = &place, p.Horizon
		}
	}
	want, _ := read(query.MaxLimit, time.Hour)
	limit := min(len(want)+1, 3)
	got, ended := read(limit, 1)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-whole +ended):\n%s", diff)
	}
	if ended == 0 && len(want) == 0 {
		t.Errorf("no search of %T was ended", want)
	}
}
