package httpapi

import (
	"context"
	"sync"
	"sync/atomic"

	"theeye/internal/queue"
	"theeye/internal/registry"
)

// gate are what requests go through on their way to the queue, one for each
// application, so that a deletion sees all events that were taken in: it closes
// the door, which waits for those inside, and only then looks for events.
type gate struct {
	byApp sync.Map // name → *sync.RWMutex; as many as there were applications
	// settled is how many of Collector.Unknown are known by now: they are in the store, or nowhere.
	settled atomic.Uint64
}

func (d *gate) of(app string) *sync.RWMutex {
	door, ok := d.byApp.Load(app)
	if !ok {
		door, _ = d.byApp.LoadOrStore(app, new(sync.RWMutex))
	}
	return door.(*sync.RWMutex) //nolint:errcheck,forcetypeassert // nothing else is stored
}

// enterGate lets a request in for an application as it was found before; leave must be
// called when its events are acknowledged. It waits while the door is closed.
func (s *Server) enterGate(app registry.App) (leave func(), err error) {
	door := s.gate.of(app.Name)
	door.RLock()
	if !s.accepting(app) {
		door.RUnlock()
		return nil, noApp()
	}
	return door.RUnlock, nil
}

// closeGate keeps requests of an application out until reopen is called. It waits for
// those that are inside, for as long as an intake request may take.
func (s *Server) closeGate(app string) (reopen func()) {
	door := s.gate.of(app)
	door.Lock()
	return door.Unlock
}

// settled returns when the books and Pending tell of all that was taken in before it was called, also of
// what nobody waits for any more, or with the error of ctx.
func (s *Server) settled(ctx context.Context) error {
	if err := s.opts.Collector.Settle(ctx); err != nil {
		return err
	}
	unknown := s.opts.Collector.Unknown()
	if unknown == s.gate.settled.Load() {
		return nil
	}
	// A frame of unknown outcome comes before this one, or never.
	frame, err := s.opts.Queue.Publish(ctx, queue.Frame{})
	if err == nil {
		err = s.opts.Progress.WaitFor(ctx, frame)
	}
	if err == nil {
		s.gate.settled.Store(unknown)
	}
	return err
}

// accepting reports whether an application is still the one that it was and takes
// events. It is asked when a request was received: what passes was received
// before an erasure of the application began.
func (s *Server) accepting(a registry.App) bool {
	now, ok := s.opts.Registry.App(a.Name)
	return ok && now.ErasingSince == nil && now.CreatedAt.Equal(a.CreatedAt)
}
