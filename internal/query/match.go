package query

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// ValueType is the type of a value in data, as JSON names it.
type ValueType string

// The types of values.
const (
	String     ValueType = "string"
	NumberType ValueType = "number"
	Boolean    ValueType = "boolean"
	Null       ValueType = "null"
	Object     ValueType = "object"
	Array      ValueType = "array"
)

// Value is a value in data.
type Value struct {
	Type ValueType
	Text string // the content of a string; for other types the JSON as it was sent, without spaces
}

// Holds reports whether the condition holds for an object, at any of the values at the path of its
// field. It defines the meaning of a condition on data.
func (c Condition) Holds(data jsontext.Value) bool {
	if c.Field.Path == nil {
		return bytes.Contains(data, []byte(c.Value))
	}
	if c.Operator == NotEqual {
		c.Operator = Equal
		return !c.Holds(data)
	}
	return c.mayHold(data) && c.HoldsAny(ValuesAt(data, c.Field.Path))
}

// mayHold reports whether data has the texts without which the condition does not hold. It decides
// about most objects without decoding them. Text with escapes may be anything.
func (c Condition) mayHold(data jsontext.Value) bool {
	if bytes.IndexByte(data, '\\') >= 0 {
		return true
	}
	for _, key := range c.Field.Path {
		if !mayHave(data, key) {
			return false
		}
	}
	_, isNumber := c.Number() // which can be written in several ways
	return c.Operator != Contains && (c.Operator != Equal || isNumber && !c.Quoted) || mayHave(data, c.Value)
}

// mayHave reports whether a text occurs in data without escapes. Bytes that are not UTF-8 are read as
// U+FFFD.
func mayHave(data jsontext.Value, text string) bool {
	return bytes.Contains(data, []byte(text)) || strings.ContainsRune(text, utf8.RuneError)
}

// HoldsAny reports whether the condition holds for any of the values at a path into data. NotEqual
// is the negation of Equal, and so holds without a value as well.
func (c Condition) HoldsAny(values []Value) bool {
	if c.Operator == NotEqual {
		c.Operator = Equal
		return !c.HoldsAny(values)
	}
	return slices.ContainsFunc(values, c.matches)
}

func (c Condition) matches(v Value) bool {
	switch {
	case v.Type == Object || v.Type == Array:
		return false
	case c.Operator == Contains:
		return v.Type != Null && strings.Contains(v.Text, c.Value)
	case c.Quoted:
		return v.Type == String && c.Operator.Holds(strings.Compare(v.Text, c.Value))
	case v.Type == NumberType:
		mine, ok := c.Number()
		its, _ := ParseNumber(v.Text)
		return ok && c.Operator.Holds(its.Compare(mine))
	case c.Operator == Equal:
		return v.Text == c.Value
	}
	_, isNumber := c.Number()
	return v.Type == String && !isNumber && c.Operator.Holds(strings.Compare(v.Text, c.Value))
}

// Holds reports whether a comparison operator holds for the result of a comparison, which is
// negative, 0 or positive.
func (o Operator) Holds(order int) bool {
	switch o {
	case Equal:
		return order == 0
	case NotEqual:
		return order != 0
	case Less:
		return order < 0
	case LessOrEqual:
		return order <= 0
	case GreaterOrEqual:
		return order >= 0
	case Greater:
		return order > 0
	}
	return false
}

// ValuesAt follows a path through an object. After each key, including the last, an array stands
// for its elements; an array among these is a value of its own. Of duplicate names the first
// counts.
func ValuesAt(data jsontext.Value, path []string) []Value {
	at := []jsontext.Value{data}
	for _, key := range path {
		var below []jsontext.Value
		for _, v := range at {
			below = append(below, step(v, key)...)
		}
		at = below
	}
	values := make([]Value, 0, len(at))
	for _, v := range at {
		values = append(values, valueOf(v))
	}
	return values
}

// CountedAt returns the values at a path that a list of values counts: it omits null, and writes
// equal numbers in the same way.
func CountedAt(data jsontext.Value, path []string) []Value {
	values := slices.DeleteFunc(ValuesAt(data, path), func(v Value) bool { return v.Type == Null })
	for i, v := range values {
		if n, ok := ParseNumber(v.Text); ok && v.Type == NumberType {
			values[i].Text = n.String()
		}
	}
	return values
}

// step returns the values of a key of an object.
func step(v jsontext.Value, key string) (below []jsontext.Value) {
	d := jsontext.NewDecoder(bytes.NewBuffer(v), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return nil
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return nil
		}
		if name.String() != key {
			if d.SkipValue() != nil {
				return nil
			}
			continue
		}
		if d.PeekKind() != '[' {
			member, _ := d.ReadValue()
			return []jsontext.Value{member.Clone()}
		}
		_, _ = d.ReadToken()
		for kind := d.PeekKind(); kind != ']' && kind != 0; kind = d.PeekKind() {
			element, _ := d.ReadValue()
			below = append(below, element.Clone())
		}
		return below
	}
	return nil
}

func valueOf(v jsontext.Value) Value {
	switch v.Kind() {
	case '"':
		content, _ := jsontext.AppendUnquote(nil, v) // valid since the intake
		return Value{String, string(content)}
	case '0':
		return Value{NumberType, string(v)}
	case 't', 'f':
		return Value{Boolean, string(v)}
	case 'n':
		return Value{Null, string(v)}
	}
	compact := v.Clone()
	_ = compact.Compact(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true), jsontext.PreserveRawStrings(true), jsontext.CanonicalizeRawInts(false))
	if v.Kind() == '[' {
		return Value{Array, string(compact)}
	}
	return Value{Object, string(compact)}
}
