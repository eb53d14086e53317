package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/event"
)

// SyntaxError tells where a body stops being JSON.
type SyntaxError struct {
	Line, Column int // from 1; columns are code points
	Reason       string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("not JSON at line %d, column %d: %s", e.Line, e.Column, e.Reason)
}

// ShapeError tells that a body is JSON and yet neither an event nor a batch.
type ShapeError struct{ Reason string }

func (e *ShapeError) Error() string { return e.Reason }

// CountError tells that a request has too many events.
type CountError struct{ Limit int }

func (e *CountError) Error() string {
	return fmt.Sprintf("more than %d events in one request: send smaller batches", e.Limit)
}

// cutting is what became of a body.
type cutting struct {
	elements [][]byte // JSON values, each by itself well-formed; not checked further
	broken   map[int]*SyntaxError
	sentAt   []byte // of the envelope; nil when it has none
	single   bool   // the body was one event and no batch
}

// lax accepts what strict reading refuses later, so that one bad element costs
// one event and not the batch (R6).
func lax(body []byte) *jsontext.Decoder {
	return jsontext.NewDecoder(bytes.NewBuffer(body),
		jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// cut takes a JSON body apart: an event, an array of events, or an envelope
// {"events":[…],"sent_at":…}. The elements share the memory of body.
func cut(body []byte, limit int) (cutting, error) {
	flat := flatten(body)
	d := lax(flat)
	c, err := cutValue(d, body, flat, limit)
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
		return cutting{}, &ShapeError{`the body is empty: send an event, an array of events, or {"events":[…]}`}
	case err != nil:
		return cutting{}, locate(body, err)
	}
	return c, nil
}

// flatDepth is how deep arrays and objects may stand in each other for the
// decoder to read them; it gives up at 10,000 and would refuse the whole batch.
const flatDepth = 1000

// flatten returns body itself, or when it is deeper than flatDepth a copy of
// the same length in which what is deeper is replaced by a number and spaces.
// So one element that is too deep costs one event. The element itself is taken
// from the body, and refused for its depth.
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

func cutValue(d *jsontext.Decoder, body, flat []byte, limit int) (cutting, error) {
	switch d.PeekKind() {
	case '[':
		elements, err := cutArray(d, body, limit)
		return cutting{elements: elements}, err
	case '{':
		if hasEvents(flat) {
			return cutEnvelope(d, body, limit)
		}
	}
	v, err := d.ReadValue()
	if err != nil {
		return cutting{}, err
	}
	end := d.InputOffset()
	return cutting{elements: [][]byte{body[end-int64(len(v)) : end]}, single: true}, nil
}

func cutArray(d *jsontext.Decoder, body []byte, limit int) ([][]byte, error) {
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	var elements [][]byte
	for d.PeekKind() != ']' {
		v, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		if len(elements) == limit {
			return nil, &CountError{limit}
		}
		end := d.InputOffset()
		elements = append(elements, body[end-int64(len(v)):end])
	}
	_, err := d.ReadToken()
	return elements, err
}

// hasEvents reports whether the top-level object has a member "events", or is
// broken after one.
func hasEvents(body []byte) bool {
	if !bytes.Contains(body, []byte(`"events"`)) {
		return false // the common case costs one fast scan
	}
	d := lax(body)
	if _, err := d.ReadToken(); err != nil {
		return false
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return false
		}
		if name.String() == "events" {
			return true
		}
		if d.SkipValue() != nil {
			return false
		}
	}
	return false
}

func cutEnvelope(d *jsontext.Decoder, body []byte, limit int) (cutting, error) {
	var c cutting
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
			return c, &ShapeError{event.TwiceText(name)}
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
			if c.elements, err = cutArray(d, body, limit); err != nil {
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

// cutLines takes NDJSON apart. Empty lines are passed over; a line that is not
// one JSON value is in broken, by its index among the elements.
func cutLines(body []byte, limit int) (cutting, error) {
	c := cutting{broken: map[int]*SyntaxError{}}
	for number := 1; len(body) > 0; number++ {
		line, rest, _ := bytes.Cut(body, []byte("\n"))
		body = rest
		line = bytes.Trim(line, " \t\r")
		if len(line) == 0 {
			continue
		}
		if len(c.elements) == limit {
			return cutting{}, &CountError{limit}
		}
		if err := oneValue(line); err != nil {
			err.Line = number
			c.broken[len(c.elements)] = err
		}
		c.elements = append(c.elements, line)
	}
	return c, nil
}

func oneValue(line []byte) *SyntaxError {
	d := lax(flatten(line))
	_, err := d.ReadValue()
	if err == nil {
		if _, err = d.ReadToken(); errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			return &SyntaxError{Column: event.PlaceAt(line, int(d.InputOffset())).Column, Reason: "the line has more than one JSON value"}
		}
	}
	if syntax, ok := errors.AsType[*SyntaxError](locate(line, err)); ok {
		return syntax
	}
	return &SyntaxError{Column: 1, Reason: err.Error()}
}

// locate turns a decoder's error into one that says where it is.
func locate(body []byte, err error) error {
	at, reason, ok := event.SyntaxPlace(body, err)
	if !ok {
		return err
	}
	return &SyntaxError{Line: at.Line, Column: at.Column, Reason: reason}
}
