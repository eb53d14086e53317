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
// "tag:theeye,2026:event". It is part of the stored format. If it changed, an event that is sent
// again would be stored twice.
func namespace() uuid.UUID {
	return uuid.UUID{0x8b, 0x08, 0x3f, 0x4c, 0x77, 0x81, 0x58, 0x99, 0x9a, 0xfe, 0x94, 0x99, 0xbf, 0xf5, 0x08, 0xe6}
}

// NewID returns a new UUIDv7 for an event that arrived without an id. It is safe for concurrent
// use, and panics only if the system provides no randomness.
func NewID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// ParseID returns the id for the text that a client sent. A UUID in its 36-character form, in upper
// or lower case, is the id itself, and clientID is empty. Any other text is mapped to a UUIDv5 of
// application and text, and is itself the clientID.
func ParseID(app, text string) (id uuid.UUID, clientID string) {
	if id, ok := ParseUUID(text); ok {
		return id, ""
	}
	return DeriveID(app, text), text
}

// ParseOriginID is ParseID for keys with origins. Such keys are public, so strings that are not
// UUIDs have a namespace of their own: a page cannot take the id of an event that a server sends.
func ParseOriginID(app, text string) (id uuid.UUID, clientID string) {
	if id, ok := ParseUUID(text); ok {
		return id, ""
	}
	return DeriveID(app, originNamespace, text), text
}

// IdempotentID returns the id of an event without one in a request with an idempotency key, by the
// index of the event in the request. For keys with origins, use OriginIdempotentID.
func IdempotentID(app, key string, index int) uuid.UUID {
	return DeriveID(app, idempotencyNamespace, key, strconv.Itoa(index))
}

// OriginIdempotentID is IdempotentID for keys with origins.
func OriginIdempotentID(app, key string, index int) uuid.UUID {
	return DeriveID(app, originNamespace, idempotencyNamespace, key, strconv.Itoa(index))
}

// FormerID returns the id that earlier versions gave to a client's id, when keys with origins had
// no namespace of their own. It is the zero UUID if that is the same id.
func FormerID(app string, id uuid.UUID, clientID string) uuid.UUID {
	if clientID == "" || id != DeriveID(app, originNamespace, clientID) {
		return uuid.UUID{}
	}
	return DeriveID(app, clientID)
}

// The first parts of names that consist of more than a client's id. Like the namespace, they are
// part of the stored format.
const (
	originNamespace      = "origin"
	idempotencyNamespace = "idempotency key"
)

// ParseUUID parses only the 36-character form. It does not accept braces, urn: and plain hex,
// unlike uuid.Parse.
func ParseUUID(text string) (uuid.UUID, bool) {
	if len(text) != 36 {
		return uuid.UUID{}, false
	}
	id, err := uuid.Parse(text)
	return id, err == nil
}

// DeriveID returns the UUIDv5 of an application and the parts of a name. Equal arguments yield
// equal ids in every version, and different lists of parts are never encoded alike.
func DeriveID(app string, parts ...string) uuid.UUID {
	var b strings.Builder
	for _, part := range append([]string{app}, parts...) {
		b.WriteString(part)
		b.WriteByte(0) // no part except the last may contain NUL
	}
	return uuid.NewSHA1(namespace(), []byte(b.String()))
}

// RejectionID derives the id of a rejection from what was rejected, so that the same event,
// rejected again, is the same rejection.
func RejectionID(app string, eventID uuid.UUID, raw []byte) uuid.UUID {
	return DeriveID(app, "rejection", eventID.String(), string(raw))
}
