package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/jsonx"
)

// SyntaxError reports where a body stops being valid JSON.
type SyntaxError struct {
	Line, Column int // from 1; columns are code points
	Reason       string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("not JSON at line %d, column %d: %s", e.Line, e.Column, e.Reason)
}

// ShapeError reports that a body is JSON, but neither an event nor a batch.
type ShapeError struct{ Reason string }

func (e *ShapeError) Error() string { return e.Reason }

// CountError reports that a request has too many events.
type CountError struct{ Limit int }

func (e *CountError) Error() string {
	return fmt.Sprintf("more than %d events in one request: send smaller batches", e.Limit)
}

// batch is a body that was split into its events.
type batch struct {
	events [][]byte // JSON values that are well-formed, unless in broken; not checked further
	broken map[int]*SyntaxError
	sentAt []byte // of the envelope; nil if it has none
	single bool   // the body was one event, not a batch
}

// split divides a JSON body into its events: an event, an array of events, or an envelope
// {"events":[…],"sent_at":…}. The events share the memory of body.
func split(body []byte, limit int) (batch, error) {
	flat := flatten(body)
	d := jsonx.Lenient(flat)
	c, err := splitValue(d, body, flat, limit)
	if err == nil {
		// Nothing but white space may follow.
		if _, err = d.ReadToken(); err == nil {
			err = &ShapeError{"the body has more than one JSON value: send an array, or one event per line as application/x-ndjson"}
		} else if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	switch {
	case err != nil && len(bytes.TrimSpace(body)) == 0:
		return batch{}, &ShapeError{`the body is empty: send an event, an array of events, or {"events":[…]}`}
	case err != nil:
		return batch{}, locate(body, err)
	}
	return c, nil
}

// flatDepth bounds the nesting of arrays and objects that the decoder reads. At 10,000 levels it
// would give up and refuse the whole batch.
const flatDepth = 1000

// flatten returns body itself, or, if it is nested deeper than flatDepth, a copy of the same length
// in which each deeper value is replaced by a number and spaces. So excessive nesting affects only
// one event. The event itself is taken from body, and rejected for its depth.
func flatten(body []byte) []byte {
	var flat []byte
	depth := 0
	for i := 0; i < len(body); i++ {
		c := body[i]
		at := i
		switch c {
		case '"':
			for i++; i < len(body) && body[i] != '"'; i++ {
				if body[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
		}
		if depth > flatDepth {
			if flat == nil {
				flat = bytes.Clone(body)
			}
			for j := at; j <= i && j < len(flat); j++ {
				flat[j] = ' '
			}
			if depth == flatDepth+1 && (c == '{' || c == '[') {
				flat[at] = '0'
			}
		}
		if c == '}' || c == ']' {
			depth--
		}
	}
	if flat == nil {
		return body
	}
	return flat
}

func splitValue(d *jsontext.Decoder, body, flat []byte, limit int) (batch, error) {
	switch d.PeekKind() {
	case '[':
		events, err := splitArray(d, body, limit)
		return batch{events: events}, err
	case '{':
		if hasEvents(flat) {
			return splitEnvelope(d, body, limit)
		}
	}
	v, err := d.ReadValue()
	if err != nil {
		return batch{}, err
	}
	end := d.InputOffset()
	return batch{events: [][]byte{body[end-int64(len(v)) : end]}, single: true}, nil
}

func splitArray(d *jsontext.Decoder, body []byte, limit int) ([][]byte, error) {
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	var events [][]byte
	for d.PeekKind() != ']' {
		v, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		if len(events) == limit {
			return nil, &CountError{limit}
		}
		end := d.InputOffset()
		events = append(events, body[end-int64(len(v)):end])
	}
	_, err := d.ReadToken()
	return events, err
}

// hasEvents reports whether the top-level object has a member "events", even if its syntax is
// invalid after that.
func hasEvents(body []byte) bool {
	return bytes.Contains(body, []byte(`"events"`)) && jsonx.HasMember(body, "events") // Contains is fast and usually enough
}

func splitEnvelope(d *jsontext.Decoder, body []byte, limit int) (batch, error) {
	var c batch
	if _, err := d.ReadToken(); err != nil {
		return c, err
	}
	seen := map[string]bool{}
	for d.PeekKind() != '}' {
		token, err := d.ReadToken()
		if err != nil {
			return c, err
		}
		name := token.String()
		if seen[name] {
			return c, &ShapeError{jsonx.DuplicateKey(name)}
		}
		seen[name] = true
		switch name {
		case "events":
			if d.PeekKind() != '[' {
				if _, err := d.ReadValue(); err != nil {
					return c, err
				}
				return c, &ShapeError{`"events" must be an array`}
			}
			if c.events, err = splitArray(d, body, limit); err != nil {
				return c, err
			}
		case "sent_at":
			v, err := d.ReadValue()
			if err != nil {
				return c, err
			}
			c.sentAt = bytes.Clone(v)
		default:
			if err := d.SkipValue(); err != nil {
				return c, err
			}
			return c, &ShapeError{fmt.Sprintf(`unknown member %q; a batch has "events" and "sent_at"`, name)}
		}
	}
	_, err := d.ReadToken()
	return c, err
}

// splitLines divides NDJSON into its events. It skips empty lines. A line that is not one JSON
// value is in broken, by its index among the events.
func splitLines(body []byte, limit int) (batch, error) {
	c := batch{broken: map[int]*SyntaxError{}}
	for number := 1; len(body) > 0; number++ {
		line, rest, _ := bytes.Cut(body, []byte("\n"))
		body = rest
		line = bytes.Trim(line, " \t\r")
		if len(line) == 0 {
			continue
		}
		if len(c.events) == limit {
			return batch{}, &CountError{limit}
		}
		if err := oneValue(line); err != nil {
			err.Line = number
			c.broken[len(c.events)] = err
		}
		c.events = append(c.events, line)
	}
	return c, nil
}

func oneValue(line []byte) *SyntaxError {
	d := jsonx.Lenient(flatten(line))
	_, err := d.ReadValue()
	if err == nil {
		if _, err = d.ReadToken(); errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			return &SyntaxError{Column: jsonx.PlaceAt(line, int(d.InputOffset())).Column, Reason: "the line has more than one JSON value"}
		}
	}
	if syntax, ok := errors.AsType[*SyntaxError](locate(line, err)); ok {
		return syntax
	}
	return &SyntaxError{Column: 1, Reason: err.Error()}
}

// locate converts an error of the decoder to one that says where the fault is.
func locate(body []byte, err error) error {
	at, reason, ok := jsonx.SyntaxPlace(body, err)
	if !ok {
		return err
	}
	return &SyntaxError{Line: at.Line, Column: at.Column, Reason: reason}
}
