// Package event holds the record of The Eye: the event, the rejection, their
// identities, times and total order, and the binary form in which they travel
// from intake to store.
//
// It does not read requests, validate payloads or know where records are kept.
package event

import (
	"cmp"
	"math"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// NoSeq stands for an absent sequence number. It is larger than every number
// that is accepted, so that absent sorts last (R1).
const NoSeq int64 = math.MaxInt64

// MaxSeq is the largest sequence number that is accepted: 2^53 − 1, the largest
// integer that every JSON implementation keeps exactly.
const MaxSeq int64 = 1<<53 - 1

// Event is one accepted event.
//
// Strings and Data may share memory with the frame they were read from: keep a
// copy when only a part is kept for long.
type Event struct {
	App      string
	ID       uuid.UUID
	ClientID string // the id as sent, when it was not a UUID; else empty
	// FormerID is what a version before gave it as id, when that may be stored and differs;
	// else zero. It is kept in frames alone, until the event's fate is decided.
	FormerID  uuid.UUID
	SessionID string
	Category  string
	Name      string
	Data      jsontext.Value // a JSON object, kept as sent

	Timestamp string // as sent: a time, or the literal of a JSON number
	SentTime  Micros // Timestamp as written: zone-less read as UTC, uncorrected
	SentAt    Micros // the sender's clock at sending; 0 when absent
	Seq       int64  // the sender's own counter; NoSeq when absent
	Sender    string

	OccurredAt Micros
	ReceivedAt Micros
	OwnTime    Micros // what Own returns; 0 when that follows from the other times
	Position   Position
	CarriedBy  uint64 // the frame that stored it: Position.Frame, but for replays

	SchemaVersion uint32 // the version that it passed; 0 when its type has no schema
}

// Own returns the time by which an erasure of its session covers the event: the least of its
// timestamp, read in the zone of its application and not corrected, OccurredAt and ReceivedAt.
func (e *Event) Own() Micros {
	if e.OwnTime != 0 {
		return e.OwnTime
	}
	return min(e.SentTime, e.OccurredAt, e.ReceivedAt)
}

// SetOwn keeps what Own is to return.
func (e *Event) SetOwn(at Micros) {
	if e.OwnTime = 0; e.Own() != at {
		e.OwnTime = at
	}
}

// IsReplay reports whether a later frame than that of its first arrival carried
// the event.
func (e *Event) IsReplay() bool { return e.CarriedBy != e.Position.Frame }

// Size is what the event takes in memory, in bytes, about.
func (e *Event) Size() int {
	return rowSize + len(e.App) + len(e.ClientID) + len(e.SessionID) + len(e.Category) + len(e.Name) + len(e.Data) + len(e.Timestamp) + len(e.Sender)
}

// rowSize is what a record takes besides its texts, in bytes, about.
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

// Key is what the total order R1 looks at.
type Key struct {
	OccurredAt Micros
	Seq        int64
	Position   Position
}

// Key returns the event's place in the total order.
func (e *Event) Key() Key { return Key{e.OccurredAt, e.Seq, e.Position} }

// Compare orders keys by R1: occurred_at, seq with absent last, frame, index.
// Distinct arrivals never compare equal.
func (k Key) Compare(o Key) int {
	return cmp.Or(
		cmp.Compare(k.OccurredAt, o.OccurredAt),
		cmp.Compare(k.Seq, o.Seq),
		k.Position.Compare(o.Position),
	)
}

// TimestampIsNumber reports whether the timestamp was sent as a JSON number.
// A time always holds a colon and a number never does.
func (e *Event) TimestampIsNumber() bool { return !strings.Contains(e.Timestamp, ":") }

// Fate is what became of one arrival (P2).
type Fate uint8

// The fates of an arrival. Pending is told of what is acknowledged and not yet
// decided; no store ever returns it.
const (
	Pending Fate = iota
	Stored
	Rejected
	Duplicate
	Erased
	Expired
)

// String returns the fate as the interface spells it.
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
	// Problems are set when the answer to the sender is "rejected": for the
	// fate Rejected, and for the Duplicate of something that was rejected before.
	Problems []Problem
}
