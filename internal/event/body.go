package event

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/jsonx"
)

// SameBody reports whether two events with the same id are equal in what the sender sent:
// session_id, category, name, the text of the timestamp, seq, sender and data. Objects are compared
// without regard to the order of keys, numbers as they are written. sent_at is ignored, because a
// retry has a new one.
func SameBody(a, b *Event) bool {
	return a.SessionID == b.SessionID && a.Category == b.Category && a.Name == b.Name &&
		a.Timestamp == b.Timestamp && a.Seq == b.Seq && a.Sender == b.Sender &&
		jsonx.Equal(a.Data, b.Data)
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
