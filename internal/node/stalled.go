package node

import (
	"context"
	"fmt"
	"time"

	"theeye/internal/store"
	"theeye/internal/store/duckdb"
	"theeye/internal/wait"
	"theeye/internal/worker"
)

const (
	// stallPatience is how long the store may fail to take events before that is told, and before
	// what waits for it ends.
	stallPatience = 10 * time.Second
	stallPoll     = time.Second
)

// stallCheck returns a function that tells why the store has not taken what is in the queue for
// stallPatience, and returns nil while it works.
func stallCheck(st *duckdb.Store, w *worker.Worker) func() error {
	return func() error {
		if err := st.FlushFailure(stallPatience); err != nil {
			return fmt.Errorf("writing the store's files %w", err)
		}
		if err := w.NotWriting(stallPatience); err != nil {
			return fmt.Errorf("writing to the store %w", err)
		}
		return nil
	}
}

// whileWorking runs work that waits for the store. Its context ends with ctx, and when the store
// has stalled: the error is then why, and a store.ErrUnavailable.
func whileWorking(ctx context.Context, stalled func() error, work func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		for wait.For(ctx, stallPoll) == nil {
			if err := stalled(); err != nil {
				cancel(fmt.Errorf("%w: %w", store.ErrUnavailable, err))
			}
		}
	}()
	err := work(ctx)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return err
}
