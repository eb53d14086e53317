package intake

import (
	"context"
	"sync"
	"sync/atomic"

	"theeye/internal/queue"
	"theeye/internal/registry"
)

// gate is what requests go through on their way to the queue, so that the deletion of an application
// sees all events that were taken in: it closes the gate for the application, which waits for the
// requests inside, and only then looks for events.
type gate struct {
	byApp sync.Map // name → *sync.RWMutex; as many as there were applications
	// settled is how many of Collector.Unknown are known by now: they are in the store, or nowhere.
	settled atomic.Uint64
}

func (g *gate) of(app string) *sync.RWMutex {
	lock, ok := g.byApp.Load(app)
	if !ok {
		lock, _ = g.byApp.LoadOrStore(app, new(sync.RWMutex))
	}
	return lock.(*sync.RWMutex) //nolint:errcheck,forcetypeassert // nothing else is stored
}

// enter lets a request of an application in; leave must be called when its events are acknowledged.
// It waits while the gate is closed.
func (g *gate) enter(app string) (leave func()) {
	lock := g.of(app)
	lock.RLock()
	return lock.RUnlock
}

// close keeps requests of an application out until reopen is called. It waits for those inside.
func (g *gate) close(app string) (reopen func()) {
	lock := g.of(app)
	lock.Lock()
	return lock.Unlock
}

// enterGate lets a request in for an application as it was found before; leave must be called when
// its events are acknowledged.
func (h *Handlers) enterGate(app registry.App) (leave func(), err error) {
	leave = h.gate.enter(app.Name)
	if !h.accepting(app) {
		leave()
		return nil, noApp()
	}
	return leave, nil
}

// accepting reports whether an application is still the one that it was and takes events. It is
// asked when a request was received: what passes was received before an erasure of the application
// began.
func (h *Handlers) accepting(a registry.App) bool {
	now, ok := h.opts.Registry.App(a.Name)
	return ok && now.ErasingSince == nil && now.CreatedAt.Equal(a.CreatedAt)
}

// CloseGate keeps requests of an application out until reopen is called. It waits for those that are
// inside, for as long as an intake request may take.
func (h *Handlers) CloseGate(app string) (reopen func()) { return h.gate.close(app) }

// Settle returns when the books and what is pending tell of all that was taken in before it was
// called, also of what nobody waits for any more, or with the error of ctx.
func (h *Handlers) Settle(ctx context.Context) error {
	if err := h.opts.Collector.Settle(ctx); err != nil {
		return err
	}
	unknown := h.opts.Collector.UnknownOutcomes()
	if unknown == h.gate.settled.Load() {
		return nil
	}
	// A frame of unknown outcome comes before this one, or never.
	frame, err := h.opts.Queue.Publish(ctx, queue.Frame{})
	if err == nil {
		err = h.opts.Progress.WaitFor(ctx, frame)
	}
	if err == nil {
		h.gate.settled.Store(unknown)
	}
	return err
}

// Forget drops what is kept in memory of an application that is gone.
func (h *Handlers) Forget(app string) {
	h.recent.forget(app)
	h.buckets.forget(app)
	h.opts.Collector.ForgetApp(app)
	h.metrics.forget(app)
}
