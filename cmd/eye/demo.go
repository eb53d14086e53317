package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"theeye/examples"
	"theeye/internal/registry"
)

const (
	demoApp   = "demo"
	demoPause = 500 * time.Millisecond // between two events, on average
)

// demoOptions say where the demo sends to.
type demoOptions struct {
	Client *client      // with an admin key
	Logger *slog.Logger // nil discards
	Seed   uint64       // of the choices; 0 is a seed like others
}

// runDemo makes an application "demo" with the challenge's event types, in categories of its own, and sends
// it sample traffic until the context ends, which is no error. The key that it
// makes is revoked at the end.
func runDemo(ctx context.Context, o demoOptions) error {
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := o.Client
	giveBack, err := prepareDemo(ctx, c)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("prepare the demo: %w", err)
	}
	defer giveBack()
	log.Info("demo traffic", "app", demoApp)

	s := newSampler(o.Seed)
	for failing := false; ; {
		if pause(ctx, demoPause/2+time.Duration(s.rand.Int64N(int64(demoPause)))) != nil {
			return nil
		}
		err := sendSample(ctx, c, s.next(time.Now()))
		if err != nil && ctx.Err() == nil && !failing {
			log.Warn("demo event was not taken; going on", "err", err)
		}
		failing = err != nil
	}
}

// prepareDemo makes the demo's application and types unless they exist, and makes the client use a
// write key of it. The returned function revokes the key.
func prepareDemo(ctx context.Context, c *client) (giveBack func(), err error) {
	if err := c.createApp(ctx, demoApp); err != nil && !isConflict(err) {
		return nil, err
	}
	if err := putSampleTypes(ctx, c, demoApp); err != nil {
		return nil, err
	}
	return c.borrowWriteKey(ctx, demoApp)
}

func sendSample(ctx context.Context, c *client, e sampleEvent) error {
	body, err := json.Marshal(e, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("write sample event: %w", err)
	}
	_, err = c.do(ctx, request{method: http.MethodPost, path: "/v1/events", body: body}, http.StatusUnprocessableEntity)
	return err
}

// sampleTypes returns the types of the examples for an application that sends them, in categories of
// its own: event types hold for all applications.
func sampleTypes(app string) []examples.Type {
	types := examples.Types()
	for i := range types {
		types[i].Category = sampleCategory(app, types[i].Category)
	}
	return types
}

func sampleCategory(app, category string) string { return app + " " + category }

// putSampleTypes puts the sample types of an application into force.
func putSampleTypes(ctx context.Context, c *client, app string) error {
	for _, t := range sampleTypes(app) {
		_, err := c.do(ctx, request{method: http.MethodPut, path: typePath(t.Category, t.Name), body: t.Schema})
		if isConflict(err) {
			continue // someone has put another schema; it stays
		}
		if err != nil {
			return fmt.Errorf("put event type %s / %s: %w", t.Category, t.Name, err)
		}
	}
	return nil
}

// checkDemo returns an error when a demo would put its sample traffic beside applications of others.
// With an application of its name there, somebody has agreed to that.
func checkDemo(apps []registry.App) error {
	var others []string
	for _, app := range apps {
		switch app.Name {
		case demoApp:
			return nil
		case registry.DefaultApp:
		default:
			others = append(others, app.Name)
		}
	}
	if len(others) == 0 {
		return nil
	}
	return fmt.Errorf("this data directory has applications already (%s), and --demo would fill another one, %s, with sample traffic: "+
		"give the demo a directory of its own with --data; or, if you want it here, start without --demo, make its application with `eye apps create %[2]s`, and start with --demo again",
		strings.Join(others[:min(len(others), 3)], ", "), demoApp)
}
