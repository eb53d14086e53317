package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"

	"theeye/examples"
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

// runDemo makes an application "demo" with the challenge's event types and sends
// it sample traffic until the context ends, which is no error. The key that it
// makes is revoked at the end.
func runDemo(ctx context.Context, o demoOptions) error {
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := o.Client
	revoke, err := c.prepare(ctx, demoApp)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("prepare the demo: %w", err)
	}
	defer revoke()
	log.Info("demo traffic", "app", demoApp)

	s := newSampler(o.Seed)
	for failing := false; ; {
		if pause(ctx, demoPause/2+time.Duration(s.rand.Int64N(int64(demoPause)))) != nil {
			return nil
		}
		err := c.sendSample(ctx, s.next(time.Now()))
		if err != nil && ctx.Err() == nil && !failing {
			log.Warn("demo event was not taken; going on", "err", err)
		}
		failing = err != nil
	}
}

func (c *client) sendSample(ctx context.Context, e sampleEvent) error {
	body, err := json.Marshal(e, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("write sample event: %w", err)
	}
	_, err = c.do(ctx, request{method: http.MethodPost, path: "/v1/events", body: body}, http.StatusUnprocessableEntity)
	return err
}

// prepare makes an application unless it exists, puts the example types, and
// makes the client use a write key of it. The returned function revokes the key.
func (c *client) prepare(ctx context.Context, app string) (revoke func(), err error) {
	body, err := json.Marshal(map[string]string{"app": app})
	if err != nil {
		return nil, fmt.Errorf("write request: %w", err)
	}
	if _, err := c.do(ctx, request{method: http.MethodPost, path: "/v1/apps", body: body}, http.StatusConflict); err != nil {
		return nil, err
	}
	for _, t := range examples.Types() {
		_, err := c.do(ctx, request{method: http.MethodPut, path: typePath(t.Category, t.Name), body: t.Schema})
		var p *problemError
		if errors.As(err, &p) && p.Status == http.StatusConflict {
			continue // someone has put another schema; it stays
		}
		if err != nil {
			return nil, fmt.Errorf("put event type %s/%s: %w", url.PathEscape(t.Category), url.PathEscape(t.Name), err)
		}
	}
	return c.borrowWriteKey(ctx, app)
}
