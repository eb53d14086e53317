// Command goclient sends the three forms of a body with a client that oapi-codegen
// has generated into the folder eye.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"goclient/eye"
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "goclient:", err)
		os.Exit(1)
	}
}

func run(url, key string) error {
	client, err := eye.NewClientWithResponses(url, eye.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+key)
		return nil
	}))
	if err != nil {
		return err
	}
	event := func(name string) eye.SentEvent {
		return eye.SentEvent{
			SessionId: "go", Category: "page interaction", Name: name,
			Data: map[string]any{"path": "/"}, Timestamp: "2026-01-01T09:15:27Z",
		}
	}
	for _, body := range []struct {
		name string
		set  func(*eye.SentEvents) error
	}{
		{"event", func(b *eye.SentEvents) error { return b.FromSentEvent(event("one")) }},
		{"list", func(b *eye.SentEvents) error { return b.FromSentList(eye.SentList{event("two"), event("three")}) }},
		{"envelope", func(b *eye.SentEvents) error {
			return b.FromSentEnvelope(eye.SentEnvelope{Events: []eye.SentEvent{event("four"), event("five")}})
		}},
	} {
		var events eye.SentEvents
		if err := body.set(&events); err != nil {
			return err
		}
		stored := eye.SendEventsParamsWait("stored")
		answer, err := client.SendEventsWithResponse(context.Background(), &eye.SendEventsParams{Wait: &stored}, events)
		if err != nil {
			return err
		}
		if answer.JSON201 == nil {
			return fmt.Errorf("%s: %s: %s", body.name, answer.Status(), answer.Body)
		}
		fmt.Println(body.name, answer.JSON201.Accepted)
	}
	return nil
}
