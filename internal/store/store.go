// Package store declares the interfaces of a store: a Writer that decides the fate of every
// arrival, and a Reader that answers queries. The conformance suite in storetest defines their
// behaviour exactly; differences between stores are declared as Capabilities.
//
// It does not store anything itself.
package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/query"
)

// Errors that callers distinguish. Any other error is unexpected.
var (
	// ErrUnavailable is returned when a retry may succeed. Nothing was written.
	ErrUnavailable = errors.New("store unavailable")
	// ErrReset is returned when the store has lost everything that was not flushed. Position has
	// gone back to Flushed, and writing continues from there.
	ErrReset = errors.New("store reset")
	// ErrOutOfOrder is returned for a batch that overlaps what has been written.
	ErrOutOfOrder = errors.New("batch out of order")
	// ErrTooWide is returned for a query that would be too expensive; its text says what to narrow.
	ErrTooWide = errors.New("query too wide")
)

// Batch is the records of one or more whole frames, in order.
type Batch struct {
	First, Last uint64 // the sequences of the first and the last frame, inclusive
	Records     []event.Record
	// Arrivals are the counts in the headers of the frames, by application. They include records
	// that are lost.
	Arrivals map[string]Arrivals
}

// Arrivals counts the arrivals for one application.
type Arrivals struct {
	Received int64 `json:"received"` // including what was lost
	Lost     int64 `json:"lost"`     // records in frames that could not be read
}

// Add returns the sum of a and b. A negative b.Lost counts records that were lost and have been
// found again. Records that were found without ever having been counted as lost count as received.
func (a Arrivals) Add(b Arrivals) Arrivals {
	a.Received += b.Received
	if a.Lost += b.Lost; a.Lost < 0 {
		a.Received, a.Lost = a.Received-a.Lost, 0
	}
	return a
}

// Writer decides the fate of records and stores them. One goroutine at a time may call it.
type Writer interface {
	// Write stores a batch and returns the outcome of each of its records, in their order. It is
	// atomic: after an error nothing was written, and the caller writes the batch again. ctx bounds
	// the time that Write waits.
	//
	// Batches are written in order: First is greater than Position. A batch whose Last is not
	// greater than Position was written before: it changes nothing, and Write returns the same
	// outcomes as the first time. Anything between is ErrOutOfOrder.
	//
	// The first arrival of (app, event id) is stored. A later one with the same body
	// (event.SameBody) has the fate Duplicate; with another body it is stored as event.Conflict,
	// and Rejected. A rejection is stored under its id; a repetition is a Duplicate, with its
	// problems. Rejections never block an event id. Within a batch the order of Records counts.
	//
	// A replay (event.Record.IsReplay) is decided like any arrival, with two differences. With a
	// body other than the stored one it is Rejected and adds no rejection: the one that it replays
	// stays as it is. If its session was erased since the first arrival it is Erased, whatever its
	// sent time.
	//
	// The store does not retain the memory of the batch after Write returns.
	Write(ctx context.Context, b Batch) ([]event.Outcome, error)

	// Position returns the last frame that has been written, 0 for none. After a restart it may be
	// lower: what was not flushed must be written again.
	Position(ctx context.Context) (uint64, error)

	// Flushed returns the last frame that is durable, 0 for none. It never decreases. The queue may
	// forget the frames up to it.
	Flushed(ctx context.Context) (uint64, error)
}

// Reader answers queries. It may be used concurrently, also while the Writer writes. A batch
// becomes visible atomically. The returned values belong to the caller. When ctx is done, the work
// stops.
type Reader interface {
	// Events returns events in the total order (P4), or in exactly the reverse order.
	Events(ctx context.Context, q query.Query) (Page[event.Event], error)
	// Export calls each with every event that q selects, in the order of Events; Limit and After do
	// not matter. It does not see what is written meanwhile. It uses a bounded amount of memory,
	// whatever the number of events. The event belongs to each. An error of each ends the export
	// and is returned.
	Export(ctx context.Context, q query.Query, each func(*event.Event) error) error
	// Count counts the events that q selects; Limit and After do not matter.
	Count(ctx context.Context, q query.Query) (int64, error)
	// Sessions returns the sessions that have at least one event that q selects, latest start
	// first, then by session id. Each is summarised over all its events in q.Apps up to the
	// horizon.
	Sessions(ctx context.Context, q query.Query) (Page[Session], error)
	// SessionEnds returns the first and the last event of each session in q.Apps up to the horizon, and
	// how many rejections of it no replay has resolved, in the order of sessions. Those are sessions
	// that Sessions has returned.
	SessionEnds(ctx context.Context, q query.Query, sessions []Session) ([]SessionEnds, error)
	// Totals counts what happened in q.Apps from q.From to q.To, which are set. It is fast enough to
	// be asked every few seconds.
	Totals(ctx context.Context, q query.Query) (Totals, error)
	// Rejections returns rejections, newest first by (received_at, position), or in exactly the
	// reverse order when q.Descending is false. Became is the outcome of the first replay up to the
	// horizon that was not rejected.
	Rejections(ctx context.Context, q query.Query) (Page[event.Rejection], error)
	// RejectionSummary counts the problems of the rejections that q selects, by app, category,
	// name, code and pointer; most frequent first, then by those fields. It returns at most q.Limit
	// groups, within q.MaxBytes as for a page. With parts > 0, q.From and q.To must be set, and each
	// group has its count in each of so many equal parts of that span.
	RejectionSummary(ctx context.Context, q query.Query, parts int) ([]RejectionGroup, error)
	// Series counts over time. Steps without events are left out.
	Series(ctx context.Context, q query.Query, s Series) ([]Point, error)
	// Values returns the q.Limit most frequent values of a field among the events that q selects,
	// then by value and type, and how often other values occur. There are fewer when they exceed
	// q.MaxBytes, but at least one. Equal numbers are one value, however they are written. Objects
	// and arrays are compared by their JSON text; each element of an array on the path counts by
	// itself. Absent values and null do not count. Values of different types are different.
	Values(ctx context.Context, q query.Query, f query.Field) (Values, error)
	// Receipt returns the newest arrivals of the event ids q.IDs in q.Apps, newest first and at
	// most limit. There are fewer when their problems exceed q.MaxBytes, but at least one.
	Receipt(ctx context.Context, q query.Query, limit int) ([]Arrival, error)
	// Feed returns what was stored after a place, in the order of FeedPlace. An item is visible as
	// soon as it can be read otherwise. The search ends when the page is full, at the end of what
	// is visible, or after about two seconds. After a restart the store may be behind q.After: the
	// page is empty then, and its Next is q.After. The error is a *PlaceGoneError when the store
	// does not have q.After.
	Feed(ctx context.Context, q FeedQuery) (FeedPage, error)
	// Books returns the account of each application in apps (nil for all) that has ever sent
	// anything, sorted by name, and the position to which the accounts refer.
	Books(ctx context.Context, apps []string) (Books, error)
}

// Page is one page of a list. It has at most Limit items, within MaxBytes of the query; the first
// item always fits.
type Page[T any] struct {
	Items   []T
	More    bool   // there is a next page
	Horizon uint64 // for the query of the next page
	// SearchedTo is set when a search ended before it had read everything: Items are what comes
	// before this time in the direction of the list, More is true, and the next page begins at this
	// time.
	SearchedTo *event.Micros
}

// Session summarises the events of a session in q.Apps.
type Session struct {
	ID        string
	Apps      []string // sorted
	StartedAt event.Micros
	EndedAt   event.Micros
	Events    int64
}

// SessionEnds are the first and the last event of a session.
type SessionEnds struct {
	First, Last SessionEnd
	Rejections  int64 // that no replay has resolved
}

// SessionEnd describes an event of a session.
type SessionEnd struct {
	Category, Name string
	Path           string // data.path, at most MaxEndPath characters; empty if it is not a string
}

// MaxEndPath is the maximum length of the path of a SessionEnd, in characters.
const MaxEndPath = 200

// Totals are counts of a span of time.
type Totals struct {
	Events   int64 // that occurred in the span
	Rejected int64 // rejections that were received in the span
	// Sessions is the number of sessions that started in the span. It is approximate if Sampled is
	// set: the sessions of a sample were counted. A session of which nothing occurred for SessionGap
	// before the span may count as one that starts in it.
	Sessions int64
	Sampled  bool
}

// SessionGap is how long a session must have been silent to count as started again.
const SessionGap = 24 * time.Hour

// Size returns the approximate size of the session in memory, in bytes.
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
	Message                            string       // of the problem of that rejection
	Parts                              []int64      // the counts of the parts of the span, if asked for
}

// Size returns the approximate size of the group in memory, in bytes.
func (g *RejectionGroup) Size() int {
	return 128 + len(g.App) + len(g.Category) + len(g.Name) + len(g.Code) + len(g.Pointer) + len(g.Message) + 8*len(g.Parts)
}

// CheckParts returns an error unless RejectionSummary can divide the span of q into parts.
func CheckParts(q query.Query, parts int) error {
	if parts > 0 && (q.From == nil || q.To == nil || *q.From >= *q.To) {
		return errors.New("a summary in parts needs a span")
	}
	return nil
}

// PartWidth returns the width of the parts into which RejectionSummary divides a span. The last
// parts may be outside the span, because the width is rounded up.
func PartWidth(from, to event.Micros, parts int) event.Micros {
	return max(1, (to-from+event.Micros(parts)-1)/event.Micros(parts))
}

// Interval is the width of the steps of a series.
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

// Group is the field by which a series is grouped.
type Group string

// The groups of a series. ByStatus counts arrivals by their fate and by received_at, instead of
// events by occurred_at.
const (
	ByNothing  Group = ""
	ByCategory Group = "category"
	ByName     Group = "name"
	ByApp      Group = "app"
	ByStatus   Group = "status"
)

// Series specifies how to count over time.
type Series struct {
	Interval  Interval
	Zone      *time.Location // of the days, hours and minutes of the steps; nil is UTC
	Group     Group
	MaxPoints int // ErrTooWide is returned for more non-empty points
}

// Steps returns the steps of a series. A store may count finer steps in SQL and sum them with
// Steps, which alone handles time zones.
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
	Other int64 // how often the field has a value beyond Top
}

// Value is a value of a field with its count. A JSON string is its text, a number is written as
// query.Number does, and everything else is JSON.
type Value struct {
	Type  query.ValueType
	Value string
	Count int64
}

// Size returns the approximate size of the value in memory, in bytes.
func (v *Value) Size() int { return 24 + len(v.Value) }

// Arrival is one line of a receipt.
type Arrival struct {
	App        string
	EventID    uuid.UUID
	ClientID   string
	Position   event.Position
	CarriedBy  uint64 // the frame: that of Position, except for a replay
	ReceivedAt event.Micros
	Fate       event.Fate
	Problems   []event.Problem
}

// Size returns the approximate size of the arrival in memory, in bytes.
func (a *Arrival) Size() int {
	return 128 + len(a.App) + len(a.ClientID) + event.ProblemsSize(a.Problems)
}

// Books are the accounts of all applications up to a position.
type Books struct {
	Position uint64
	Accounts []Account
}

// Account counts the arrivals of one application by their fates. Received and Lost are summed from
// the arrivals of batches, the others are counted from rows.
type Account struct {
	App                                                          string
	Received, Stored, Rejected, Duplicate, Erased, Expired, Lost int64
}

// Capabilities declare how a store differs from the contract. The zero value is the full contract.
type Capabilities struct {
	// Volatile: the store is empty and at position 0 each time it is opened.
	Volatile bool
}
