// Package jsonx adds to package jsontext what this module needs: lenient reading, the places of
// values in a text, limits of numbers, and errors in words for people.
//
// It knows nothing of events, and it does not decode into Go values.
package jsonx

import (
	"bytes"
)

// WithoutBOM returns JSON text without a leading byte order mark, which some programs write and a
// reader may ignore (RFC 8259, section 8.1). It shares the memory of text.
func WithoutBOM(text []byte) []byte { return bytes.TrimPrefix(text, []byte("\ufeff")) }
