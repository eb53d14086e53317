package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"theeye/internal/client"
	"theeye/internal/wait"
)

// Bounds of a frame of the history.
const (
	frameArrivals = 1500
	frameBytes    = 384 << 10
)

// Target takes the history. Its methods are not called concurrently.
type Target interface {
	// Walk sets the clock forward to a time.
	Walk(at time.Time)
	// Accept acknowledges requests in their order, all or none.
	Accept(ctx context.Context, requests []Arrival) error
	// Settle waits until everything that was accepted can be read.
	Settle(ctx context.Context) error
	// Newest returns the latest time of receipt, the zero time if nothing was received.
	Newest(ctx context.Context) (time.Time, error)
}

// Rest is what goes on after a history.
type Rest struct {
	events []planned // of visitors who are still there, by time
	// revokedKey is a revoked key that a sender still uses; empty for none.
	revokedKey string
}

// step is something that somebody does in the course of the week.
type step struct {
	at time.Time
	do func(context.Context) error
}

// historian puts a history into a server.
type historian struct {
	client     *client.Client // with an admin key
	target     Target
	revokedKey string
	revokedID  string
}

// ErrOvertaken says that a history cannot be completed: something was received after its end.
var ErrOvertaken = errors.New("events were received after the history was interrupted")

// Make makes the week of a history, or completes one that was interrupted. It creates the applications,
// and the event types through the API, and sends the events. When it returns nil, everything can be
// read. It returns ErrOvertaken, and changes nothing, if something was received after the week.
func (h History) Make(ctx context.Context, c *client.Client, to Target) (Rest, error) {
	w, err := newWeek(h)
	if err != nil {
		return Rest{}, err
	}
	newest, err := to.Newest(ctx)
	if err != nil {
		return Rest{}, err
	}
	if newest.After(h.Until) {
		return Rest{}, ErrOvertaken
	}
	x := &historian{client: c, target: to}
	steps := slices.DeleteFunc(x.steps(h, w), func(s step) bool { return !s.at.After(newest) })
	arrivals := w.arrivals[arrivedUpTo(w.arrivals, newest):]
	for len(steps) > 0 || len(arrivals) > 0 {
		n := frame(arrivals)
		if len(steps) > 0 {
			n = min(n, arrivedUpTo(arrivals, steps[0].at))
		}
		if n > 0 {
			to.Walk(arrivals[n-1].ReceivedAt)
			if err := to.Accept(ctx, arrivals[:n]); err != nil {
				return Rest{}, err
			}
			arrivals = arrivals[n:]
			continue
		}
		to.Walk(steps[0].at)
		if err := steps[0].do(ctx); err != nil {
			return Rest{}, err
		}
		steps = steps[1:]
	}
	if x.revokedKey == "" { // it was revoked before an interruption, and its secret is lost
		if err := x.revokeKey(ctx); err != nil {
			return Rest{}, err
		}
	}
	return Rest{w.rest, x.revokedKey}, to.Settle(ctx)
}

// arrivedUpTo returns how many arrivals were received at a time or before.
func arrivedUpTo(arrivals []Arrival, at time.Time) int {
	n, exact := slices.BinarySearchFunc(arrivals, at, func(a Arrival, at time.Time) int { return a.ReceivedAt.Compare(at) })
	if exact {
		n++
	}
	return n
}

// frame returns how many arrivals are accepted at once.
func frame(arrivals []Arrival) int {
	n, size := 0, 0
	for n < min(len(arrivals), frameArrivals) && size < frameBytes {
		size += len(arrivals[n].Body)
		n++
	}
	return n
}

// steps returns what administrators do, by time. A step whose time has come may be repeated after
// an interruption.
func (x *historian) steps(h History, w *week) []step {
	publish := func(v version) func(context.Context) error {
		return func(ctx context.Context) error { return v.publish(ctx, x.client, v.category) }
	}
	list := []step{
		{h.From(), func(ctx context.Context) error { return createApps(ctx, x.client) }},
		{h.From().Add(time.Hour), x.createKeys},
		{h.From().Add(52 * time.Hour), publish(articleRead())},
		{h.From().Add(75 * time.Hour), x.revokeKey},
		{w.stories.learned, publish(callEndedWithVoicemail())},
		{w.stories.learned.Add(5 * time.Minute), x.replay},
	}
	for i, v := range firstTypes() {
		list = append(list, step{h.From().Add(time.Duration(i+1) * time.Second), publish(v)})
	}
	slices.SortFunc(list, func(a, b step) int { return a.at.Compare(b.at) })
	return list
}

// createKeys creates keys such as the applications would have.
func (x *historian) createKeys(ctx context.Context) error {
	for _, k := range []struct{ app, rules string }{
		{shop, `{"kind":"write","origins":["https://` + Host + `"]}`},
		{shop, `{"kind":"read"}`},
		{blog, `{"kind":"write","origins":["https://` + Host + `"]}`},
		{callCenter, `{"kind":"write","signing":true}`},
		{callCenter, `{"kind":"write"}`},
	} {
		if err := x.createKey(ctx, k.app, k.rules); err != nil {
			return err
		}
	}
	return nil
}

// createKey creates a key. The last one is revoked later.
func (x *historian) createKey(ctx context.Context, app, rules string) error {
	path := client.KeysPath(app)
	answer, err := x.client.Do(ctx, client.Request{Method: http.MethodPost, Path: path, Body: []byte(rules)})
	if err != nil {
		return fmt.Errorf("create a key of application %q: %w", app, err)
	}
	var made client.Key
	if err := client.Decode(path, answer, &made); err != nil {
		return err
	}
	x.revokedKey, x.revokedID = made.Key, made.KeyID
	return nil
}

// revokeKey revokes a key that a sender continues to use: another one if that was created before an
// interruption, because its secret is lost.
func (x *historian) revokeKey(ctx context.Context) error {
	if x.revokedID == "" {
		if err := x.createKey(ctx, callCenter, `{"kind":"write"}`); err != nil {
			return err
		}
	}
	_, err := x.client.Do(ctx, client.Request{Method: http.MethodDelete, Path: client.KeyPath(callCenter, x.revokedID)})
	return err
}

// replay stores the calls that were rejected before their outcome was known.
func (x *historian) replay(ctx context.Context) error {
	if err := x.target.Settle(ctx); err != nil {
		return err
	}
	request := `{"filter":{"app":"` + callCenter + `","category":"` + calls + `","name":"call ended","code":"schema_violation"}}`
	answer, err := x.client.Do(ctx, client.Request{Method: http.MethodPost, Path: client.StartReplayPath, Body: []byte(request)})
	for path := client.StartReplayPath; err == nil; {
		var state struct {
			ID    string `json:"replay_id"`
			State string `json:"state"`
		}
		if err := client.Decode(path, answer, &state); err != nil {
			return err
		}
		switch state.State {
		case "done":
			return nil
		case "running":
		default:
			return fmt.Errorf("replay rejections: it is %s", state.State)
		}
		if err := wait.For(ctx, 10*time.Millisecond); err != nil {
			return err
		}
		path = client.ReplayPath(state.ID)
		answer, err = x.client.Do(ctx, client.Request{Method: http.MethodGet, Path: path})
	}
	return fmt.Errorf("replay rejections: %w", err)
}
