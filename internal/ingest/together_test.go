package ingest_test

import (
	"errors"
	"testing"

	"theeye/internal/event"
	"theeye/internal/ingest"
	"theeye/internal/queue"
)

// Requests that are collected together become one frame, in their order and with their own times.
func TestCollectTogether(t *testing.T) {
	c, kept := start(t, ingest.Options{})
	var requests []ingest.Request
	for i, app := range []string{"shop", "blog", "shop"} {
		r := request(`{"events":[{"session_id":"s","category":"c","name":"n","timestamp":1,"data":{"n":1}},{"name":5}]}`)
		r.App, r.ReceivedAt = app, received+event.Micros(i)
		requests = append(requests, r)
	}
	requests = append(requests, request(`{"events":[]}`))
	frame, err := c.CollectTogether(requests)
	if err != nil || frame != 1 {
		t.Fatal(frame, err)
	}
	for i, r := range kept.records(t) {
		if want := requests[i/2]; r.App() != want.App || r.ReceivedAt() != want.ReceivedAt || (r.Rejection != nil) != (i%2 == 1) {
			t.Errorf("record %d is of %s, received at %v", i, r.App(), r.ReceivedAt())
		}
	}
	if n := len(kept.records(t)); n != 6 || len(kept.list) != 1 {
		t.Errorf("%d records in %d frames", n, len(kept.list))
	}
	counts := map[string]queue.Count{}
	for _, one := range kept.list[0].Counts {
		counts[one.App] = one
	}
	if of := counts["shop"]; of.Received != 4 || of.Rejected != 2 || counts["blog"].Received != 2 {
		t.Errorf("counts %+v", kept.list[0].Counts)
	}
	if frame, err := c.CollectTogether(requests[3:]); frame != 0 || err != nil {
		t.Errorf("no event gives frame %d, %v", frame, err)
	}
}

// If one of them cannot be read, or the frame cannot be written, nothing of any is kept, and nobody
// waits for them.
func TestCollectTogetherKeepsAllOrNone(t *testing.T) {
	c, kept := start(t, ingest.Options{})
	good := request(`{"session_id":"s","category":"c","name":"n","timestamp":1,"data":{}}`)
	if _, err := c.CollectTogether([]ingest.Request{good, request("{")}); !errors.As(err, new(*ingest.SyntaxError)) {
		t.Errorf("error %v", err)
	}
	kept.err = queue.ErrFull
	if _, err := c.CollectTogether([]ingest.Request{good}); !errors.Is(err, queue.ErrFull) {
		t.Errorf("error %v", err)
	}
	if n := len(kept.records(t)); n != 0 {
		t.Errorf("%d records are kept", n)
	}
	if err := c.WaitInFlight(t.Context()); err != nil {
		t.Error(err)
	}
}
