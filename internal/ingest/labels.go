package ingest

import (
	"strings"
	"unicode/utf8"

	"theeye/internal/event"
	"theeye/internal/jsonx"
)

// labels are the members by which a rejection is found whose event could not be read to its end.
type labels struct{ id, sessionID string }

// labelsIn returns the labels that stand in raw before the place where it is not JSON, in any
// order of members, whatever else strict reading refuses. A label that no event may have is
// empty. It reads raw at most twice.
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
