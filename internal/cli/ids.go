package cli

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"theeye/internal/jsonx"
)

// maxContentIDs bounds the different texts whose occurrences are counted, and thereby the memory:
// about 30 bytes each.
const maxContentIDs = 10_000_000

// ensureID inserts an id after the opening brace of an element that is an object without one, so
// that the event can be sent again safely. It changes no other byte, and no other element.
func ensureID(raw []byte, newID func(text []byte) (uuid.UUID, error)) ([]byte, error) {
	if len(raw) < 2 || raw[0] != '{' || jsonx.HasMember(raw, "id") {
		return raw, nil
	}
	id, err := newID(raw)
	if err != nil {
		return nil, err
	}
	member := `"id":"` + id.String() + `"`
	if jsonx.Lenient(raw[1:]).PeekKind() != '}' {
		member += ","
	}
	return slices.Concat(raw[:1], []byte(member), raw[1:]), nil
}

// randomID returns an id that no other event has, not even one with the same text.
func randomID([]byte) (uuid.UUID, error) { return uuid.NewV7() }

// contentIDs derives the ids of events from their content: the UUIDv5 of the application, the
// number of earlier events with the same text in the same input, and the text. The same input
// therefore gets the same ids again.
type contentIDs struct {
	app  string            // empty when it is not known
	seen map[uint64]uint32 // occurrences by the beginning of the hash of the text
	most int
}

func newContentIDs(app string) *contentIDs {
	return &contentIDs{app: app, seen: map[uint64]uint32{}, most: maxContentIDs}
}

// contentNamespace is the UUIDv5 namespace of these ids. It never changes.
const contentNamespace = "87298911-aa09-48e5-97f1-742d86bd2cf4"

func (c *contentIDs) id(text []byte) (uuid.UUID, error) {
	hash := sha256.Sum256(text)
	slot := binary.BigEndian.Uint64(hash[:8])
	before, known := c.seen[slot]
	if !known && len(c.seen) == c.most {
		return uuid.UUID{}, fmt.Errorf("there are more than %d different events without an id, the most that can get ids from their content; give them ids, or use --ids-from-content=false", c.most)
	}
	c.seen[slot] = before + 1
	name := fmt.Appendf(nil, "%s\n%d\n", c.app, before)
	return uuid.NewSHA1(uuid.MustParse(contentNamespace), append(name, hash[:]...)), nil
}

// request returns an Idempotency-Key for a request, so that elements without an id, because they
// are not JSON, are rejected only once. first is the number of the first element.
func (c *contentIDs) request(first int, body []byte) string {
	hash := sha256.Sum256(body)
	name := fmt.Appendf(nil, "%s\nrequest %d\n", c.app, first)
	return uuid.NewSHA1(uuid.MustParse(contentNamespace), append(name, hash[:]...)).String()
}

// randomRequest returns an Idempotency-Key that no other request has.
func randomRequest(int, []byte) string { return uuid.NewString() }
