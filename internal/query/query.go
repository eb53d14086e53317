// Package query defines the queries of a store: the Query with its filters, and the cursor that
// continues a list. It parses both from URL parameters, and renders them as SQL for a dialect.
//
// It does not run queries and does not know any store.
package query

import (
	"math"
	"time"

	"github.com/google/uuid"

	"theeye/internal/event"
)

// Limits of a query from a client.
const (
	DefaultLimit = 100  // items of a page by default
	MaxLimit     = 1000 // items of a page
	// PageBytes is the default bound of the items of a page, in bytes.
	PageBytes     = 8 << 20
	MaxValues     = 100 // values of one repeatable parameter
	MaxConditions = 20  // conditions of where
	MaxPathSteps  = 5   // keys of a path into data
)

// Kind is the kind of the items that a query selects. It determines the filters and the order.
type Kind byte

// The kinds of a query. The letters are part of the format of a cursor.
const (
	Events     Kind = 'e'
	Sessions   Kind = 's' // selected by their events
	Rejections Kind = 'r'
)

// Query selects events or rejections. The zero value selects everything; each field that is set
// narrows it. A Query is a value: stores must not modify its slices.
type Query struct {
	Apps       []string    // any of these; nil means all, empty means none
	IDs        []uuid.UUID // any of these ids: of events, or of rejections
	EventIDs   []uuid.UUID // rejections of any of these events
	EventTexts []string    // the same by ids that are not UUIDs; the caller adds the UUIDs to EventIDs
	SessionIDs []string    // any of these
	Categories []string    // any of these
	Names      []string    // any of these
	Codes      []string    // rejections with a problem of any of these codes
	Pointers   []string    // rejections with a problem at any of these pointers

	// Replayed selects rejections with or without a replay that was not rejected; nil selects both.
	// Stores render it themselves.
	Replayed *bool

	// From is inclusive, To exclusive; nil is unbounded. They bound occurred_at of events and
	// received_at of rejections.
	From, To *event.Micros

	// Zone is the time zone of times that were given without one; stores do not need it.
	Zone *time.Location

	Where []Condition // all of these

	Descending bool
	Limit      int // maximum number of items; 0 means DefaultLimit
	// MaxBytes bounds the sizes of the items of a page, in bytes; 0 means PageBytes. The first item
	// always fits.
	MaxBytes int
	// Bare omits the data of events.
	Bare bool

	After *After // continue after this place

	// Horizon is the last frame whose arrivals are shown, so that the pages of a list show the same
	// moment. 0 means the position of the store when it answers; the answer includes it.
	Horizon uint64
}

// After is the place in a list after which its next page begins.
type After struct {
	Key       event.Key // of the last event; for rejections OccurredAt is received_at and Seq 0; for sessions OccurredAt is started_at
	SessionID string    // of the last session of a list of sessions
}

// AfterEvent returns the place after an event.
func AfterEvent(e *event.Event) After { return After{Key: e.Key()} }

// AfterTime returns the place before everything at a time, in the direction of a list.
func AfterTime(at event.Micros, descending bool) After {
	if descending {
		return After{Key: event.Key{OccurredAt: at, Seq: event.NoSeq, Position: event.Position{Frame: math.MaxUint64, Index: math.MaxUint32}}}
	}
	return After{Key: event.Key{OccurredAt: at}}
}

// AfterRejection returns the place after a rejection.
func AfterRejection(r *event.Rejection) After {
	return After{Key: event.Key{OccurredAt: r.ReceivedAt, Position: r.Position}}
}

// AfterSession returns the place after a session.
func AfterSession(startedAt event.Micros, id string) After {
	return After{Key: event.Key{OccurredAt: startedAt}, SessionID: id}
}
