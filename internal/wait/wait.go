// Package wait waits for a duration, or until a context is done.
package wait

import (
	"context"
	"time"
)

// For waits for a duration. If the context is done first, it returns the context's error.
func For(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
