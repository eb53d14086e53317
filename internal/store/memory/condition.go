package memory

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"theeye/internal/query"
)

// matchAll reports whether all conditions hold.
func matchAll(where []query.Condition, of fields) bool {
	for _, c := range where {
		if c.Field.Name == query.Data {
			if !c.Holds(of.data) {
				return false
			}
		} else if !matches(c, of.own(c.Field.Name)) {
			return false
		}
	}
	return true
}

// matches reports whether a condition on a field other than data holds. NotEqual is the negation of
// Equal, and so holds without a value as well.
func matches(c query.Condition, values []value) bool {
	if c.Operator == query.NotEqual {
		c.Operator = query.Equal
		return !matches(c, values)
	}
	return slices.ContainsFunc(values, func(v value) bool {
		switch {
		case c.Operator == query.Contains:
			return strings.Contains(v.text, c.Value)
		case v.integer:
			a, _ := strconv.ParseInt(v.text, 10, 64)
			b, err := strconv.ParseInt(c.Value, 10, 64)
			return err == nil && c.Operator.Holds(cmp.Compare(a, b))
		}
		return c.Operator.Holds(strings.Compare(v.text, c.Value))
	})
}
