package event

import (
	"crypto/sha256"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// The codes of R4. The list is open: readers must expect codes they do not know.
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

// Problem is one reason for which an event was refused.
type Problem struct {
	Code    string `json:"code" doc:"what kind of problem it is" example:"schema_violation"`
	Pointer string `json:"pointer" doc:"JSON Pointer to the place in the event; empty for the event itself" example:"/data/path"`
	Message string `json:"message" doc:"what is wrong and what is expected" example:"missing property 'path'"`
}

// Rejection is an arrival that was refused. It is kept with its reasons and its
// bytes (R3).
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
	SentTime  Micros // 0 when the timestamp could not be read
	SentAt    Micros

	ReceivedAt    Micros
	OwnTime       Micros // what Own returns; 0 when that follows from the other times
	Position      Position
	CarriedBy     uint64
	SchemaVersion uint32 // the version that judged it; 0 when none did
	Problems      []Problem
	Raw           []byte // as sent; any bytes
	Whole         Body   // of which Raw is the beginning; the zero value when Raw is all of it

	// Became is set when it is read: what a replay made of it, nil when none came
	// through yet. It is not part of what is written.
	Became *Became
}

// Became tells what the first replay that came through made of a rejection: an
// event with the id EventID that was stored, or was a duplicate of one, or has
// been erased or expired since.
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

// Own returns the time by which an erasure of its session covers the rejection; see Event.Own. It
// is 0 for what versions before kept without a timestamp that could be read: every erasure covers
// it.
func (r *Rejection) Own() Micros {
	if r.OwnTime != 0 {
		return r.OwnTime
	}
	return min(r.SentTime, r.ReceivedAt)
}

// SetOwn keeps what Own is to return.
func (r *Rejection) SetOwn(at Micros) {
	if r.OwnTime = 0; r.Own() != at {
		r.OwnTime = at
	}
}

// Truncated reports whether only the beginning of the body is kept.
func (r *Rejection) Truncated() bool { return r.Whole.Bytes > 0 }

// MaxSearched bounds the bodies of rejections that are searched by their payload, in
// bytes.
const MaxSearched = 256 << 10

// Size is what the rejection takes in memory, in bytes, about.
func (r *Rejection) Size() int {
	return rowSize + len(r.App) + len(r.ClientID) + len(r.SessionID) + len(r.Category) + len(r.Name) + len(r.Raw) + ProblemsSize(r.Problems)
}

// ProblemsSize is what problems take in memory, in bytes, about.
func ProblemsSize(problems []Problem) (n int) {
	for i := range problems {
		n += len(problems[i].Code) + len(problems[i].Pointer) + len(problems[i].Message)
	}
	return n
}

// Conflict returns the rejection that an event becomes when its id is already
// stored with another body (R2). Its raw body is the event as JSON, with data
// as sent and without sent_at, so that a retry leads to the same rejection.
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

// Unstorable returns the rejection that an event or a rejection becomes when the store does not
// take it as it is. Its texts are valid UTF-8, and its raw body is the event as JSON, or that of
// the rejection.
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

// Data returns the data member of the raw body when the body is one strict JSON
// object of at most MaxSearched bytes and the member an object, so that a rejection
// can be searched by its payload. Else it returns nil.
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
