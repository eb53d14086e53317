package store

import (
	"fmt"
	"sync"
	"time"
)

// FailureTracker tracks work that is retried: since when it has been failing, and why. The zero
// value is a tracker of work that has not failed. It may be used concurrently.
type FailureTracker struct {
	mu    sync.Mutex // guards the fields below
	since time.Time
	err   error
}

// Record records the outcome of an attempt; nil is a success.
func (f *FailureTracker) Record(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err == nil:
		f.since = time.Time{}
	case f.since.IsZero():
		f.since = time.Now()
	}
	f.err = err
}

// Err returns the error of the last attempt if no attempt has succeeded for at least patience, else
// nil.
func (f *FailureTracker) Err(patience time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil || time.Since(f.since) < patience {
		return nil
	}
	return fmt.Errorf("has been failing since %s: %w", f.since.UTC().Format(time.RFC3339), f.err)
}
