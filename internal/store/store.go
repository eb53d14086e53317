// Package store says what The Eye asks of the place that keeps its records: a
// Writer that decides the fate of every arrival, and a Reader that answers
// queries. The conformance suite in storetest is the exact form of what is said
// here; differences between stores are declared as Capabilities.
//
// It does not keep anything itself.
package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/query"
)

// Errors that callers tell apart. Any other error is unexpected.
var (
	// ErrUnavailable means: not now, try again. Nothing was written.
	ErrUnavailable = errors.New("store unavailable")
	// ErrReset: what was written and not flushed is lost. Position has gone back
	// to Flushed, and writing goes on from there.
	ErrReset = errors.New("store reset")
	// ErrOutOfOrder is returned for a batch that overlaps what is written.
	ErrOutOfOrder = errors.New("batch out of order")
	// ErrTooWide is returned for a query that would cost too much; its text
	// says what to narrow.
	ErrTooWide = errors.New("query too wide")
)

// Batch is what one or more whole frames hold, in order.
type Batch struct {
	First, Last uint64 // the sequences of the first and the last frame, inclusive
	Records     []event.Record
	// Arrivals are the counts of the frames' headers, per application; they
	// include what is lost.
	Arrivals map[string]Arrivals
}

// Arrivals counts what came in for one application.
type Arrivals struct {
	Received int64 `json:"received"` // all that came, also what was lost
	Lost     int64 `json:"lost"`     // what frames held that could not be read
}

// Add returns the sum of what came before and what a batch brings. Less than 0 in b.Lost is
// what was lost and is there again; as far as that is more than what is known to be lost, nobody
// noticed that it was, and it counts as received.
func (a Arrivals) Add(b Arrivals) Arrivals {
	a.Received += b.Received
	if a.Lost += b.Lost; a.Lost < 0 {
		a.Received, a.Lost = a.Received-a.Lost, 0
	}
	return a
}

// Writer decides and keeps. One goroutine at a time may call it.
type Writer interface {
	// Write keeps the batch and returns the outcome of each of its records, in
	// their order. All of it happens or nothing: after an error the batch is
	// sent again, as often as it takes. ctx bounds the waiting.
	//
	// Batches come in order: First is greater than Position. A batch whose Last is
	// not greater than Position was written before: it changes nothing and
	// returns what the first time returned. Anything between is ErrOutOfOrder.
	//
	// The rules: the first arrival of (app, event id) is stored. A later one with
	// the same body (event.SameBody) has the fate Duplicate; with another body it
	// is kept as event.Conflict and Rejected. A rejection is kept under its id;
	// the same one again is a Duplicate, with its problems. Rejections never
	// block an event id. Within a batch the order of Records counts.
	//
	// A replay (event.Record.IsReplay) is decided like any arrival, with two
	// differences. With another body than the stored one it is Rejected and adds no
	// rejection: the one that it replays stays as it is. And of a session that was
	// erased since the first arrival it is Erased, whatever its sent time.
	//
	// The batch's memory must not be kept after the return.
	Write(ctx context.Context, b Batch) ([]event.Outcome, error)

	// Position returns the last frame that is written, 0 for none. After a
	// restart it may be lower: what was not flushed has to be written again.
	Position(ctx context.Context) (uint64, error)

	// Flushed returns the last frame that is kept for good, 0 for none. It never
	// goes back, and what is not behind it may be forgotten by the queue.
	Flushed(ctx context.Context) (uint64, error)
}

// Reader answers queries. Any number of goroutines may call it, also while the
// Writer writes. A batch becomes visible as a whole. The returned values belong
// to the caller. A ctx that ends stops the work.
type Reader interface {
	// Events returns events in the total order R1, or exactly reversed.
	Events(ctx context.Context, q query.Query) (Page[event.Event], error)
	// Export calls each with every event that q selects, in the order of Events;
	// Limit and After do not matter. What is written meanwhile is not among them.
	// It takes bounded memory however many there are. The event belongs to each.
	// An error of each ends the export and is returned.
	Export(ctx context.Context, q query.Query, each func(*event.Event) error) error
	// Count counts the events that q selects; Limit and After do not matter.
	Count(ctx context.Context, q query.Query) (int64, error)
	// Sessions returns the sessions that have at least one event that q selects,
	// latest start first, then by session id. Their summary is of all their
	// events in q.Apps up to the horizon.
	Sessions(ctx context.Context, q query.Query) (Page[Session], error)
	// Rejections returns rejections, newest first by (received_at, position),
	// or exactly reversed when q.Descending is false. Became is what the first
	// replay up to the horizon that was not refused made of it.
	Rejections(ctx context.Context, q query.Query) (Page[event.Rejection], error)
	// RejectionSummary counts the problems of the rejections that q selects, by
	// app, category, name, code and pointer; most frequent first, then by those
	// fields. At most q.Limit groups, and within q.MaxBytes as a page is.
	RejectionSummary(ctx context.Context, q query.Query) ([]RejectionGroup, error)
	// Series counts over time. Steps without events are left out here.
	Series(ctx context.Context, q query.Query, s Series) ([]Point, error)
	// Values returns the q.Limit most frequent values of a field, then by value
	// and type, among the events that q selects, and how many events have others.
	// There are fewer when their texts exceed q.MaxBytes, but at least one. Equal
	// numbers are one value, however they are written. Objects and arrays count by
	// their JSON text, each element of an array on the path by itself; absent and
	// null do not count. Values of different types are different.
	Values(ctx context.Context, q query.Query, f query.Field) (Values, error)
	// Receipt returns the newest arrivals, at most limit, of any of the event
	// ids q.IDs in q.Apps, newest first. There are fewer when their problems exceed
	// q.MaxBytes, but at least one.
	Receipt(ctx context.Context, q query.Query, limit int) ([]Arrival, error)
	// Books returns the account of each application that ever sent something
	// and is in apps (nil for all), by name, and the position it belongs to.
	Books(ctx context.Context, apps []string) (Books, error)
}

// Page is one page of a list. It ends with Limit items, or where MaxBytes of the
// query end it; one item of any size fits.
type Page[T any] struct {
	Items   []T
	More    bool   // there is a next page
	Horizon uint64 // to be used for the next page
	// SearchedTo is set when a search was ended before it had looked at everything:
	// Items are what lies before this time, More is true, and the next page begins
	// there, exclusive of what comes before in the list's direction.
	SearchedTo *event.Micros
}

// Session is the summary of a session as q.Apps sees it.
type Session struct {
	ID        string
	Apps      []string // sorted
	StartedAt event.Micros
	EndedAt   event.Micros
	Events    int64
}

// Size is what the session takes in memory, in bytes, about.
func (s *Session) Size() int {
	n := 128 + len(s.ID)
	for _, app := range s.Apps {
		n += 16 + len(app)
	}
	return n
}

// RejectionGroup is one line of the summary of rejections.
type RejectionGroup struct {
	App, Category, Name, Code, Pointer string
	Count                              int64
	FirstSeen, LastSeen                event.Micros // of received_at
	Example                            uuid.UUID    // the id of the newest rejection of the group
	Message                            string       // of that rejection's problem
}

// Size is what the group takes in memory, in bytes, about.
func (g *RejectionGroup) Size() int {
	return 128 + len(g.App) + len(g.Category) + len(g.Name) + len(g.Code) + len(g.Pointer) + len(g.Message)
}

// Interval is the width of a step of a series.
type Interval string

// The intervals of a series.
const (
	Minute Interval = "minute"
	Hour   Interval = "hour"
	Day    Interval = "day"
)

// Micros returns the interval's width.
func (i Interval) Micros() event.Micros {
	switch i {
	case Minute:
		return 60 * 1e6
	case Hour:
		return 3600 * 1e6
	case Day:
		return 86400 * 1e6
	}
	return 0
}

// Group is what a series is grouped by.
type Group string

// The groups of a series. ByStatus counts arrivals by their fate (stored,
// rejected, duplicate) and by received_at instead of events by occurred_at.
const (
	ByNothing  Group = ""
	ByCategory Group = "category"
	ByName     Group = "name"
	ByApp      Group = "app"
	ByStatus   Group = "status"
)

// Series says how to count over time.
type Series struct {
	Interval  Interval
	Zone      *time.Location // whose days, hours and minutes the steps are; nil is UTC
	Group     Group
	MaxPoints int // more non-empty points than these are ErrTooWide
}

// Steps returns the steps of a series. Stores that count in a query count the parts of steps there
// and add them up here: so all of them know the same time zones.
func (s Series) Steps() event.Steps { return event.Steps{Width: s.Interval.Micros(), Zone: s.Zone} }

// Point is one step of one group of a series, in the order (group, at).
type Point struct {
	Group string
	At    event.Micros // the beginning of the step
	Count int64
}

// Values are the most frequent values of a field.
type Values struct {
	Top   []Value
	Other int64 // how many values were counted beyond Top
}

// Value is a value of a field with its count. JSON strings are given as their
// text, numbers as query.Number writes them, all else as JSON.
type Value struct {
	Type  query.ValueType
	Value string
	Count int64
}

// Size is what the value takes in memory, in bytes, about.
func (v *Value) Size() int { return 24 + len(v.Value) }

// Arrival is one line of a receipt.
type Arrival struct {
	App        string
	EventID    uuid.UUID
	ClientID   string
	Position   event.Position
	CarriedBy  uint64 // the frame: the position's, but for a replay
	ReceivedAt event.Micros
	Fate       event.Fate
	Problems   []event.Problem
}

// Size is what the arrival takes in memory, in bytes, about.
func (a *Arrival) Size() int {
	return 128 + len(a.App) + len(a.ClientID) + event.ProblemsSize(a.Problems)
}

// Books are the accounts of a store up to a position.
type Books struct {
	Position uint64
	Accounts []Account
}

// Account is what became of all that one application sent. Received and Lost
// are summed from the batches' arrivals, the rest is counted from rows.
type Account struct {
	App                                                          string
	Received, Stored, Rejected, Duplicate, Erased, Expired, Lost int64
}

// Capabilities declare what a store does differently. The zero value is the
// full contract.
type Capabilities struct {
	// Volatile: the store begins empty and at position 0 each time it is opened.
	Volatile bool
}
