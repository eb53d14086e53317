// Package event defines the record of The Eye: the event, the rejection, their ids, times and total
// order, and the binary format in which they travel from the intake to the store.
//
// It does not read requests or validate payloads, and does not know where records are stored.
package event

import (
	"cmp"
	"math"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// NoSeq stands for an absent sequence number. It is larger than every accepted number, so that
// absent numbers sort last.
const NoSeq int64 = math.MaxInt64

// MaxSeq is the largest accepted sequence number: 2^53 − 1, the largest integer that every JSON
// implementation keeps exactly.
const MaxSeq int64 = 1<<53 - 1

// Event is one accepted event.
//
// Strings and Data may share memory with the frame from which they were read: copy a part that is
// kept for long.
type Event struct {
	App      string
	ID       uuid.UUID
	ClientID string // the id as sent, if it was not a UUID; otherwise empty
	// FormerID is the id that an earlier version gave to the event, if that differs and may be
	// stored; otherwise zero. It is kept only in frames, until the event's fate is decided.
	FormerID  uuid.UUID
	SessionID string
	Category  string
	Name      string
	Data      jsontext.Value // a JSON object, kept as sent

	Timestamp string // as sent: a time, or the literal of a JSON number
	SentTime  Micros // Timestamp as written: uncorrected, in UTC if it has no zone
	SentAt    Micros // the sender's clock when it was sent; 0 if absent
	Seq       int64  // the sender's own counter; NoSeq if absent
	Sender    string

	OccurredAt Micros
	ReceivedAt Micros
	OwnTime    Micros // what Own returns; 0 if that follows from the other times
	Position   Position
	CarriedBy  uint64 // the frame that stored it: Position.Frame, except for replays

	SchemaVersion uint32 // the version that it passed; 0 if its type has no schema
}

// Own returns the time that decides whether an erasure of the session covers the event: the
// earliest of its timestamp (uncorrected, in the zone of its application), OccurredAt and
// ReceivedAt.
func (e *Event) Own() Micros {
	if e.OwnTime != 0 {
		return e.OwnTime
	}
	return min(e.SentTime, e.OccurredAt, e.ReceivedAt)
}

// SetOwn sets the time that Own returns.
func (e *Event) SetOwn(at Micros) {
	if e.OwnTime = 0; e.Own() != at {
		e.OwnTime = at
	}
}

// IsReplay reports whether the event was carried by a later frame than that of its first arrival.
func (e *Event) IsReplay() bool { return e.CarriedBy != e.Position.Frame }

// Size is the approximate memory of the event, in bytes.
func (e *Event) Size() int {
	return rowSize + len(e.App) + len(e.ClientID) + len(e.SessionID) + len(e.Category) + len(e.Name) + len(e.Data) + len(e.Timestamp) + len(e.Sender)
}

// rowSize is the approximate memory of a record without its strings, in bytes.
const rowSize = 256

// Position is the place of a first arrival in the total order of receipt.
type Position struct {
	Frame uint64
	Index uint32
}

// Compare orders positions by frame, then by index.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Frame, q.Frame), cmp.Compare(p.Index, q.Index))
}

// Key determines the place of an event in the total order of P4.
type Key struct {
	OccurredAt Micros
	Seq        int64
	Position   Position
}

// Key returns the event's place in the total order.
func (e *Event) Key() Key { return Key{e.OccurredAt, e.Seq, e.Position} }

// Compare orders keys by occurred_at, seq with absent last, frame and index. Distinct arrivals
// never compare equal.
func (k Key) Compare(o Key) int {
	return cmp.Or(
		cmp.Compare(k.OccurredAt, o.OccurredAt),
		cmp.Compare(k.Seq, o.Seq),
		k.Position.Compare(o.Position),
	)
}

// TimestampIsNumber reports whether the timestamp was sent as a JSON number. The text of a time
// always contains a colon; a number never does.
func (e *Event) TimestampIsNumber() bool { return !strings.Contains(e.Timestamp, ":") }

// Fate says what became of one arrival (P2).
type Fate uint8

// The fates of an arrival. Pending is reported for arrivals that are acknowledged but not yet
// decided; no store returns it.
const (
	Pending Fate = iota
	Stored
	Rejected
	Duplicate
	Erased
	Expired
)

// String returns the name of the fate in the API.
func (f Fate) String() string {
	switch f {
	case Pending:
		return "pending"
	case Stored:
		return "stored"
	case Rejected:
		return "rejected"
	case Duplicate:
		return "duplicate"
	case Erased:
		return "erased"
	case Expired:
		return "expired"
	}
	return "unknown"
}

// Outcome is the store's decision about one record.
type Outcome struct {
	Fate Fate
	// Problems are set if the sender is answered "rejected": for the fate Rejected, and for the
	// Duplicate of an earlier rejection.
	Problems []Problem
}
