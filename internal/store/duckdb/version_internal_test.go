package duckdb

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// A memtable that is frozen while the segments change, as by a merge, stays in
// the version until it is flushed.
func TestFreezeWhileSegmentsChangeRace(t *testing.T) {
	const frames = 60
	s, err := Open(t.Context(), Options{Dir: t.TempDir(), FlushRows: 10})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { done <- s.flusher(ctx) }()
	go func() {
		for ctx.Err() == nil {
			s.upkeep.Lock()
			s.install(func(next *storeVersion) {
				next.tables = &tableSet{memtables: next.tables.memtables, segments: slices.Clone(next.tables.segments)}
			})
			s.upkeep.Unlock()
		}
		done <- nil
	}()
	for n := uint64(1); n <= frames; n++ {
		b := store.Batch{First: n, Last: n, Arrivals: map[string]store.Arrivals{"shop": {Received: 10}}}
		for i := range 10 {
			id := uuid.NewSHA1(uuid.Nil, fmt.Append(nil, n, i))
			b.Records = append(b.Records, event.Record{Event: &event.Event{
				App: "shop", ID: id, SessionID: "s", Category: "c", Name: "n", Data: []byte("{}"), OccurredAt: 1, ReceivedAt: 1,
				Position: event.Position{Frame: n, Index: uint32(i)}, CarriedBy: n,
			}})
		}
		if _, err := s.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if n%20 != 0 {
			continue
		}
		if got, err := s.Count(t.Context(), query.Query{}); err != nil || got != int64(10*n) {
			t.Fatalf("%d events after %d: %v", got, 10*n, err)
		}
	}
	cancel()
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
