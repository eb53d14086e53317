// Driver sends numbered events of several sessions, for tests of what arrives.
//
//	EYE_URL=… EYE_KEY=… driver EVENTS SESSIONS
//
// It exits with 0 if every event was settled and none was dropped. Each error and each rejected event
// is a line of JSON on standard output. EYE_CLOSE_SECONDS (300) is how long closing may take, PREFIX
// (driver-) what session ids begin with, and EYE_SPOOL the folder of a spool.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	theeye "theeye/clients/go"
)

// queueEvents is the default of the client.
const queueEvents = 10_000

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "driver:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 3 {
		return errors.New("usage: driver EVENTS SESSIONS")
	}
	events, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return err
	}
	sessions, err := strconv.Atoi(os.Args[2])
	if err != nil || sessions < 1 {
		return fmt.Errorf("%q is not a valid number of sessions", os.Args[2])
	}
	seconds, err := strconv.Atoi(cmp.Or(os.Getenv("EYE_CLOSE_SECONDS"), "300"))
	if err != nil {
		return fmt.Errorf("EYE_CLOSE_SECONDS: %w", err)
	}
	out := json.NewEncoder(os.Stdout)
	client, err := theeye.New(theeye.Options{
		URL: os.Getenv("EYE_URL"), Key: os.Getenv("EYE_KEY"), Spool: os.Getenv("EYE_SPOOL"),
		OnError: func(err *theeye.Error) {
			_ = out.Encode(map[string]any{"error": err.Code, "message": err.Message, "events": err.Events})
		},
		OnRejected: func(r theeye.Rejection) {
			_ = out.Encode(map[string]any{"rejected": r.ID, "event": r.Event, "problems": r.Problems})
		},
	})
	if err != nil {
		return err
	}
	prefix := cmp.Or(os.Getenv("PREFIX"), "driver-")
	for i := range events {
		for client.Stats().Queued > queueEvents/2 {
			time.Sleep(10 * time.Millisecond)
		}
		session := prefix + strconv.Itoa(i%sessions)
		if err := client.Track(theeye.Event{SessionID: session, Category: "test", Name: "driver", Data: map[string]any{"n": i}}); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(seconds)*time.Second)
	defer cancel()
	if err := client.Close(ctx); err != nil {
		return err
	}
	if s := client.Stats(); s.Dropped > 0 || s.Queued > 0 {
		return fmt.Errorf("%d events were dropped, %d are left", s.Dropped, s.Queued)
	}
	return nil
}
