// Package demo makes up the traffic of a shop, its call center and its blog: visitors read, look at
// pages, click, submit forms and are called. A History is a week of it, with two stories of
// rejected events; Run sends live traffic of the same kind.
//
// It knows the server by its API, and by the Target that takes a history.
package demo

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	theeye "theeye/clients/go"
	"theeye/internal/client"
	"theeye/internal/wait"
)

const (
	visitEvery = 12 * time.Second // between two visitors, on average
	firstEvery = 2 * time.Second  // between the first ones
	firstMany  = 5
	// revokedEvery is how often a sender uses a revoked key.
	revokedEvery = 30 * time.Second
	// endDeadline bounds how long the last events may take when the context is done.
	endDeadline = 2 * time.Second
)

// Options says where live traffic goes.
type Options struct {
	Connect  func(key string) *client.Client // returns a new client with a key
	AdminKey string
	// Guest sends everything from an application "demo" in categories of its own, because the server
	// has applications of others.
	Guest  bool
	Rest   Rest         // of the history that was just made
	Logger *slog.Logger // nil discards
	Seed   uint64       // of the random choices; the ids of two runs differ only if this does
}

// Run sends live traffic until the context is done, which is not an error. It creates applications
// that do not exist, and for a guest the event types. At the end, it revokes the keys that it
// created.
func Run(ctx context.Context, o Options) error {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l := &live{log: o.Logger, traffic: newTraffic(o.Seed, o.Guest), senders: map[string]*theeye.Client{}, waiting: o.Rest.events}
	if !o.Guest {
		l.traffic.stories.clock.To = time.Unix(math.MaxInt32, 0)
	}
	defer l.end(ctx)
	if err := l.prepare(ctx, o); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("prepare the demo: %w", err)
	}
	if key := o.Rest.revokedKey; key != "" {
		l.revoked = o.Connect(key)
	}
	l.log.Info("demo traffic", "apps", l.apps)
	if err := l.send(ctx); ctx.Err() == nil {
		return fmt.Errorf("send demo event: %w", err)
	}
	return nil
}

// live sends events at their times. It is used by one goroutine.
type live struct {
	log     *slog.Logger
	traffic *traffic
	apps    []string
	senders map[string]*theeye.Client // by application
	revokes []func()
	waiting []planned      // by time
	revoked *client.Client // with a revoked key; nil for none
}

// prepare creates what does not exist, and a write key for each application.
func (l *live) prepare(ctx context.Context, o Options) error {
	admin := o.Connect(o.AdminKey)
	if l.apps = []string{shop, callCenter, blog}; o.Guest {
		l.apps = []string{guestApp}
		if err := createApp(ctx, admin, guestApp, ""); err != nil {
			return err
		}
		for _, v := range slices.Concat(firstTypes()[:4], []version{callEndedWithVoicemail(), articleRead()}) {
			if err := v.publish(ctx, admin, l.traffic.category(v.category)); err != nil {
				return err
			}
		}
	} else if err := createApps(ctx, admin); err != nil {
		return err
	}
	for _, app := range l.apps {
		c := o.Connect(o.AdminKey)
		revoke, err := c.UseTemporaryWriteKey(ctx, app)
		if err != nil {
			return err
		}
		l.revokes = append(l.revokes, revoke)
		if l.senders[app], err = c.Sender(ctx, theeye.Options{
			OnError: func(err *theeye.Error) { l.log.Warn("demo events were not accepted", "events", err.Events, "err", err) },
		}); err != nil {
			return err
		}
	}
	return nil
}

// send sends events until that fails, or ctx is done.
func (l *live) send(ctx context.Context) error {
	visitors, nextVisit, nextRevoked := 0, time.Now(), time.Now()
	for {
		now := time.Now()
		if !now.Before(nextVisit) {
			l.waiting = append(l.waiting, l.traffic.visit(now)...)
			slices.SortStableFunc(l.waiting, func(a, b planned) int { return a.at.Compare(b.at) })
			every := visitEvery
			if visitors++; visitors < firstMany {
				every = firstEvery
			}
			nextVisit = now.Add(l.traffic.between(every/2, every*3/2))
		}
		for len(l.waiting) > 0 && !l.waiting[0].at.After(now) {
			body, err := json.Marshal(l.waiting[0].event)
			if err != nil {
				return err
			}
			if err := l.senders[l.waiting[0].app].Forward(ctx, body); err != nil {
				return err
			}
			l.waiting = l.waiting[1:]
		}
		until := nextVisit
		if len(l.waiting) > 0 && l.waiting[0].at.Before(until) {
			until = l.waiting[0].at
		}
		if l.revoked != nil {
			if !now.Before(nextRevoked) {
				l.useRevoked(ctx)
				nextRevoked = now.Add(revokedEvery)
			}
			if nextRevoked.Before(until) {
				until = nextRevoked
			}
		}
		if err := wait.For(ctx, time.Until(until)); err != nil {
			return err
		}
	}
}

// useRevoked sends an event with a revoked key, as a telephone system that nobody has changed.
func (l *live) useRevoked(ctx context.Context) {
	body := fmt.Appendf(nil, `{"session_id":%q,"category":%q,"name":"call started","data":{"agent":"a-3","desk":"desk-0"},"timestamp":%q}`,
		sessionID(l.traffic.rand), calls, time.Now().UTC().Format(stampForm))
	_, _ = l.revoked.Do(ctx, client.Request{Method: http.MethodPost, Path: client.EventsPath, Body: body}) // it is refused
}

// end sends what is left after ctx is done, and revokes the keys.
func (l *live) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endDeadline)
	defer cancel()
	for _, sender := range l.senders {
		_ = sender.Close(ctx) // it has logged what was not sent
	}
	for _, revoke := range l.revokes {
		revoke()
	}
}
