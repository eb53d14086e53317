package jsonx

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// Equal compares JSON without regard to white space, the order of keys and the escapes in strings.
// Numbers are compared as they are written, because rounding could make two different ones equal.
// Texts that are not strict JSON are equal only if they are identical.
func Equal(a, b []byte) bool {
	return bytes.Equal(a, b) || bytes.Equal(Canonical(a), Canonical(b))
}

// Canonical returns a copy of JSON without white space, with sorted keys and uniform escapes;
// numbers stay as they are written. It returns text itself when that is not strict JSON.
func Canonical(text []byte) []byte {
	v := jsontext.Value(bytes.Clone(text))
	err := v.Format(jsontext.ReorderRawObjects(true), jsontext.PreserveRawStrings(false),
		jsontext.CanonicalizeRawInts(false), jsontext.CanonicalizeRawFloats(false),
		jsontext.SpaceAfterColon(false), jsontext.SpaceAfterComma(false), jsontext.Multiline(false))
	if err != nil {
		return text
	}
	return v
}
