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
// A value that is a JSON number, true, false or null also equals that type. Less and greater
// compare numbers with numbers, otherwise text with text. Numbers compare by their exact values: 1,
// 1.0 and 10e-1 are equal. An absent field matches NotEqual only. A path that reaches an array
// tests each of its elements; NotEqual is the negation of Equal. A quoted value is compared with
// text only. Of data as a whole, only Contains can be asked: whether its JSON text, as it was sent,
// contains the value.
type Condition struct {
	Field    Field
	Operator Operator
	Value    string
	Quoted   bool // the value was given as a JSON string; never with Contains
}

// Field names a part of an event: one of its own fields, or a path into data.
type Field struct {
	Name string   // "session_id", "occurred_at", …; "data" for a path
	Path []string // the keys below data; nil unless Name is "data", and for its whole text
}

// String returns the field in the syntax of where: data."a.b".c for a path.
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

// String returns the condition in the syntax of where, except that times are microseconds.
func (c Condition) String() string {
	value := c.Value
	if c.Quoted {
		quoted, _ := jsontext.AppendQuote(nil, value)
		value = string(quoted)
	}
	return c.Field.String() + string(c.Operator) + value
}

// Number returns the value if it is an unquoted JSON number.
func (c Condition) Number() (Number, bool) {
	if c.Quoted {
		return Number{}, false
	}
	return ParseNumber(c.Value)
}
