package query

import (
	"strconv"
	"strings"
)

// Args collects the arguments of one SQL statement while its text is put together. The zero value
// is ready. It must not be used concurrently.
type Args struct{ values []any }

// argMark encloses the index of an argument in a text. No text of SQL has it.
const argMark = "\x00"

// Bind keeps an argument and returns what stands for it in the text, which may be used any number
// of times. Nothing of the argument becomes part of the text.
func (a *Args) Bind(value any) string {
	a.values = append(a.values, value)
	return argMark + strconv.Itoa(len(a.values)-1) + argMark
}

// In renders that a column has one of the values.
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

// Number returns a text with its arguments numbered as $1, $2 in the order of the text, and the
// arguments in that order. One that the text uses twice has two numbers, because its type may
// differ by where it stands; those that the text does not use are left out.
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
