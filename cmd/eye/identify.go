package main

import (
	"slices"

	"github.com/google/uuid"
)

// identify returns the element with a new id, written behind its opening brace,
// when it is an object that has none. Everything else, and every other byte,
// stays as it is. With an id of its own an event can be sent again safely.
func identify(raw []byte) []byte {
	if len(raw) < 2 || raw[0] != '{' || hasMember(raw, "id") {
		return raw
	}
	member := `"id":"` + uuid.Must(uuid.NewV7()).String() + `"`
	if lax(raw[1:]).PeekKind() != '}' {
		member += ","
	}
	return slices.Concat(raw[:1], []byte(member), raw[1:])
}
