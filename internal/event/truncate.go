package event

import "strings"

// Truncate returns a text of at most so many bytes, with an ellipsis after them when something was
// cut off. It cuts no character in two.
func Truncate(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
