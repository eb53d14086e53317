package query

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"theeye/internal/event"
)

// Errors of a cursor.
var (
	errBadCursor   = errors.New("is not a cursor of this list; use next_cursor of the previous page, or omit it to start again")
	errOtherFilter = errors.New("belongs to a list with other filters; only limit may change between pages; omit the cursor to start again")
)

// A cursor is the base64url encoding, without padding, of: version, kind, horizon, key
// (occurred_at, seq, frame, index), length and bytes of the session id, 8 bytes of the fingerprint
// of the filter, CRC-32 of all that. Numbers are unsigned varints.
const (
	cursorVersion  = 1
	maxCursorChars = 1500 // a session id of 200 code points takes 800 bytes
)

type cursor struct {
	after   After
	horizon uint64
	filter  [8]byte
}

// Cursor returns the text that continues the list q after the given place, up to the horizon that
// the store answered with. It has no secrets and is safe in a URL.
func (q Query) Cursor(kind Kind, after After, horizon uint64) string {
	return encodeCursor(cursor{after: after, horizon: horizon, filter: fingerprint(q, kind)}, kind)
}

func encodeCursor(c cursor, kind Kind) string {
	b := []byte{cursorVersion, byte(kind)}
	for _, n := range []uint64{
		c.horizon,
		uint64(c.after.Key.OccurredAt), uint64(c.after.Key.Seq),
		c.after.Key.Position.Frame, uint64(c.after.Key.Position.Index),
		uint64(len(c.after.SessionID)),
	} {
		b = binary.AppendUvarint(b, n)
	}
	b = append(b, c.after.SessionID...)
	b = append(b, c.filter[:]...)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return base64.RawURLEncoding.EncodeToString(b)
}

// decodeCursor decodes the result of encodeCursor, and rejects everything else. Any input is safe.
func decodeCursor(text string, kind Kind) (cursor, error) {
	if len(text) > maxCursorChars {
		return cursor{}, errBadCursor
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) < 4 {
		return cursor{}, errBadCursor
	}
	body, sum := b[:len(b)-4], b[len(b)-4:]
	if binary.BigEndian.Uint32(sum) != crc32.ChecksumIEEE(body) ||
		!bytes.HasPrefix(body, []byte{cursorVersion, byte(kind)}) {
		return cursor{}, errBadCursor
	}
	c, ok := readCursor(body[2:])
	if !ok || encodeCursor(c, kind) != text {
		return cursor{}, errBadCursor // also a number that is not written in its shortest form
	}
	return c, nil
}

func readCursor(b []byte) (cursor, bool) {
	var numbers [6]uint64
	for i := range numbers {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return cursor{}, false
		}
		numbers[i], b = v, b[n:]
	}
	length := numbers[5]
	if length > uint64(len(b)) || uint64(len(b)) != length+8 {
		return cursor{}, false
	}
	session := string(b[:length])
	c := cursor{
		horizon: numbers[0],
		filter:  [8]byte(b[length:]),
		after: After{
			Key: event.Key{
				OccurredAt: event.Micros(numbers[1]),
				Seq:        int64(numbers[2]),
				Position:   event.Position{Frame: numbers[3], Index: uint32(numbers[4])},
			},
			SessionID: session,
		},
	}
	return c, numbers[2] <= uint64(event.NoSeq) && numbers[4] <= math.MaxUint32 &&
		c.horizon != 0 && utf8.ValidString(session) && !strings.ContainsRune(session, 0)
}

// fingerprint identifies the list that a cursor belongs to: its kind, its filters, and its order.
// The order of the values of a parameter does not matter.
func fingerprint(q Query, kind Kind) [8]byte {
	b := []byte{byte(kind)}
	number := func(n int64) { b = binary.AppendVarint(b, n) }
	texts := func(list []string, sorted bool) {
		if list == nil {
			number(-1)
			return
		}
		if sorted {
			list = slices.Compact(slices.Sorted(slices.Values(list)))
		}
		number(int64(len(list)))
		for _, text := range list {
			number(int64(len(text)))
			b = append(b, text...)
		}
	}
	bound := func(m *event.Micros) {
		if m == nil {
			b = append(b, 0)
			return
		}
		b = append(b, 1)
		number(int64(*m))
	}

	texts(q.Apps, true)
	var ids []string
	for _, id := range q.IDs {
		ids = append(ids, string(id[:]))
	}
	texts(ids, true)
	ids = nil
	for _, id := range q.EventIDs {
		ids = append(ids, string(id[:]))
	}
	texts(ids, true)
	texts(q.SessionIDs, true)
	texts(q.Categories, true)
	texts(q.Names, true)
	texts(q.Codes, true)
	texts(q.Pointers, true)
	bound(q.From)
	bound(q.To)
	for _, c := range q.Where {
		operator := string(c.Operator)
		if c.Quoted {
			operator += `"`
		}
		texts([]string{c.Field.Name, operator, c.Value}, false)
		texts(c.Field.Path, false)
	}
	if q.Descending {
		b = append(b, 1)
	}
	if q.Replayed != nil {
		b = append(b, 'r')
		if *q.Replayed {
			b = append(b, 1)
		}
	}
	sum := sha256.Sum256(b)
	return [8]byte(sum[:])
}
