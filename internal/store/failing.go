package store

import (
	"fmt"
	"sync"
	"time"
)

// Failing remembers work that fails and is tried again: since when, and why. The zero value is that
// of work which has not failed. It may be used concurrently.
type Failing struct {
	mu    sync.Mutex // guards what follows
	since time.Time
	err   error
}

// Note is called with the outcome of each attempt; nil ends what was noted before.
func (f *Failing) Note(err error) {
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

// Err returns the error of the last attempt when no attempt has succeeded for so long, else nil.
func (f *Failing) Err(patience time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil || time.Since(f.since) < patience {
		return nil
	}
	return fmt.Errorf("has been failing since %s: %w", f.since.UTC().Format(time.RFC3339), f.err)
}
