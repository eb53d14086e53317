package memory

import (
	"bytes"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/event"
	"theeye/internal/query"
)

// kind tells how a value is compared.
type kind int

const (
	ownText    kind = iota // a text of the event itself
	ownInteger             // a number or time of the event itself
	jsonString
	jsonNumber
	jsonLiteral // true or false
	jsonNull
	jsonComposite // an object or array
)

// value is one thing that a field holds: for text and strings their content, for
// all else its decimal or JSON text.
type value struct {
	kind kind
	text string
}

// fields returns what a field holds: nothing when it is absent, several values
// when arrays lie on a path.
type fields func(query.Field) []value

func fieldsOfEvent(e *event.Event) fields {
	return func(f query.Field) []value {
		switch f.Name {
		case "data":
			return valuesAt(e.Data, f.Path)
		case "app":
			return text(e.App)
		case "id":
			return text(e.ID.String())
		case "client_id":
			return text(e.ClientID)
		case "session_id":
			return text(e.SessionID)
		case "category":
			return text(e.Category)
		case "name":
			return text(e.Name)
		case "timestamp":
			return text(e.Timestamp)
		case "sender":
			return text(e.Sender)
		case "occurred_at":
			return integer(int64(e.OccurredAt))
		case "received_at":
			return integer(int64(e.ReceivedAt))
		case "sent_at":
			return sentAt(e.SentAt)
		case "seq":
			if e.Seq == event.NoSeq {
				return nil
			}
			return integer(e.Seq)
		case "schema_version":
			return integer(int64(e.SchemaVersion))
		}
		return nil
	}
}

func fieldsOfRejection(r *event.Rejection) fields {
	return func(f query.Field) []value {
		switch f.Name {
		case "data":
			return valuesAt(r.Data(), f.Path)
		case "app":
			return text(r.App)
		case "id":
			return text(r.ID.String())
		case "event_id":
			return text(r.EventID.String())
		case "client_id":
			return text(r.ClientID)
		case "session_id":
			return text(r.SessionID)
		case "category":
			return text(r.Category)
		case "name":
			return text(r.Name)
		case "received_at":
			return integer(int64(r.ReceivedAt))
		case "sent_at":
			return sentAt(r.SentAt)
		case "schema_version":
			return integer(int64(r.SchemaVersion))
		}
		return nil
	}
}

// text returns an own text; the empty one stands for absent.
func text(s string) []value {
	if s == "" {
		return nil
	}
	return []value{{ownText, s}}
}

func integer(n int64) []value { return []value{{ownInteger, strconv.FormatInt(n, 10)}} }

func sentAt(t event.Micros) []value {
	if t == 0 {
		return nil
	}
	return integer(int64(t))
}

// valuesAt follows path through data. Behind each step, the last one too, an
// array stands for its elements; an array among these is a value of its own.
func valuesAt(data jsontext.Value, path []string) []value {
	at := []jsontext.Value{data}
	for _, key := range path {
		var below []jsontext.Value
		for _, v := range at {
			below = append(below, step(v, key)...)
		}
		at = below
	}
	values := make([]value, 0, len(at))
	for _, v := range at {
		values = append(values, valueOf(v))
	}
	return values
}

func step(v jsontext.Value, key string) []jsontext.Value {
	var object map[string]jsontext.Value
	if v.Kind() != '{' || json.Unmarshal(v, &object) != nil {
		return nil
	}
	member, ok := object[key]
	if !ok {
		return nil
	}
	if member.Kind() != '[' {
		return []jsontext.Value{member}
	}
	var elements []jsontext.Value
	if json.Unmarshal(member, &elements) != nil {
		return nil
	}
	return elements
}

func valueOf(v jsontext.Value) value {
	switch v.Kind() {
	case '"':
		content, _ := jsontext.AppendUnquote(nil, bytes.TrimSpace(v)) // valid since the intake
		return value{jsonString, string(content)}
	case '0':
		return value{jsonNumber, string(bytes.TrimSpace(v))}
	case 't', 'f':
		return value{jsonLiteral, string(bytes.TrimSpace(v))}
	case 'n':
		return value{jsonNull, "null"}
	}
	compact := v.Clone()
	_ = compact.Compact() // valid since the intake
	return value{jsonComposite, string(compact)}
}
