// Package query holds what a reader may ask of a store: the Query and its
// filters, the cursor that continues a list, the reading of both from URL
// parameters, and their rendering as SQL for a dialect.
//
// It does not run anything and knows no store.
package query

import (
	"math"
	"time"

	"github.com/google/uuid"

	"theeye/internal/event"
)

// Limits of a query that comes from outside.
const (
	DefaultLimit = 100  // items of a page when none is asked for
	MaxLimit     = 1000 // items of a page
	// PageBytes is where a page ends when no other bound is asked for, in bytes of
	// its items.
	PageBytes     = 8 << 20
	MaxValues     = 100 // values of one repeatable parameter
	MaxConditions = 20  // conditions of where
	MaxPathSteps  = 5   // keys of a path into data
)

// Kind is what a query asks for. It decides which filters and which order there
// are.
type Kind byte

// The kinds of a query. The letters are part of the form of a cursor.
const (
	Events     Kind = 'e'
	Sessions   Kind = 's' // selected by their events
	Rejections Kind = 'r'
)

// Query selects events or rejections. The zero value selects everything; each
// field that is set narrows it. A Query is a value: stores must not change what
// its slices hold.
type Query struct {
	Apps       []string    // any of these; nil means all, empty means none
	IDs        []uuid.UUID // any of these ids: of events, or of rejections
	EventIDs   []uuid.UUID // rejections of any of these events
	EventTexts []string    // as their clients called them, when that is no UUID; the caller adds the ids
	SessionIDs []string    // any of these
	Categories []string    // any of these
	Names      []string    // any of these
	Codes      []string    // rejections with a problem of any of these codes
	Pointers   []string    // rejections with a problem at any of these pointers

	// Replayed selects rejections of which a replay has made something, or of which
	// none has; nil selects both. Stores render it themselves.
	Replayed *bool

	// From is inclusive, To exclusive; nil is open. They bound occurred_at of
	// events and received_at of rejections.
	From, To *event.Micros

	// Zone is that in which times without a zone were read; stores do not need it.
	Zone *time.Location

	Where []Condition // all of these

	Descending bool
	Limit      int // at most so many items; 0 means DefaultLimit
	// MaxBytes bounds a page as Limit does: it ends before the item with which the
	// sizes of its items would exceed so many bytes; 0 means PageBytes. The first
	// item always fits.
	MaxBytes int
	// Bare leaves out the data of events.
	Bare bool

	After *After // continue behind this place

	// Horizon is the frame up to which arrivals are shown (S7). 0 means the
	// position that the store has reached when it answers; the answer tells it.
	Horizon uint64
}

// After is the place in a list behind which its next page begins.
type After struct {
	Key       event.Key // of the last event; for rejections OccurredAt is received_at and Seq 0; for sessions OccurredAt is started_at
	SessionID string    // of the last session of a list of sessions
}

// AfterEvent returns the place behind an event.
func AfterEvent(e *event.Event) After { return After{Key: e.Key()} }

// AfterTime returns the place before everything at a time, in the direction of a
// list.
func AfterTime(at event.Micros, descending bool) After {
	if descending {
		return After{Key: event.Key{OccurredAt: at, Seq: event.NoSeq, Position: event.Position{Frame: math.MaxUint64, Index: math.MaxUint32}}}
	}
	return After{Key: event.Key{OccurredAt: at}}
}

// AfterRejection returns the place behind a rejection.
func AfterRejection(r *event.Rejection) After {
	return After{Key: event.Key{OccurredAt: r.ReceivedAt, Position: r.Position}}
}

// AfterSession returns the place behind a session.
func AfterSession(startedAt event.Micros, id string) After {
	return After{Key: event.Key{OccurredAt: startedAt}, SessionID: id}
}
