// Package jsonx reads JSON as this module needs it besides package jsontext: leniently, by the
// places of values in a text, within limits of numbers, and with errors in words for people.
//
// It knows nothing of events, and it does not decode into Go values.
package jsonx

import (
	"bytes"
)

// WithoutBOM returns JSON text without the byte order mark that some programs put before it, which
// a reader may pass over (RFC 8259, 8.1). It shares the memory of text.
func WithoutBOM(text []byte) []byte { return bytes.TrimPrefix(text, []byte("\ufeff")) }
