package query

import (
	"strconv"
	"strings"
)

// Args collects the arguments of one SQL statement while its text is built. The zero value is ready
// to use. It is not safe for concurrent use.
type Args struct{ values []any }

// argMark encloses the index of an argument in a text. SQL text never contains it.
const argMark = "\x00"

// Bind adds an argument and returns the placeholder for it, which the text may contain any number
// of times. The argument itself never becomes part of the text.
func (a *Args) Bind(value any) string {
	a.values = append(a.values, value)
	return argMark + strconv.Itoa(len(a.values)-1) + argMark
}

// In renders the condition that a column has one of the values.
func (a *Args) In(column string, values ...any) string {
	if len(values) == 0 {
		return "FALSE"
	}
	marks := make([]string, len(values))
	for i, value := range values {
		marks[i] = a.Bind(value)
	}
	return column + " IN (" + strings.Join(marks, ", ") + ")"
}

// Number replaces the placeholders in a text by $1, $2 and so on, in the order of the text, and
// returns the arguments in that order. An argument that the text uses twice gets two numbers,
// because its type may depend on the place. Arguments that the text does not use are left out.
func (a *Args) Number(text string) (string, []any) {
	var b strings.Builder
	var used []any
	for {
		before, rest, found := strings.Cut(text, argMark)
		b.WriteString(before)
		if !found {
			return b.String(), used
		}
		var index string
		index, text, _ = strings.Cut(rest, argMark)
		i, _ := strconv.Atoi(index) // Bind wrote it
		used = append(used, a.values[i])
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(len(used)))
	}
}
