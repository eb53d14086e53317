package event

import (
	"crypto/sha256"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// The codes of problems. The list may grow: readers must expect codes that they do not know.
const (
	InvalidJSON         = "invalid_json"
	NotAnObject         = "not_an_object"
	MissingField        = "missing_field"
	InvalidField        = "invalid_field"
	InvalidUnicode      = "invalid_unicode"
	NULCharacter        = "nul_character"
	NumberOutOfRange    = "number_out_of_range"
	DuplicateKey        = "duplicate_key"
	DataTooDeep         = "data_too_deep"
	EventTooLarge       = "event_too_large"
	SchemaViolation     = "schema_violation"
	UnknownEventType    = "unknown_event_type"
	TimestampMissing    = "timestamp_missing"
	TimestampUnparsable = "timestamp_unparsable"
	TimestampInFuture   = "timestamp_in_future"
	TimestampOutOfRange = "timestamp_out_of_range"
	IDConflict          = "id_conflict"
	NotStorable         = "not_storable"
	RequestTooLarge     = "request_too_large"   // of a whole request
	UnsupportedContent  = "unsupported_content" // of a whole request
)

// Codes returns the codes that this version knows.
func Codes() []string {
	return []string{
		InvalidJSON, NotAnObject, MissingField, InvalidField, InvalidUnicode, NULCharacter, NumberOutOfRange, DuplicateKey, DataTooDeep,
		EventTooLarge, SchemaViolation, UnknownEventType, TimestampMissing, TimestampUnparsable, TimestampInFuture, TimestampOutOfRange,
		IDConflict, NotStorable, RequestTooLarge, UnsupportedContent,
	}
}

// Problem is one reason for a rejection.
type Problem struct {
	Code    string `json:"code" doc:"what kind of problem it is" example:"schema_violation"`
	Pointer string `json:"pointer" doc:"JSON Pointer to the place in the event; empty for the event itself" example:"/data/path"`
	Message string `json:"message" doc:"what is wrong and what is expected" example:"missing property 'path'"`
}

// Rejection is an arrival that was refused. It is kept with its reasons and its bytes.
type Rejection struct {
	ID       uuid.UUID // RejectionID of App, EventID and the whole body
	EventID  uuid.UUID
	ClientID string
	FormerID uuid.UUID // of the event; as in Event
	App      string

	// What could be read of the event; empty otherwise.
	SessionID string
	Category  string
	Name      string
	SentTime  Micros // 0 if the timestamp could not be read
	SentAt    Micros

	ReceivedAt    Micros
	OwnTime       Micros // what Own returns; 0 if that follows from the other times
	Position      Position
	CarriedBy     uint64
	SchemaVersion uint32 // the version that it was checked against; 0 if none
	Problems      []Problem
	Raw           []byte // as sent; any bytes
	Whole         Body   // the body of which Raw is the beginning; the zero value if Raw is complete

	// Became says what a replay made of the rejection; nil if no replay has succeeded yet. It is
	// set by readers and never written.
	Became *Became
}

// Became says what the first successful replay made of a rejection: an event with the id EventID
// that was stored, or was a duplicate, or has been erased or has expired since.
type Became struct {
	Fate  Fate
	Frame uint64 // that carried the replay
}

// Body describes a body that is not kept.
type Body struct {
	Bytes  int64 // more than are kept
	SHA256 [sha256.Size]byte
}

// BodyOf describes a body.
func BodyOf(raw []byte) Body { return Body{int64(len(raw)), sha256.Sum256(raw)} }

// Own returns the time that decides whether an erasure of the session covers the rejection; see
// Event.Own. It is 0 for a rejection of an earlier version without a readable timestamp: every
// erasure covers it.
func (r *Rejection) Own() Micros {
	if r.OwnTime != 0 {
		return r.OwnTime
	}
	return min(r.SentTime, r.ReceivedAt)
}

// SetOwn sets the time that Own returns.
func (r *Rejection) SetOwn(at Micros) {
	if r.OwnTime = 0; r.Own() != at {
		r.OwnTime = at
	}
}

// Truncated reports whether only the beginning of the body is kept.
func (r *Rejection) Truncated() bool { return r.Whole.Bytes > 0 }

// MaxSearched is the size up to which the body of a rejection can be searched by its payload, in
// bytes.
const MaxSearched = 256 << 10

// Size is the approximate memory of the rejection, in bytes.
func (r *Rejection) Size() int {
	return rowSize + len(r.App) + len(r.ClientID) + len(r.SessionID) + len(r.Category) + len(r.Name) + len(r.Raw) + ProblemsSize(r.Problems)
}

// ProblemsSize is the approximate memory of problems, in bytes.
func ProblemsSize(problems []Problem) (n int) {
	for i := range problems {
		n += len(problems[i].Code) + len(problems[i].Pointer) + len(problems[i].Message)
	}
	return n
}

// Conflict returns the rejection that an event becomes if its id is already stored with another
// body. The raw body is the event as JSON, with data as sent and without sent_at, so that a retry
// leads to the same rejection.
func Conflict(e *Event) *Rejection {
	raw := e.appendBody(nil)
	r := &Rejection{
		ID:            RejectionID(e.App, e.ID, raw),
		EventID:       e.ID,
		ClientID:      e.ClientID,
		App:           e.App,
		SessionID:     e.SessionID,
		Category:      e.Category,
		Name:          e.Name,
		SentTime:      e.SentTime,
		SentAt:        e.SentAt,
		ReceivedAt:    e.ReceivedAt,
		Position:      e.Position,
		CarriedBy:     e.CarriedBy,
		SchemaVersion: e.SchemaVersion,
		Problems:      []Problem{{Code: IDConflict, Pointer: "/id", Message: "this id is already stored with another body; the first write wins"}},
		Raw:           raw,
	}
	r.SetOwn(e.Own())
	return r
}

// Unstorable returns the rejection that an event or a rejection becomes if the store cannot store
// it as it is. Its strings are valid UTF-8. Its raw body is the event as JSON, or the body of the
// rejection.
func Unstorable(r Record, reason string) *Rejection {
	var x Rejection
	if r.Event != nil {
		x = *Conflict(r.Event)
		x.Problems = nil
	} else {
		x = *r.Rejection
	}
	for _, text := range []*string{&x.ClientID, &x.SessionID, &x.Category, &x.Name} {
		*text = strings.ToValidUTF8(strings.ReplaceAll(*text, "\x00", "\uFFFD"), "\uFFFD")
	}
	x.Problems = append(slices.Clone(x.Problems), Problem{NotStorable, "", "the store cannot hold the event: " + reason})
	for i := range x.Problems {
		for _, text := range []*string{&x.Problems[i].Pointer, &x.Problems[i].Message} {
			*text = strings.ToValidUTF8(*text, "\uFFFD")
		}
	}
	return &x
}

// Data returns the data member of the raw body, so that a rejection can be searched by its payload.
// It returns nil unless the body is a strict JSON object of at most MaxSearched bytes and the
// member is an object.
func (r *Rejection) Data() jsontext.Value {
	if r.Truncated() || len(r.Raw) > MaxSearched {
		return nil
	}
	var body struct {
		Data jsontext.Value `json:"data"`
	}
	if json.Unmarshal(r.Raw, &body) != nil || len(body.Data) == 0 || body.Data[0] != '{' {
		return nil
	}
	return body.Data
}
