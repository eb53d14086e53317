// Package demo sends sample traffic to a server: visitors look at pages, click and submit forms.
// Some events are invalid on purpose.
package demo

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	theeye "theeye/clients/go"
	"theeye/examples"
	"theeye/internal/client"
	"theeye/internal/registry"
	"theeye/internal/wait"
)

const (
	appName = "demo"
	pause   = 500 * time.Millisecond // between two events, on average
	// endDeadline bounds how long the last events may take when the context is done.
	endDeadline = 2 * time.Second
)

// Options says where the demo sends its traffic.
type Options struct {
	Client *client.Client // with an admin key
	Logger *slog.Logger   // nil discards
	Seed   uint64         // of the random choices; 0 is a seed like any other
}

// Run creates an application "demo" with the event types of the examples, in categories of its own,
// and sends it sample traffic until the context is done, which is not an error. At the end, it
// revokes the key that it created.
func Run(ctx context.Context, o Options) error {
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := o.Client
	revoke, err := prepare(ctx, c)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("prepare the demo: %w", err)
	}
	defer revoke()
	sender, err := c.Sender(ctx, theeye.Options{
		OnError: func(err *theeye.Error) { log.Warn("demo events were not accepted", "events", err.Events, "err", err) },
	})
	if err != nil {
		return fmt.Errorf("prepare the demo: %w", err)
	}
	defer end(ctx, sender)
	log.Info("demo traffic", "app", appName)
	if err := send(ctx, sender, newSampler(o.Seed)); ctx.Err() == nil {
		return fmt.Errorf("send sample event: %w", err)
	}
	return nil
}

// send sends sample events until that fails, or ctx is done.
func send(ctx context.Context, to *theeye.Client, s *sampler) error {
	for {
		if err := wait.For(ctx, pause/2+time.Duration(s.rand.Int64N(int64(pause)))); err != nil {
			return err
		}
		event, err := json.Marshal(s.next(time.Now()), json.Deterministic(true))
		if err != nil {
			return err
		}
		if err := to.Forward(ctx, event); err != nil {
			return err
		}
	}
}

// end sends what is left after ctx is done.
func end(ctx context.Context, sender *theeye.Client) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endDeadline)
	defer cancel()
	_ = sender.Close(ctx) // it has logged what was not sent
}

// prepare creates the demo's application and types unless they exist, and makes the client use a
// write key of the application. The returned function revokes the key.
func prepare(ctx context.Context, c *client.Client) (revoke func(), err error) {
	if err := c.CreateApp(ctx, appName); err != nil && !client.IsConflict(err) {
		return nil, err
	}
	if err := PutTypes(ctx, c, appName); err != nil {
		return nil, err
	}
	return c.UseTemporaryWriteKey(ctx, appName)
}

// Types returns the event types of the examples for an application that sends them, in categories
// of its own, because all applications share the event types.
func Types(app string) []examples.Type {
	types := examples.Types()
	for i := range types {
		types[i].Category = Category(app, types[i].Category)
	}
	return types
}

// Category returns the category that an application uses in place of one of the examples.
func Category(app, category string) string { return app + " " + category }

// PutTypes puts the sample types of an application into force.
func PutTypes(ctx context.Context, c *client.Client, app string) error {
	for _, t := range Types(app) {
		_, err := c.Do(ctx, client.Request{Method: http.MethodPut, Path: client.TypePath(t.Category, t.Name), Body: t.Schema})
		if client.IsConflict(err) {
			continue // keep a different schema that someone has put
		}
		if err != nil {
			return fmt.Errorf("put event type %s / %s: %w", t.Category, t.Name, err)
		}
	}
	return nil
}

// Check returns an error if the demo would add sample traffic to a data directory with other
// applications. An application named like the demo's means that someone has agreed to that.
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
		"give the demo a directory of its own with --data; or, if you want it here, start without --demo, create its application with `eye apps create %[2]s`, and start with --demo again",
		strings.Join(others[:min(len(others), 3)], ", "), appName)
}
