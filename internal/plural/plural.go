// Package plural formats numbers of things for people.
//
// It knows only the regular plural of English.
package plural

import (
	"fmt"
	"strings"
)

// Count returns a number and a noun, which takes an s unless there is one of it, or es after s, x,
// ch and sh: "1 segment", "2 segments", "0 boxes". Only the last word of a noun is changed.
func Count[N ~int | ~int64 | ~uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	ending := "s"
	for _, hiss := range []string{"s", "x", "ch", "sh"} {
		if strings.HasSuffix(noun, hiss) {
			ending = "es"
		}
	}
	return fmt.Sprintf("%d %s%s", n, noun, ending)
}
