package memory

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/query"
)

// holdAll reports whether all conditions hold.
func holdAll(where []query.Condition, of fields) bool {
	for _, c := range where {
		if !holds(c, of(c.Field)) {
			return false
		}
	}
	return true
}

// holds reports whether a condition holds for any of the values; NotEqual is
// the negation of Equal and so holds without any value, too.
func holds(c query.Condition, values []value) bool {
	if c.Operator == query.NotEqual {
		return !slices.ContainsFunc(values, func(v value) bool { return equals(v, c.Value) })
	}
	return slices.ContainsFunc(values, func(v value) bool {
		switch c.Operator {
		case query.Equal:
			return equals(v, c.Value)
		case query.Contains:
			return v.kind != jsonComposite && v.kind != jsonNull && strings.Contains(v.text, c.Value)
		}
		order, ok := compare(v, c.Value)
		if !ok {
			return false
		}
		switch c.Operator {
		case query.Less:
			return order < 0
		case query.LessOrEqual:
			return order <= 0
		case query.GreaterOrEqual:
			return order >= 0
		case query.Greater:
			return order > 0
		}
		return false
	})
}

func equals(v value, with string) bool {
	switch v.kind {
	case ownText, jsonString, jsonLiteral, jsonNull:
		return v.text == with
	case ownInteger, jsonNumber:
		order, ok := compare(v, with)
		return ok && order == 0
	}
	return false
}

// compare orders a value of a field and the value of a condition. Those of
// different types cannot be compared.
func compare(v value, with string) (order int, ok bool) {
	switch v.kind {
	case ownText:
		return strings.Compare(v.text, with), true
	case ownInteger:
		a, _ := strconv.ParseInt(v.text, 10, 64)
		b, err := strconv.ParseInt(with, 10, 64)
		return cmp.Compare(a, b), err == nil
	case jsonString:
		_, isNumber := number(with)
		return strings.Compare(v.text, with), !isNumber
	case jsonNumber:
		a, _ := strconv.ParseFloat(v.text, 64) // within the range since the intake
		b, isNumber := number(with)
		return cmp.Compare(a, b), isNumber
	}
	return 0, false
}

// number returns what the literal of a JSON number says, if text is one that a
// 64-bit floating point number can hold.
func number(text string) (n float64, ok bool) {
	v := jsontext.Value(text)
	if v.Kind() != '0' || !v.IsValid() || strings.TrimSpace(text) != text {
		return 0, false
	}
	n, err := strconv.ParseFloat(text, 64)
	return n, err == nil
}
