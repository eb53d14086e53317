// Package demo sends sample traffic to a server: visitors who look at pages, click and submit
// forms, with some events that are wrong on purpose.
package demo

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"theeye/examples"
	"theeye/internal/client"
	"theeye/internal/registry"
	"theeye/internal/wait"
)

const (
	appName = "demo"
	pause   = 500 * time.Millisecond // between two events, on average
)

// Options say where the demo sends its traffic.
type Options struct {
	Client *client.Client // with an admin key
	Logger *slog.Logger   // nil discards
	Seed   uint64         // of the choices; 0 is a seed like others
}

// Run makes an application "demo" with the challenge's event types, in categories of its own, and
// sends it sample traffic until the context ends, which is no error. The key that it makes is
// revoked at the end.
func Run(ctx context.Context, o Options) error {
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := o.Client
	giveBack, err := prepare(ctx, c)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("prepare the demo: %w", err)
	}
	defer giveBack()
	log.Info("demo traffic", "app", appName)

	s := newSampler(o.Seed)
	for failing := false; ; {
		if wait.For(ctx, pause/2+time.Duration(s.rand.Int64N(int64(pause)))) != nil {
			return nil
		}
		err := send(ctx, c, s.next(time.Now()))
		if err != nil && ctx.Err() == nil && !failing {
			log.Warn("demo event was not taken; going on", "err", err)
		}
		failing = err != nil
	}
}

// prepare makes the demo's application and types unless they exist, and makes the client use a
// write key of it. The returned function revokes the key.
func prepare(ctx context.Context, c *client.Client) (giveBack func(), err error) {
	if err := c.CreateApp(ctx, appName); err != nil && !client.IsConflict(err) {
		return nil, err
	}
	if err := PutTypes(ctx, c, appName); err != nil {
		return nil, err
	}
	return c.UseTemporaryWriteKey(ctx, appName)
}

func send(ctx context.Context, c *client.Client, e Event) error {
	body, err := json.Marshal(e, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("write sample event: %w", err)
	}
	_, err = c.Do(ctx, client.Request{Method: http.MethodPost, Path: client.EventsPath, Body: body}, http.StatusUnprocessableEntity)
	return err
}

// Types returns the types of the examples for an application that sends them, in categories of
// its own: event types hold for all applications.
func Types(app string) []examples.Type {
	types := examples.Types()
	for i := range types {
		types[i].Category = Category(app, types[i].Category)
	}
	return types
}

// Category returns the category that an application has in place of one of the examples.
func Category(app, category string) string { return app + " " + category }

// PutTypes puts the sample types of an application into force.
func PutTypes(ctx context.Context, c *client.Client, app string) error {
	for _, t := range Types(app) {
		_, err := c.Do(ctx, client.Request{Method: http.MethodPut, Path: client.TypePath(t.Category, t.Name), Body: t.Schema})
		if client.IsConflict(err) {
			continue // someone has put another schema; it stays
		}
		if err != nil {
			return fmt.Errorf("put event type %s / %s: %w", t.Category, t.Name, err)
		}
	}
	return nil
}

// Check returns an error when a demo would put its sample traffic beside applications of others.
// With an application of its name there, somebody has agreed to that.
func Check(apps []registry.App) error {
	var others []string
	for _, app := range apps {
		switch app.Name {
		case appName:
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
		strings.Join(others[:min(len(others), 3)], ", "), appName)
}
