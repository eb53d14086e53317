package query

import (
	"slices"
	"strings"
)

// The names of fields that where and values take.
const (
	App           = "app"
	ID            = "id"
	EventID       = "event_id"
	ClientID      = "client_id"
	SessionID     = "session_id"
	Category      = "category"
	Name          = "name"
	Timestamp     = "timestamp"
	OccurredAt    = "occurred_at"
	ReceivedAt    = "received_at"
	SentAt        = "sent_at"
	Seq           = "seq"
	Sender        = "sender"
	SchemaVersion = "schema_version"
	Data          = "data" // followed by a path
)

// fieldType says how the values of an own field are read and compared.
type fieldType byte

const (
	textField   fieldType = iota // as text, by its bytes
	idField                      // as a UUID
	timeField                    // as microseconds
	numberField                  // as an integer
)

func typeOf(name string) fieldType {
	switch name {
	case ID, EventID:
		return idField
	case OccurredAt, ReceivedAt, SentAt:
		return timeField
	case Seq, SchemaVersion:
		return numberField
	}
	return textField
}

// Type returns the type of an own field in lists of values: times are texts there.
func (f Field) Type() ValueType {
	if typeOf(f.Name) == numberField {
		return NumberType
	}
	return String
}

// ownFields returns the own fields of what a query of the kind filters.
func ownFields(kind Kind) []string {
	if kind == Rejections {
		return []string{App, ID, EventID, ClientID, SessionID, Category, Name, ReceivedAt, SentAt, SchemaVersion}
	}
	return []string{App, ID, ClientID, SessionID, Category, Name, Timestamp, OccurredAt, ReceivedAt, SentAt,
		Seq, Sender, SchemaVersion}
}

func isOwnField(kind Kind, name string) bool { return slices.Contains(ownFields(kind), name) }

// fieldList returns the fields of a kind for the text of an error.
func fieldList(kind Kind) string { return strings.Join(ownFields(kind), ", ") + " and data.<key>" }
