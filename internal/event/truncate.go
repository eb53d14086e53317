package event

import "strings"

// Truncate returns the first bytes of a text, at most the given number, followed by an ellipsis if
// something was cut off. It does not split characters.
func Truncate(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
