package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/jsonx"
)

// knownFields are the members that an event may have.
func knownFields() []string {
	return []string{"id", "session_id", "category", "name", "data", "timestamp", "sent_at", "seq", "sender"}
}

// rawEvent is one event as it was sent, with the problems found in it so far.
type rawEvent struct {
	id        string // as sent; empty if there is none
	sessionID string
	category  string
	name      string
	data      jsontext.Value // nil unless it is an object
	timestamp string         // the text, or the literal of a number
	isNumber  bool           // the timestamp is a number
	sentTime  event.Micros
	sentAt    event.Micros
	seq       int64
	sender    string

	occurredAt  event.Micros // uncorrected
	correctedAt event.Micros // corrected by the offset of the sender's clock; only for rejections
	hasTime     bool         // occurredAt and sentTime could be parsed
	checkable   bool         // data complies with the limits that a schema's validator needs
	problems    []event.Problem
	uncounted   int // unknown members beyond MaxProblems, which are only counted
}

func (e *rawEvent) problem(code, pointer, message string) {
	e.problems = append(e.problems, event.Problem{Code: code, Pointer: pointer, Message: message})
}

func (e *rawEvent) tooDeep() bool {
	return slices.ContainsFunc(e.problems, func(p event.Problem) bool { return p.Code == event.DataTooDeep })
}

// decoderPool reuses decoders, to save an allocation per event.
type decoderPool struct{ pool sync.Pool }

type decoder struct {
	strict *jsontext.Decoder
	buffer bytes.Buffer
}

func (p *decoderPool) get(raw []byte) *decoder {
	d, _ := p.pool.Get().(*decoder)
	if d == nil {
		d = &decoder{strict: jsontext.NewDecoder(bytes.NewReader(nil))}
	}
	d.buffer = *bytes.NewBuffer(raw)
	d.strict.Reset(&d.buffer)
	return d
}

func (p *decoderPool) put(d *decoder) {
	d.buffer = bytes.Buffer{}
	p.pool.Put(d)
}

// read parses one well-formed JSON value as an event. zone applies to a timestamp without one.
func (p *decoderPool) read(raw []byte, zone *time.Location) rawEvent {
	e := rawEvent{seq: event.NoSeq, checkable: true}
	if raw[0] != '{' {
		e.problem(event.NotAnObject, "", "an event must be a JSON object, not "+kindName(raw))
		return e
	}
	if !withinLimits(raw) {
		e.checkable = false
		e.problems = violations(raw)
	}
	d := p.get(raw)
	defer p.put(d)
	if err := e.members(d.strict, zone); err != nil {
		// The members read so far remain as labels of the rejection. The session is looked for in
		// the rest, too, because an erasure finds the rejection only by its session.
		e.checkable = false
		if e.sessionID == "" {
			e.sessionID = labelsIn(raw).sessionID
		}
		if !e.tooDeep() { // that makes a strict decoder fail, too
			e.problems = append(e.problems, strictProblem(err))
		}
		return e
	}
	e.required()
	return e
}

// members parses the members of the object. The error is that of the strict decoder.
func (e *rawEvent) members(d *jsontext.Decoder, zone *time.Location) error {
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadValue()
		if err != nil {
			return err
		}
		field := unquote(name)
		value, err := d.ReadValue()
		if err != nil {
			return err
		}
		e.member(field, value, zone)
	}
	_, err := d.ReadToken()
	return err
}

func (e *rawEvent) member(field string, value jsontext.Value, zone *time.Location) {
	if value.Kind() == 'n' {
		switch field {
		case "id", "session_id", "category", "name", "sender", "timestamp", "sent_at", "seq":
			return // null means absent
		}
	}
	switch field {
	case "id":
		e.id = e.text(field, value, event.MaxTextCodePoints)
	case "session_id":
		e.sessionID = e.text(field, value, event.MaxTextCodePoints)
	case "category":
		e.category = e.text(field, value, event.MaxTextCodePoints)
	case "name":
		e.name = e.text(field, value, event.MaxTextCodePoints)
	case "sender":
		e.sender = e.text(field, value, event.MaxSenderCodePoints)
	case "data":
		if value.Kind() != '{' {
			e.problem(event.InvalidField, "/data", "data must be a JSON object, not "+kindName(value))
			return
		}
		e.data = value
	case "timestamp":
		e.readTimestamp(value, zone)
	case "sent_at":
		if at, message := readTime(value, zone); message != "" {
			e.problem(event.InvalidField, "/sent_at", message)
		} else {
			e.sentAt = at
		}
	case "seq":
		n, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil || n < 0 || n > event.MaxSeq {
			e.problem(event.InvalidField, "/seq", "seq must be a whole number from 0 to 2^53 − 1, written without fraction or exponent")
			return
		}
		e.seq = n
	default:
		e.unknown(field)
	}
}

func (e *rawEvent) unknown(field string) {
	if len(e.problems) >= MaxProblems {
		e.uncounted++
		return
	}
	message := "unknown field; an event has " + strings.Join(knownFields(), ", ")
	if near := event.Nearest(field, knownFields()); near != "" {
		message = fmt.Sprintf("unknown field; did you mean %q?", near)
	}
	e.problem(event.InvalidField, "/"+jsonx.EscapePointer(field), message)
}

// text parses a string of 1 to limit code points.
func (e *rawEvent) text(field string, value jsontext.Value, limit int) string {
	if value.Kind() != '"' {
		e.problem(event.InvalidField, "/"+field, field+" must be a string, not "+kindName(value))
		return ""
	}
	s := unquote(value)
	switch n := utf8.RuneCountInString(s); {
	case n == 0:
		e.problem(event.InvalidField, "/"+field, field+" must not be empty")
		return ""
	case n > limit:
		e.problem(event.InvalidField, "/"+field, fmt.Sprintf("%s has %d characters; at most %d are allowed", field, n, limit))
		return ""
	}
	return s
}

func (e *rawEvent) readTimestamp(value jsontext.Value, zone *time.Location) {
	var err error
	switch value.Kind() {
	case '"':
		e.timestamp = unquote(value)
		if e.occurredAt, err = event.ParseTime(e.timestamp, zone); err == nil {
			// UTC is used here, so that a retry has the same value after a change of the zone.
			e.sentTime, err = event.ParseSentTime(e.timestamp)
		}
	case '0':
		e.timestamp, e.isNumber = string(value), true
		if numberFault(e.timestamp) != "" {
			return // violations reports it
		}
		e.occurredAt, err = event.ParseEpoch(e.timestamp)
		e.sentTime = e.occurredAt
	default:
		e.problem(event.TimestampUnparsable, "/timestamp", "timestamp must be a string or a number, not "+kindName(value))
		return
	}
	switch {
	case err == nil:
		e.hasTime = true
	case errors.Is(err, event.ErrOutOfRange):
		e.problem(event.TimestampOutOfRange, "/timestamp", fmt.Sprintf("%.40q is %s", e.timestamp, err))
	default:
		e.problem(event.TimestampUnparsable, "/timestamp", fmt.Sprintf("%.40q is %s", e.timestamp, err))
	}
}

// readTime parses a time other than the timestamp: a text, in zone if it names none, or a number.
func readTime(value jsontext.Value, zone *time.Location) (event.Micros, string) {
	text := string(value)
	var at event.Micros
	err := event.ErrUnparsable
	switch value.Kind() {
	case '"':
		text = unquote(value)
		at, err = event.ParseTime(text, zone)
	case '0':
		if numberFault(text) == "" {
			at, err = event.ParseEpoch(text)
		}
	default:
		return 0, "sent_at must be a string or a number, not " + kindName(value)
	}
	if err != nil {
		return 0, fmt.Sprintf("%.40q is %s", text, err)
	}
	return at, ""
}

// required reports which fields are absent. Fields that were present but invalid have already been
// reported.
func (e *rawEvent) required() {
	reported := func(pointer string) bool {
		for _, p := range e.problems {
			if p.Pointer == pointer || strings.HasPrefix(p.Pointer, pointer+"/") {
				return true
			}
		}
		return false
	}
	missing := func(field string, absent bool) {
		if absent && !reported("/"+field) {
			e.problem(event.MissingField, "/"+field, "missing field '"+field+"'")
		}
	}
	missing("session_id", e.sessionID == "")
	missing("category", e.category == "")
	missing("name", e.name == "")
	missing("data", e.data == nil)
	if e.timestamp == "" && !reported("/timestamp") {
		e.problem(event.TimestampMissing, "/timestamp", "missing field 'timestamp'")
	}
}

// identity holds the ids of an event: its own; the one from the sender, if that is not a UUID; and
// the one that an earlier version would have given it, zero if that is the same or cannot be in
// this store.
type identity struct {
	id, former uuid.UUID
	clientID   string
}

func (r *request) identify(e *rawEvent, index int) (n identity) {
	switch {
	case e.id != "" && r.Public:
		n.id, n.clientID = event.ParseOriginID(r.App, e.id)
		n.former, _ = event.ParseID(r.App, e.id)
	case e.id != "":
		n.id, n.clientID = event.ParseID(r.App, e.id)
	case r.IdempotencyKey != "" && r.Public:
		n.id = event.OriginIdempotentID(r.App, r.IdempotencyKey, index)
		n.former = event.IdempotentID(r.App, r.IdempotencyKey, index)
	case r.IdempotencyKey != "":
		n.id = event.IdempotentID(r.App, r.IdempotencyKey, index)
	default:
		n.id = event.NewID()
	}
	if !r.lookUpFormerIDs || n.former == n.id {
		n.former = uuid.UUID{}
	}
	return n
}

// unquote returns the text of a JSON string.
func unquote(value jsontext.Value) string {
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1])
	}
	text, _ := jsontext.AppendUnquote(nil, value) // strictly read before
	return string(text)
}

func kindName(value []byte) string {
	switch value[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}
