package jsonx

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Lenient returns a decoder that accepts duplicate names and invalid UTF-8, which strict reading
// refuses. It shares the memory of text, which must not be changed while the decoder is used.
func Lenient(text []byte) *jsontext.Decoder {
	return jsontext.NewDecoder(bytes.NewBuffer(text), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// HasMember reports whether an object has a member at its top level, in the part that can be read.
// It reads leniently; any input is safe.
func HasMember(object []byte, name string) bool {
	d := Lenient(object)
	if token, err := d.ReadToken(); err != nil || token.Kind() != '{' {
		return false
	}
	for d.PeekKind() == '"' {
		token, err := d.ReadToken()
		if err != nil {
			return false
		}
		if token.String() == name {
			return true
		}
		if d.SkipValue() != nil {
			return false
		}
	}
	return false
}

// Pointer returns the JSON Pointer (RFC 6901) of a path.
func Pointer(path []string) string {
	var b strings.Builder
	for _, token := range path {
		b.WriteByte('/')
		b.WriteString(EscapePointer(token))
	}
	return b.String()
}

// EscapePointer escapes a name for a JSON Pointer (RFC 6901).
func EscapePointer(token string) string {
	if !strings.ContainsAny(token, "~/") {
		return token
	}
	return strings.ReplaceAll(strings.ReplaceAll(token, "~", "~0"), "/", "~1")
}
