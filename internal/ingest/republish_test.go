package ingest_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theeye/internal/event"
	"theeye/internal/ingest"
	"theeye/internal/queue"
)

// What is published again keeps its place and counts as received nothing.
func TestRepublish(t *testing.T) {
	kept := &frames{}
	acknowledged := map[uint64]int{}
	c := ingest.New(ingest.Options{Publish: kept.Publish, Acknowledged: func(frame uint64, received map[string]int64) { acknowledged[frame] = len(received) }})
	one := func(app string, index uint32) *event.Event {
		return &event.Event{App: app, ID: event.NewID(), SessionID: "s", Category: "c", Name: "n", Data: []byte(`{}`), Timestamp: "1", Seq: event.NoSeq,
			ReceivedAt: 7, Position: event.Position{Frame: 99, Index: index}}
	}
	events := []*event.Event{one("shop", 3), one("blog", 1), one("shop", 2)}
	frame, err := c.Republish(t.Context(), events)
	if err != nil || frame != 1 {
		t.Fatal(frame, err)
	}
	if counts := kept.list[0].Counts; len(counts) != 0 {
		t.Errorf("the frame counts %v", counts)
	}
	if diff := cmp.Diff(map[uint64]int{1: 0}, acknowledged); diff != "" {
		t.Error(diff)
	}
	for i, r := range kept.records(t) {
		want := *events[i]
		want.CarriedBy = 1
		if diff := cmp.Diff(&want, r.Event); diff != "" {
			t.Error(diff)
		}
	}
	kept.err = queue.ErrFull
	if _, err := c.Republish(t.Context(), events); !errors.Is(err, queue.ErrFull) {
		t.Errorf("got %v", err)
	}
}
