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
	// stallPatience is how long the store may fail to store events before that is reported, and
	// before work that waits for it fails.
	stallPatience = 10 * time.Second
	stallPoll     = time.Second
)

// stallCheck returns a function that returns nil while the store works, and the reason when it has
// not been able to store what is in the queue for stallPatience.
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

// whileWorking runs work that waits for the store. The context of work ends with ctx, or when
// stalled returns a reason. Then the error has that reason and wraps store.ErrUnavailable.
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
