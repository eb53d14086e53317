package query

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"theeye/internal/event"
)

// SelectsEvent reports whether an event satisfies all filters of q. Limit, After and Horizon do not
// matter.
func (q Query) SelectsEvent(e *event.Event) bool {
	return allows(q.Apps, e.App) && allows(q.IDs, e.ID) && allows(q.SessionIDs, e.SessionID) &&
		allows(q.Categories, e.Category) && allows(q.Names, e.Name) &&
		q.within(e.OccurredAt) && matchesAll(q.Where, fieldsOfEvent(e))
}

// SelectsRejection reports whether a rejection satisfies all filters of q except Replayed, which
// depends on later arrivals. Limit, After and Horizon do not matter.
func (q Query) SelectsRejection(r *event.Rejection) bool {
	code := func(p event.Problem) bool { return slices.Contains(q.Codes, p.Code) }
	pointer := func(p event.Problem) bool { return slices.Contains(q.Pointers, p.Pointer) }
	return allows(q.Apps, r.App) && allows(q.IDs, r.ID) && allows(q.EventIDs, r.EventID) &&
		allows(q.SessionIDs, r.SessionID) && allows(q.Categories, r.Category) && allows(q.Names, r.Name) &&
		(q.Codes == nil || slices.ContainsFunc(r.Problems, code)) &&
		(q.Pointers == nil || slices.ContainsFunc(r.Problems, pointer)) &&
		q.within(r.ReceivedAt) && matchesAll(q.Where, fieldsOfRejection(r))
}

// allows reports whether value is one of allowed. nil allows every value; an empty list, such as
// that of a key without applications, allows none.
func allows[T string | uuid.UUID](allowed []T, value T) bool {
	return allowed == nil || slices.Contains(allowed, value)
}

func (q Query) within(t event.Micros) bool {
	return (q.From == nil || t >= *q.From) && (q.To == nil || t < *q.To)
}

// matchesAll reports whether all conditions hold.
func matchesAll(where []Condition, of fieldValues) bool {
	for _, c := range where {
		if c.Field.Name == Data {
			if !c.Holds(of.data) {
				return false
			}
		} else if !c.holdsOwn(of.own(c.Field.Name)) {
			return false
		}
	}
	return true
}

// holdsOwn reports whether a condition on a field other than data holds for its value.
func (c Condition) holdsOwn(v ownValue) bool {
	if c.Operator == NotEqual {
		c.Operator = Equal
		return !c.holdsOwn(v)
	}
	switch {
	case v.absent:
		return false
	case c.Operator == Contains:
		return strings.Contains(v.text, c.Value)
	case v.isInteger:
		n, err := strconv.ParseInt(c.Value, 10, 64)
		return err == nil && c.Operator.Holds(cmp.Compare(v.integer, n))
	}
	return c.Operator.Holds(strings.Compare(v.text, c.Value))
}

// ownValue is the value of a field other than data.
type ownValue struct {
	absent    bool
	isInteger bool // a number or a time
	integer   int64
	text      string
}

// fieldValues are the values of an event or a rejection.
type fieldValues struct {
	data jsontext.Value
	own  func(name string) ownValue
}

func fieldsOfEvent(e *event.Event) fieldValues {
	return fieldValues{e.Data, func(name string) ownValue {
		switch name {
		case App:
			return textValue(e.App)
		case ID:
			return textValue(e.ID.String())
		case ClientID:
			return textValue(e.ClientID)
		case SessionID:
			return textValue(e.SessionID)
		case Category:
			return textValue(e.Category)
		case Name:
			return textValue(e.Name)
		case Timestamp:
			return textValue(e.Timestamp)
		case Sender:
			return textValue(e.Sender)
		case OccurredAt:
			return integerValue(int64(e.OccurredAt))
		case ReceivedAt:
			return integerValue(int64(e.ReceivedAt))
		case SentAt:
			return sentAtValue(e.SentAt)
		case Seq:
			if e.Seq == event.NoSeq {
				return ownValue{absent: true}
			}
			return integerValue(e.Seq)
		case SchemaVersion:
			return integerValue(int64(e.SchemaVersion))
		}
		return ownValue{absent: true}
	}}
}

func fieldsOfRejection(r *event.Rejection) fieldValues {
	return fieldValues{r.Data(), func(name string) ownValue {
		switch name {
		case App:
			return textValue(r.App)
		case ID:
			return textValue(r.ID.String())
		case EventID:
			return textValue(r.EventID.String())
		case ClientID:
			return textValue(r.ClientID)
		case SessionID:
			return textValue(r.SessionID)
		case Category:
			return textValue(r.Category)
		case Name:
			return textValue(r.Name)
		case ReceivedAt:
			return integerValue(int64(r.ReceivedAt))
		case SentAt:
			return sentAtValue(r.SentAt)
		case SchemaVersion:
			return integerValue(int64(r.SchemaVersion))
		}
		return ownValue{absent: true}
	}}
}

// textValue returns a text; the empty one stands for an absent value.
func textValue(s string) ownValue { return ownValue{absent: s == "", text: s} }

func integerValue(n int64) ownValue {
	return ownValue{isInteger: true, integer: n, text: strconv.FormatInt(n, 10)}
}

func sentAtValue(t event.Micros) ownValue {
	if t == 0 {
		return ownValue{absent: true}
	}
	return integerValue(int64(t))
}

// CountedIn returns the values of a field of an event that a list of values counts, each with the
// text under which it is counted.
func CountedIn(e *event.Event, f Field) []Value {
	if f.Name == Data {
		return CountedAt(e.Data, f.Path)
	}
	v := fieldsOfEvent(e).own(f.Name)
	if v.absent {
		return nil
	}
	return []Value{{Type: f.Type(), Text: v.text}}
}
