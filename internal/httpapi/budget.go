package httpapi

import (
	"context"
	"sync"
)

// Budget shares a number of bytes between applications. An application that holds bytes can acquire
// more only if it then holds no more than what remains free. One application therefore never holds
// more than half, two never more than a third each, and there is always room for another one. A
// Budget is safe for concurrent use.
type Budget struct {
	mu    sync.Mutex // guards what follows
	free  int64
	held  map[string]int64 // by application; without those that hold nothing
	given chan struct{}    // closed when something is given back
}

// NewBudget returns a budget with the given number of bytes.
func NewBudget(bytes int64) *Budget {
	return &Budget{free: bytes, held: map[string]int64{}, given: make(chan struct{})}
}

// TryAcquire takes bytes for an application, and reports whether they were available. Release
// gives them back.
func (m *Budget) TryAcquire(app string, bytes int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.acquireLocked(app, bytes)
}

// Acquire is TryAcquire, except that it waits until ctx is done for what others give back.
func (m *Budget) Acquire(ctx context.Context, app string, bytes int64) bool {
	for {
		m.mu.Lock()
		taken, given := m.acquireLocked(app, bytes), m.given
		m.mu.Unlock()
		if taken {
			return true
		}
		select {
		case <-given:
		case <-ctx.Done():
			return false
		}
	}
}

func (m *Budget) acquireLocked(app string, bytes int64) bool {
	held := m.held[app]
	if bytes > m.free || held > 0 && held+bytes > m.free {
		return false
	}
	m.free -= bytes
	m.held[app] = held + bytes
	return true
}

// Release gives back bytes that were acquired.
func (m *Budget) Release(app string, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free += bytes
	if m.held[app] -= bytes; m.held[app] == 0 {
		delete(m.held, app)
	}
	close(m.given)
	m.given = make(chan struct{})
}

// Used returns the number of acquired bytes.
func (m *Budget) Used() (bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, held := range m.held {
		bytes += held
	}
	return bytes
}
