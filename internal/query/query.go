// Package query holds what a reader may ask of a store: the Query and its
// filters, the cursor that continues a list, the reading of both from URL
// parameters, and their rendering as SQL for a dialect.
//
// It does not run anything and knows no store.
package query

import (
	"github.com/google/uuid"

	"theeye/internal/event"
)

// Limits of a list.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
)

// Query selects events or rejections. The zero value selects everything; each
// field that is set narrows it. A Query is a value: stores must not change what
// its slices hold.
type Query struct {
	Apps       []string    // any of these; nil means all, empty means none
	IDs        []uuid.UUID // any of these ids: of events, or of rejections
	EventIDs   []uuid.UUID // rejections of any of these events
	SessionIDs []string    // any of these
	Categories []string    // any of these
	Names      []string    // any of these
	Codes      []string    // rejections with a problem of any of these codes
	Pointers   []string    // rejections with a problem at any of these pointers

	// From is inclusive, To exclusive; nil is open. They bound occurred_at of
	// events and received_at of rejections.
	From, To *event.Micros

	Where []Condition // all of these

	Descending bool
	Limit      int // at most so many items; 0 means DefaultLimit

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

// Operator compares a field with a value.
type Operator string

// The operators of where.
const (
	Equal          Operator = "="
	NotEqual       Operator = "!="
	Less           Operator = "<"
	LessOrEqual    Operator = "<="
	GreaterOrEqual Operator = ">="
	Greater        Operator = ">"
	Contains       Operator = "~"
)

// Condition is one filter on a field.
//
// A value that reads as a JSON number, true, false or null also equals that
// type. Less and greater compare numbers with numbers (as 64-bit floating
// point), else text with text. An absent field matches NotEqual alone. A path
// that meets an array looks at each of its elements; NotEqual is the negation
// of Equal.
type Condition struct {
	Field    Field
	Operator Operator
	Value    string
}

// Field names a part of an event: one of its own fields, or a path into data.
type Field struct {
	Name string   // "session_id", "occurred_at", …; "data" for a path
	Path []string // the keys below data; nil unless Name is "data"
}
