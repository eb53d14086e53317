// Package wait waits for a time that a context may cut short.
package wait

import (
	"context"
	"time"
)

// For waits for a duration. It returns the context's error when that ends first.
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
