// Package memory is the reference store: slices and maps under one mutex. It shows by example what
// a store does, and the conformance suite compares every other store with it. So it is written to
// be read, not to be fast: every query reads every record.
//
// It does not outlive the process and uses no SQL: conditions are evaluated in plain Go,
// with query.Query.SelectsEvent and SelectsRejection, and never rendered.
package memory

import (
	"context"
	"sync"

	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/store"
)

// Store keeps everything in memory, without a bound. Unlike other stores, it may also be written
// concurrently.
type Store struct {
	mu         sync.Mutex // guards all below
	position   uint64
	arrivals   []arrival                 // in the order of writing
	events     map[eventKey]*event.Event // that are stored
	rejections map[uuid.UUID]*event.Rejection
	outcomes   map[uint64][]event.Outcome // by frame, in the order of its records
	counts     map[string]store.Arrivals  // sums, by application
}

var (
	_ store.Writer = (*Store)(nil)
	_ store.Reader = (*Store)(nil)
)

// arrival is a record and its outcome. What it points to never changes.
type arrival struct {
	record  event.Record
	outcome event.Outcome
}

// eventKey identifies an event: ids are unique within their application.
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

// Capabilities declares the store volatile.
func (s *Store) Capabilities() store.Capabilities { return store.Capabilities{Volatile: true} }

// Close does nothing.
func (s *Store) Close() error { return nil }

// Position implements store.Writer.
func (s *Store) Position(ctx context.Context) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.position, ctx.Err()
}

// Flushed returns 0: nothing is durable.
func (s *Store) Flushed(context.Context) (uint64, error) { return 0, nil }
