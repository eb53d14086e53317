package theeye

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestForwardSendsEventsAsTheyAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newFakeServer(accepts)
		client, _ := newTestClient(t, server, Options{})
		event := []byte(" {\"id\": \"e\", \"n\": 1.0, \"s\": \"\xff\"}\n")
		if err := client.Forward(t.Context(), event); err != nil {
			t.Fatal(err)
		}
		clear(event)
		if err := client.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := string(server.received()[0].events[0]); got != "{\"id\": \"e\", \"n\": 1.0, \"s\": \"\xff\"}" {
			t.Errorf("received %q", got)
		}
		if err := client.Forward(t.Context(), []byte(`{}`)); codeOf(err) != CodeClosed {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestForwardRefuses(t *testing.T) {
	client, recorded := newTestClient(t, newFakeServer(accepts), Options{QueueBytes: 10})
	for _, event := range []string{"", " ", "1", "[]", "{", "{}{}", `{"a":}`} {
		if err := client.Forward(t.Context(), json.RawMessage(event)); codeOf(err) != CodeUnserializable {
			t.Errorf("%q: %v", event, err)
		}
	}
	if err := client.Forward(t.Context(), json.RawMessage(`{"a":12345678}`)); codeOf(err) != CodeQueueFull {
		t.Errorf("a large event: %v", err)
	}
	if err := client.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if codes := recorded.codes(); len(codes) != 8 || client.Stats() != (Stats{Dropped: 8}) {
		t.Errorf("%v, %+v", codes, client.Stats())
	}
}

func TestForwardWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newFakeServer([]contractAnswer{{Status: 202, AfterMS: 1000}})
		client, _ := newTestClient(t, server, Options{QueueEvents: 2, BatchEvents: 2})
		start := time.Now()
		for i := range 10 {
			if err := client.Forward(t.Context(), fmt.Appendf(nil, `{"id":"e-%d"}`, i)); err != nil {
				t.Fatal(err)
			}
		}
		if waited := time.Since(start); waited != 4*time.Second {
			t.Errorf("ten events waited for %v", waited)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := client.Forward(ctx, []byte(`{}`)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("beside a full queue: %v", err)
		}
		if err := client.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantIDs(t, server, "e", 10)
	})
}

func TestForwardEndsWithTheClient(t *testing.T) {
	for _, c := range []struct {
		answers []contractAnswer
		want    Code
	}{{hangs, CodeClosed}, {[]contractAnswer{{Status: 401, AfterMS: 100}}, CodeUnauthorized}} {
		synctest.Test(t, func(t *testing.T) {
			client, _ := newTestClient(t, newFakeServer(c.answers), Options{QueueEvents: 1, BatchEvents: 1})
			track(t, client, "e", 1)
			forwarded := make(chan error, 1)
			go func() { forwarded <- client.Forward(t.Context(), []byte(`{}`)) }()
			time.Sleep(time.Second)
			closeNow(client)
			if err := <-forwarded; codeOf(err) != c.want {
				t.Errorf("Forward: %v, want %s", err, c.want)
			}
		})
	}
}
