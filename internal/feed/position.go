// Package feed follows what the store makes visible: it encodes places in the feed, and keeps the
// newest items in memory for those who wait for more.
//
// It reads everything through the store's feed, so that the newest items and the earlier ones are
// one sequence.
package feed

import (
	"encoding/base32"
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/store"
)

// Position is a place in the feed of a timeline. The zero value is the place before everything.
type Position struct {
	Place    store.FeedPlace
	Timeline string
}

// PositionOf returns the position of an item.
func PositionOf(i *store.FeedItem) Position { return Position{i.Place, i.Timeline} }

// ErrNotAPosition is returned for a text that is not a position.
var ErrNotAPosition = errors.New("is not a position of the feed; use next or a position of an earlier answer, or omit it to start at the beginning")

// The text of a position is the base32hex encoding, in lower case and without padding, of: frame
// that carried the item, frame and index of its position, number of the newest tombstone passed,
// timeline, CRC-32 of all that. Numbers are big-endian, so texts of one data directory sort as their
// places do. A timeline that is a UUID takes 16 bytes.
const (
	placeBytes       = 8 + 8 + 4 + 4
	sumBytes         = 4
	maxTimelineBytes = 40
)

func encoding() *base32.Encoding {
	return base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)
}

// String returns the text of the position, which has no secrets and is safe in a URL.
func (p Position) String() string {
	b := make([]byte, 0, placeBytes+maxTimelineBytes+sumBytes)
	b = binary.BigEndian.AppendUint64(b, p.Place.CarriedBy)
	b = binary.BigEndian.AppendUint64(b, p.Place.Position.Frame)
	b = binary.BigEndian.AppendUint32(b, p.Place.Position.Index)
	b = binary.BigEndian.AppendUint32(b, p.Place.Tombstone)
	if id, err := uuid.Parse(p.Timeline); err == nil && id.String() == p.Timeline {
		b = append(b, id[:]...)
	} else {
		b = append(b, p.Timeline...)
	}
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return encoding().EncodeToString(b)
}

// ParsePosition parses the result of String. Any other text is ErrNotAPosition.
func ParsePosition(text string) (Position, error) {
	b, err := encoding().DecodeString(text)
	if err != nil || len(b) < placeBytes+sumBytes || len(b) > placeBytes+maxTimelineBytes+sumBytes {
		return Position{}, ErrNotAPosition
	}
	body, sum := b[:len(b)-sumBytes], b[len(b)-sumBytes:]
	if binary.BigEndian.Uint32(sum) != crc32.ChecksumIEEE(body) {
		return Position{}, ErrNotAPosition
	}
	p := Position{Place: store.FeedPlace{
		CarriedBy: binary.BigEndian.Uint64(body),
		Position:  event.Position{Frame: binary.BigEndian.Uint64(body[8:]), Index: binary.BigEndian.Uint32(body[16:])},
		Tombstone: binary.BigEndian.Uint32(body[20:]),
	}}
	if rest := body[placeBytes:]; len(rest) == len(uuid.UUID{}) {
		p.Timeline = uuid.UUID(rest).String()
	} else {
		p.Timeline = string(rest)
	}
	const maxFrame = 1<<63 - 1 // what databases can compare
	if p.String() != text || p.Place.CarriedBy > maxFrame || p.Place.Position.Frame > maxFrame {
		return Position{}, ErrNotAPosition
	}
	return p, nil
}
