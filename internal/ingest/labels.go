package ingest

import (
	"strings"
	"unicode/utf8"

	"theeye/internal/event"
	"theeye/internal/jsonx"
)

// labels are the members by which a rejection can be found if its event could not be parsed
// completely.
type labels struct{ id, sessionID string }

// labelsIn returns the labels in raw that come before the place where it stops being JSON. Members
// may be in any order and have faults that a strict reader refuses. A label with a value that no
// event may have is empty. labelsIn reads raw at most twice.
func labelsIn(raw []byte) (l labels) {
	d := jsonx.Lenient(flatten(raw))
	if token, err := d.ReadToken(); err != nil || token.Kind() != '{' {
		return l
	}
	for d.PeekKind() == '"' && (l.id == "" || l.sessionID == "") {
		name, err := d.ReadToken()
		if err != nil {
			return l
		}
		label := new(string)
		switch name.String() {
		case "id":
			label = &l.id
		case "session_id":
			label = &l.sessionID
		}
		value, err := d.ReadValue()
		if err != nil {
			return l
		}
		if *label != "" || value.Kind() != '"' {
			continue
		}
		if text := strings.ToValidUTF8(unquote(value), "\uFFFD"); utf8.RuneCountInString(text) <= event.MaxTextCodePoints {
			*label = text
		}
	}
	return l
}
