package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"theeye/internal/registry"
	"theeye/internal/replay"
	"theeye/internal/store"
)

// expires reports whether any application has a retention.
func (n *Node) expires() bool {
	return slices.ContainsFunc(n.registry.Apps(), func(a registry.App) bool { return a.RetainFor(n.cfg.Retain) > 0 })
}

// flushAll brings all that is acknowledged by now into segments.
func (n *Node) flushAll(ctx context.Context, doing func(string)) error {
	state, err := n.queue.State(ctx)
	if err != nil {
		return err
	}
	for at := n.progress.Position(); at < state.Last; at = n.progress.Position() {
		if err := n.stalled(); err != nil {
			return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
		doing(fmt.Sprintf("the store takes what is in the queue, frame %d of %d", at, state.Last))
		some, cancel := context.WithTimeout(ctx, time.Second)
		err := n.progress.WaitFor(some, state.Last)
		cancel()
		if err != nil && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	doing("the store is flushed")
	return n.store.Flush(ctx)
}

// retain returns how long an application's events are kept, 0 for ever.
func (n *Node) retain(app string) time.Duration {
	a, _ := n.registry.App(app)
	return a.RetainFor(n.cfg.Retain)
}

// validationOf returns how an application's events are judged now, if it takes any.
func (n *Node) validationOf(app string) (replay.App, bool) {
	a, ok := n.registry.App(app)
	return replay.App{Zone: a.Location(), RefuseUnknownTypes: a.UnknownTypes == registry.RejectUnknown}, ok && a.ErasingSince == nil
}

// caughtUp is nil when the store holds what was acknowledged before the start, and
// what it held before DuckDB failed.
func (n *Node) caughtUp() error {
	if at := n.progress.Position(); at < n.backlog {
		return fmt.Errorf("the store is being rebuilt from the queue: frame %d of %d; intake works meanwhile", at, n.backlog)
	}
	if err := n.eraser.ready(); err != nil {
		return err
	}
	return n.store.CaughtUp()
}
