package query

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Operator compares a field with a value.
type Operator string

// The operators of where.
const (
	Equal          Operator = "="
	NotEqual       Operator = "!="
	Less           Operator = "<"
	LessOrEqual    Operator = "<="
	GreaterOrEqual Operator = ">="
	Greater        Operator = ">"
	Contains       Operator = "~"
)

// Condition is one filter on a field.
//
// A value that reads as a JSON number, true, false or null also equals that
// type. Less and greater compare numbers with numbers, else text with text.
// Numbers compare by their exact values: 1, 1.0 and 10e-1 are equal. An absent
// field matches NotEqual alone. A path that meets an array looks at each of its
// elements; NotEqual is the negation of Equal. A quoted value is compared with
// text alone.
type Condition struct {
	Field    Field
	Operator Operator
	Value    string
	Quoted   bool // the value was given as a JSON string; never with Contains
}

// Field names a part of an event: one of its own fields, or a path into data.
type Field struct {
	Name string   // "session_id", "occurred_at", …; "data" for a path
	Path []string // the keys below data; nil unless Name is "data"
}

// String returns the field as where takes it: data."a.b".c for a path.
func (f Field) String() string {
	if f.Name != Data {
		return f.Name
	}
	var b strings.Builder
	b.WriteString(f.Name)
	for _, key := range f.Path {
		b.WriteByte('.')
		if isBareKey(key) {
			b.WriteString(key)
			continue
		}
		quoted, _ := jsontext.AppendQuote(nil, key) // invalid UTF-8 becomes U+FFFD
		b.Write(quoted)
	}
	return b.String()
}

// String returns the condition as where takes it, but for times, which are
// microseconds here.
func (c Condition) String() string {
	value := c.Value
	if c.Quoted {
		quoted, _ := jsontext.AppendQuote(nil, value)
		value = string(quoted)
	}
	return c.Field.String() + string(c.Operator) + value
}

// Number returns the value when it reads as a JSON number and is not quoted.
func (c Condition) Number() (Number, bool) {
	if c.Quoted {
		return Number{}, false
	}
	return ParseNumber(c.Value)
}
