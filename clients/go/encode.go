package theeye

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// Event is what happened. Category and Name together are its type. The server accepts texts of 1 to
// 200 characters in ID, SessionID, Category and Name.
type Event struct {
	ID        string // a new UUID if empty
	SessionID string // Options.SessionID if empty
	Category  string
	Name      string

	// Data may hold whatever encoding/json can encode, except for text that is not valid UTF-8.
	Data map[string]any

	Timestamp time.Time // when it happened, in microseconds; the time of the call if zero
}

const (
	timeFormat = "2006-01-02T15:04:05.000000Z"
	// maxDepth is how deeply data may be nested. Beyond it, data counts as circular.
	maxDepth = 1000
)

// appendEvent appends the members of an event up to its data.
func appendEvent(b []byte, e *Event, now time.Time) ([]byte, error) {
	var err error
	b = append(b, `{"id":`...)
	if e.ID == "" {
		b = append(b, '"')
		b = appendUUID(b, now)
		b = append(b, '"')
	} else if b, err = appendText(b, e.ID); err != nil {
		return b, fmt.Errorf("id %w", err)
	}
	b = append(b, `,"session_id":`...)
	if b, err = appendText(b, e.SessionID); err != nil {
		return b, fmt.Errorf("session id %w", err)
	}
	b = append(b, `,"category":`...)
	if b, err = appendText(b, e.Category); err != nil {
		return b, fmt.Errorf("category %w", err)
	}
	b = append(b, `,"name":`...)
	if b, err = appendText(b, e.Name); err != nil {
		return b, fmt.Errorf("name %w", err)
	}
	b = append(b, `,"data":`...)
	if e.Data == nil {
		return append(b, "{}"...), nil
	}
	if b, err = appendObject(b, e.Data, 1); err != nil {
		return b, fmt.Errorf("data %w", err)
	}
	return b, nil
}

// appendEnd appends the members of an event after its data.
func appendEnd(b []byte, at time.Time, seq uint64, sender string) []byte {
	b = append(b, `,"timestamp":"`...)
	b = at.UTC().AppendFormat(b, timeFormat)
	b = append(b, `","seq":`...)
	b = strconv.AppendUint(b, seq, 10)
	b = append(b, `,"sender":"`...)
	b = append(b, sender...)
	return append(b, `"}`...)
}

var (
	errNotUnicode = errors.New("contains text that is not valid Unicode")
	errTooDeep    = fmt.Errorf("is circular, or nested more deeply than %d levels", maxDepth)
)

// appendValue appends a value. Common types are written here, because that is several times faster
// than encoding/json, which writes all others.
func appendValue(b []byte, value any, depth int) ([]byte, error) {
	switch v := value.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case string:
		return appendText(b, v)
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case uint64:
		return strconv.AppendUint(b, v, 10), nil
	case float64:
		return appendFloat(b, v)
	case map[string]any:
		if v == nil {
			return append(b, "null"...), nil
		}
		return appendObject(b, v, depth+1)
	case []any:
		if v == nil {
			return append(b, "null"...), nil
		}
		return appendArray(b, v, depth+1)
	}
	return appendOther(b, value)
}

func appendObject(b []byte, object map[string]any, depth int) ([]byte, error) {
	if depth > maxDepth {
		return b, errTooDeep
	}
	var few [16]string
	names := few[:0]
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	var err error
	b = append(b, '{')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = appendText(b, name); err != nil {
			return b, err
		}
		b = append(b, ':')
		if b, err = appendValue(b, object[name], depth); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}

func appendArray(b []byte, array []any, depth int) ([]byte, error) {
	if depth > maxDepth {
		return b, errTooDeep
	}
	var err error
	b = append(b, '[')
	for i, value := range array {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = appendValue(b, value, depth); err != nil {
			return b, err
		}
	}
	return append(b, ']'), nil
}

func appendFloat(b []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return b, fmt.Errorf("contains %v, which JSON does not have", f)
	}
	format := byte('f')
	if size := math.Abs(f); size != 0 && (size < 1e-6 || size >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(b, f, format, -1, 64), nil
}

// appendText appends a JSON string.
func appendText(b []byte, text string) ([]byte, error) {
	if !utf8.ValidString(text) {
		return b, errNotUnicode
	}
	b = append(b, '"')
	start := 0
	for i := range len(text) {
		c := text[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, text[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			const digits = "0123456789abcdef"
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
	}
	b = append(b, text[start:]...)
	return append(b, '"'), nil
}

// appendOther appends a value as encoding/json writes it.
func appendOther(b []byte, value any) (_ []byte, err error) {
	defer func() {
		if p := recover(); p != nil { // of the caller's MarshalJSON
			err = fmt.Errorf("contains a %T, which panics when it is encoded: %v", value, p)
		}
	}()
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return b, fmt.Errorf("contains a %T: %w", value, err)
	}
	written := bytes.TrimSuffix(text.Bytes(), []byte("\n"))
	if !unicodeText(written) {
		return b, errNotUnicode
	}
	return append(b, written...), nil
}

// unicodeText reports whether the strings in a JSON text were valid Unicode. For an invalid byte in a
// string, encoding/json writes the escape sequence of U+FFFD; a valid U+FFFD it writes as it is.
// The texts of a json.RawMessage or a Marshaler it copies, with invalid bytes and half surrogate
// pairs.
func unicodeText(text []byte) bool {
	if !utf8.Valid(text) {
		return false
	}
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 {
			return true
		}
		text = text[i:]
		switch first := escaped(text); {
		case first < 0:
			text = text[2:]
		case first == utf8.RuneError, first >= 0xdc00 && first <= 0xdfff:
			return false
		case first >= 0xd800 && first <= 0xdbff:
			if second := escaped(text[6:]); second < 0xdc00 || second > 0xdfff {
				return false
			}
			text = text[12:]
		default:
			text = text[6:]
		}
	}
}

// escaped returns the code unit of the escape sequence \uXXXX at the beginning of a text, or -1.
func escaped(text []byte) rune {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return -1
	}
	unit, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(unit)
}
