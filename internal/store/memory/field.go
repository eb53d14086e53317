package memory

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/event"
)

// value is what an own field holds.
type value struct {
	integer bool // a number or time
	text    string
}

// fields are an event's or a rejection's.
type fields struct {
	data jsontext.Value
	own  func(name string) []value // nothing when it is absent
}

func fieldsOfEvent(e *event.Event) fields {
	return fields{e.Data, func(name string) []value {
		switch name {
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
	}}
}

func fieldsOfRejection(r *event.Rejection) fields {
	return fields{r.Data(), func(name string) []value {
		switch name {
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
	}}
}

// text returns an own text; the empty one stands for absent.
func text(s string) []value {
	if s == "" {
		return nil
	}
	return []value{{false, s}}
}

func integer(n int64) []value { return []value{{true, strconv.FormatInt(n, 10)}} }

func sentAt(t event.Micros) []value {
	if t == 0 {
		return nil
	}
	return integer(int64(t))
}
