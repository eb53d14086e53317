package intake

import (
	"context"
	"sync"
	"sync/atomic"

	"theeye/internal/queue"
	"theeye/internal/registry"
)

// gate lets a deletion wait for the requests of its application that are in progress. Requests pass
// the gate on their way to the queue. Closing it for an application waits for the requests inside
// and keeps out further ones; the deletion then looks for events.
type gate struct {
	byApp sync.Map // name → *sync.RWMutex; one for each application that ever sent
	// resolved is the value of Collector.UnconfirmedFrames up to which every outcome is known.
	resolved atomic.Uint64
}

func (g *gate) of(app string) *sync.RWMutex {
	lock, ok := g.byApp.Load(app)
	if !ok {
		lock, _ = g.byApp.LoadOrStore(app, new(sync.RWMutex))
	}
	return lock.(*sync.RWMutex) //nolint:errcheck,forcetypeassert // nothing else is stored
}

// enter lets a request of an application in. The caller calls leave when the events are
// acknowledged. enter blocks while the gate is closed.
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

// enterGate lets a request in if app is still accepting events. The caller calls leave when they
// are acknowledged.
func (h *Handlers) enterGate(app registry.App) (leave func(), err error) {
	leave = h.gate.enter(app.Name)
	if !h.accepting(app) {
		leave()
		return nil, noApp()
	}
	return leave, nil
}

// accepting reports whether an application that was found earlier still exists and accepts events.
// It is called when a request has been received: what passes was received before an erasure of the
// application began.
func (h *Handlers) accepting(a registry.App) bool {
	now, ok := h.opts.Registry.App(a.Name)
	return ok && now.ErasingSince == nil && now.CreatedAt.Equal(a.CreatedAt)
}

// CloseGate keeps requests of an application out until reopen is called. It waits for those
// inside, which takes at most as long as an intake request may.
func (h *Handlers) CloseGate(app string) (reopen func()) { return h.gate.close(app) }

// WaitCounted returns when the books and the pending counts include everything that was accepted
// before the call, even if nobody waits for the outcome any more. If ctx is done first, it returns
// its error.
func (h *Handlers) WaitCounted(ctx context.Context) error {
	if err := h.opts.Collector.WaitInFlight(ctx); err != nil {
		return err
	}
	unconfirmed := h.opts.Collector.UnconfirmedFrames()
	if unconfirmed == h.gate.resolved.Load() {
		return nil
	}
	// A frame whose outcome is unknown precedes this one, or never comes.
	frame, err := h.opts.Queue.Publish(ctx, queue.Frame{})
	if err == nil {
		err = h.opts.Progress.WaitFor(ctx, frame)
	}
	if err == nil {
		h.gate.resolved.Store(unconfirmed)
	}
	return err
}

// Forget drops everything in memory about an application that no longer exists.
func (h *Handlers) Forget(app string) {
	h.recent.forget(app)
	h.buckets.forget(app)
	h.opts.Collector.ForgetApp(app)
	h.metrics.forget(app)
}
