package duckdb

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"theeye/internal/event"
	"theeye/internal/fair"
	"theeye/internal/query"
	"theeye/internal/store"
)

// While one key has all the places that it may, others read, the store is ready, and
// the writer writes.
func TestOneKeyLeavesReadersToOthersRace(t *testing.T) {
	s, err := Open(t.Context(), Options{MemoryLimit: 256 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	greedy := fair.Caller{App: "shop", Key: "greedy"}
	for range maxReaders / 2 {
		leave, err := s.readers.Acquire(t.Context(), greedy)
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
	}
	ctx, cancel := context.WithCancel(fair.With(t.Context(), greedy))
	defer cancel()
	beyond := make(chan error, 1)
	go func() {
		_, err := s.Count(ctx, query.Query{})
		beyond <- err
	}()
	for waiting := 0; waiting == 0 && len(beyond) == 0; _, waiting = s.readers.Waiting() {
		runtime.Gosched()
	}
	cancel()
	if err := <-beyond; !errors.Is(err, context.Canceled) {
		t.Errorf("the key reads beyond its share: %v", err)
	}
	if _, err := s.Count(fair.With(t.Context(), fair.Caller{App: "shop", Key: "other"}), query.Query{}); err != nil {
		t.Errorf("another key of the application: %v", err)
	}
	for range maxReaders / 2 {
		leave, err := s.readers.Acquire(t.Context(), fair.Caller{})
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("without a place for readers: %v", err)
	}
	e := event.Event{App: "shop", ID: event.NewID(), SessionID: "s", Category: "c", Name: "n", Data: []byte("{}"), Timestamp: `"x"`, OccurredAt: 1, ReceivedAt: 1, Seq: event.NoSeq, CarriedBy: 1}
	e.Position.Frame = 1
	if _, err := s.Write(t.Context(), store.Batch{First: 1, Last: 1, Records: []event.Record{{Event: &e}}, Arrivals: map[string]store.Arrivals{"shop": {Received: 1}}}); err != nil {
		t.Errorf("the writer: %v", err)
	}
}
