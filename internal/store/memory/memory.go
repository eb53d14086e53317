// Package memory is the reference store: slices and maps under one mutex. It
// says by example what a store has to do, and the conformance suite compares
// every other store with it, so each of its functions is written to be read,
// none to be fast: every query looks at every record.
//
// It does not survive the process and knows no SQL: conditions are matched in
// plain Go, independently of what the query package renders.
package memory

import (
	"context"
	"sync"

	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/store"
)

// Store keeps everything in memory, without a bound. Unlike what is promised of
// a store.Writer, any number of goroutines may call Write, too.
type Store struct {
	mu         sync.Mutex // guards all below
	position   uint64
	arrivals   []arrival                 // in the order of writing
	events     map[eventKey]*event.Event // those that are stored
	rejections map[uuid.UUID]*event.Rejection
	outcomes   map[uint64][]event.Outcome // by frame, in the order of its records
	counts     map[string]store.Arrivals  // sums, by application
}

var (
	_ store.Writer = (*Store)(nil)
	_ store.Reader = (*Store)(nil)
)

// arrival is a record and what became of it. What it points to never changes.
type arrival struct {
	record  event.Record
	outcome event.Outcome
}

// eventKey is what makes an event one: ids belong to their application.
type eventKey struct {
	app string
	id  uuid.UUID
}

// New returns an empty store.
func New() *Store {
	return &Store{
		events:     map[eventKey]*event.Event{},
		rejections: map[uuid.UUID]*event.Rejection{},
		outcomes:   map[uint64][]event.Outcome{},
		counts:     map[string]store.Arrivals{},
	}
}

// Capabilities returns what this store does differently: it is volatile.
func (s *Store) Capabilities() store.Capabilities { return store.Capabilities{Volatile: true} }

// Close does nothing; the store is gone with its last reference.
func (s *Store) Close() error { return nil }

// Position returns the last frame that is written, 0 for none.
func (s *Store) Position(ctx context.Context) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.position, ctx.Err()
}

// Flushed returns 0: nothing is kept for good.
func (s *Store) Flushed(context.Context) (uint64, error) { return 0, nil }
