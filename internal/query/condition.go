package query

import (
	"math"
	"strconv"
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
// type. Less and greater compare numbers with numbers (as 64-bit floating
// point), else text with text. An absent field matches NotEqual alone. A path
// that meets an array looks at each of its elements; NotEqual is the negation
// of Equal.
type Condition struct {
	Field    Field
	Operator Operator
	Value    string
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
func (c Condition) String() string { return c.Field.String() + string(c.Operator) + c.Value }

// Number returns the value as a number when it reads as a JSON number that a
// 64-bit floating point number can hold.
func (c Condition) Number() (float64, bool) {
	if !isNumber(c.Value) {
		return 0, false
	}
	n, err := strconv.ParseFloat(c.Value, 64)
	return n, err == nil && !math.IsInf(n, 0)
}

// isNumber reports whether text is a number of the JSON grammar.
func isNumber(text string) bool {
	s := strings.TrimPrefix(text, "-")
	whole := leadingDigits(s)
	if whole == 0 || whole > 1 && s[0] == '0' {
		return false
	}
	s = s[whole:]
	if rest, ok := strings.CutPrefix(s, "."); ok {
		n := leadingDigits(rest)
		if n == 0 {
			return false
		}
		s = rest[n:]
	}
	if s == "" {
		return true
	}
	if s[0] != 'e' && s[0] != 'E' {
		return false
	}
	s = s[1:]
	if s != "" && (s[0] == '+' || s[0] == '-') {
		s = s[1:]
	}
	return s != "" && leadingDigits(s) == len(s)
}

func leadingDigits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}
