package event

import (
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// MaxTextCodePoints bounds session_id, category, name and a client's id.
const MaxTextCodePoints = 200

// MaxSenderCodePoints bounds sender.
const MaxSenderCodePoints = 64

// namespace is the root of all ids that The Eye derives: the UUIDv5 of the URL
// "tag:theeye,2026:event". It is part of the stored format: changing it would
// break the safety of sending again.
func namespace() uuid.UUID {
	return uuid.UUID{0x8b, 0x08, 0x3f, 0x4c, 0x77, 0x81, 0x58, 0x99, 0x9a, 0xfe, 0x94, 0x99, 0xbf, 0xf5, 0x08, 0xe6}
}

// NewID returns a new UUIDv7 for an event that came without an id. It may be
// called concurrently and panics only when the system has no randomness.
func NewID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// ParseID returns the id for the text that a client sent. The 36-character form
// of a UUID is taken as it is, in either case, and clientID is empty; any other
// text is mapped to a UUIDv5 of application and text, and is itself the clientID.
func ParseID(app, text string) (id uuid.UUID, clientID string) {
	if id, ok := ParseUUID(text); ok {
		return id, ""
	}
	return DeriveID(app, text), text
}

// ParseOriginID is ParseID for keys with origins. Those are public, so texts that are not
// UUIDs have a namespace of their own: a page cannot take the id of what a server sends.
func ParseOriginID(app, text string) (id uuid.UUID, clientID string) {
	if id, ok := ParseUUID(text); ok {
		return id, ""
	}
	return DeriveID(app, originNamespace, text), text
}

// IdempotentID returns the id of the event with an index in a request that has an
// idempotency key and gives it none; OriginIdempotentID is that for keys with origins.
func IdempotentID(app, key string, index int) uuid.UUID {
	return DeriveID(app, idempotencyNamespace, key, strconv.Itoa(index))
}

// OriginIdempotentID is described with IdempotentID.
func OriginIdempotentID(app, key string, index int) uuid.UUID {
	return DeriveID(app, originNamespace, idempotencyNamespace, key, strconv.Itoa(index))
}

// FormerID returns the id that versions before keys with origins had a namespace of their
// own gave to a client's id. It is the zero UUID when that is the same.
func FormerID(app string, id uuid.UUID, clientID string) uuid.UUID {
	if clientID == "" || id != DeriveID(app, originNamespace, clientID) {
		return uuid.UUID{}
	}
	return DeriveID(app, clientID)
}

// The first parts of names that are not a client's id alone. They are part of the stored
// format, as the namespace is.
const (
	originNamespace      = "origin"
	idempotencyNamespace = "idempotency key"
)

// ParseUUID reads the 36-character form alone; braces, urn: and bare hex, which
// uuid.Parse takes too, are no UUIDs here.
func ParseUUID(text string) (uuid.UUID, bool) {
	if len(text) != 36 {
		return uuid.UUID{}, false
	}
	id, err := uuid.Parse(text)
	return id, err == nil
}

// DeriveID returns the UUIDv5 of an application and the parts of a name. Equal
// arguments give equal ids for ever, and no two different lists of parts meet.
func DeriveID(app string, parts ...string) uuid.UUID {
	var b strings.Builder
	for _, part := range append([]string{app}, parts...) {
		b.WriteString(part)
		b.WriteByte(0) // no part that is used here may hold NUL, but for the last
	}
	return uuid.NewSHA1(namespace(), []byte(b.String()))
}

// RejectionID identifies a refusal by what was refused, so that the same event
// refused again is the same rejection (R3).
func RejectionID(app string, eventID uuid.UUID, raw []byte) uuid.UUID {
	return DeriveID(app, "rejection", eventID.String(), string(raw))
}
