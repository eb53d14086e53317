package duckdb

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// scattered writes events of few and of many times, into segments and hot tables.
func scattered(t *testing.T, s *Store, n int) {
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
				App: "shop", ID: uuid.New(), SessionID: fmt.Sprint(random.IntN(9)), Category: "c", Name: "n", Data: []byte(`{}`),
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
	scattered(t, s, 25)
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
