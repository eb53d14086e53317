package event

import (
	"bytes"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// SameBody reports whether two events with one id say the same (R2): equal
// session_id, category, name, timestamp text, seq, sender and data, where
// objects are compared without regard to key order and numbers as written.
// sent_at does not count: a retry has a new one.
func SameBody(a, b *Event) bool {
	return a.SessionID == b.SessionID && a.Category == b.Category && a.Name == b.Name &&
		a.Timestamp == b.Timestamp && a.Seq == b.Seq && a.Sender == b.Sender &&
		sameJSON(a.Data, b.Data)
}

func sameJSON(a, b []byte) bool {
	return bytes.Equal(a, b) || bytes.Equal(canonical(a), canonical(b))
}

// canonical sorts object keys and unifies white space and string escapes; it
// leaves numbers as they are written. Text that is not JSON is returned as is.
func canonical(data []byte) []byte {
	v := jsontext.Value(bytes.Clone(data))
	err := v.Format(jsontext.ReorderRawObjects(true), jsontext.PreserveRawStrings(false),
		jsontext.CanonicalizeRawInts(false), jsontext.CanonicalizeRawFloats(false),
		jsontext.SpaceAfterColon(false), jsontext.SpaceAfterComma(false), jsontext.Multiline(false))
	if err != nil {
		return data
	}
	return v
}

// appendBody appends the event as a client would send it, without sent_at, to b.
func (e *Event) appendBody(b []byte) []byte {
	text := func(name, value string) {
		b = append(b, '"')
		b = append(b, name...)
		b = append(b, `":`...)
		b, _ = jsontext.AppendQuote(b, value) // stored text is valid UTF-8
		b = append(b, ',')
	}
	b = append(b, '{')
	if e.ClientID != "" {
		text("id", e.ClientID)
	} else {
		text("id", e.ID.String())
	}
	text("session_id", e.SessionID)
	text("category", e.Category)
	text("name", e.Name)
	if e.TimestampIsNumber() {
		b = append(b, `"timestamp":`...)
		b = append(b, e.Timestamp...)
		b = append(b, ',')
	} else {
		text("timestamp", e.Timestamp)
	}
	if e.Seq != NoSeq {
		b = append(b, `"seq":`...)
		b = strconv.AppendInt(b, e.Seq, 10)
		b = append(b, ',')
	}
	if e.Sender != "" {
		text("sender", e.Sender)
	}
	b = append(b, `"data":`...)
	b = append(b, e.Data...)
	return append(b, '}')
}
