package node

import (
	"context"
	"fmt"
	"time"

	"theeye/internal/store"
)

// flushAll writes everything that is acknowledged when it is called into segments. It calls doing
// with texts that describe its progress.
func (n *Node) flushAll(ctx context.Context, doing func(string)) error {
	if err := n.storeAll(ctx, doing); err != nil {
		return err
	}
	doing("the store is being flushed")
	return n.store.Flush(ctx)
}

// storeAll waits until the store holds everything that is acknowledged when it is called. It calls
// doing with texts that describe its progress.
func (n *Node) storeAll(ctx context.Context, doing func(string)) error {
	state, err := n.queue.State(ctx)
	if err != nil {
		return err
	}
	for at := n.progress.Position(); at < state.Last; at = n.progress.Position() {
		if err := n.stalled(); err != nil {
			return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
		doing(fmt.Sprintf("the store is catching up with the queue, frame %d of %d", at, state.Last))
		some, cancel := context.WithTimeout(ctx, time.Second)
		err := n.progress.WaitFor(some, state.Last)
		cancel()
		if err != nil && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// caughtUp returns nil when the store holds everything that was acknowledged before the start, and
// everything that it held before the last fatal error of DuckDB.
func (n *Node) caughtUp() error {
	if at := n.progress.Position(); at < n.lastAtStart {
		return fmt.Errorf("the store is being rebuilt from the queue: frame %d of %d; intake works meanwhile", at, n.lastAtStart)
	}
	if err := n.eraser.ready(); err != nil {
		return err
	}
	return n.store.CaughtUp()
}
