package queue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/klauspost/compress/s2"

	"theeye/internal/durable"
)

// NATS accepts messages of at most 8 MiB including their headers, and headers below 64 KiB.
// MaxPayload bounds an encoded frame, and MaxCounts the header lines that repeat its counts, in
// bytes.
const (
	maxMessage = 8 << 20
	maxHeader  = 64 << 10
	MaxPayload = maxMessage - maxHeader
	MaxCounts  = maxHeader - 1<<10 // the rest is for lines of NATS
)

// MaxBody bounds the uncompressed records of a frame, in bytes. It protects a reader against a
// damaged length.
const MaxBody = 64 << 20

// Count says how much of a frame belongs to one application.
type Count struct {
	App      string
	Received uint64 // all arrivals; of one frame at most 2³²−1
	Rejected uint64 // the arrivals that were rejected at intake
}

// HeaderBytes returns how many bytes of MaxCounts a count takes at most, whatever its numbers are.
func (c Count) HeaderBytes() int { return len(headerApp+":  4294967295 4294967295\r\n") + len(c.App) }

// Frame is the unit of the queue: the records of one or more requests, in order.
type Frame struct {
	Counts []Count
	Body   []byte // records; the queue does not parse them
}

// CorruptFrameError reports that the payload of a frame cannot be read.
type CorruptFrameError struct {
	Sequence uint64
	Reason   string
}

func (e *CorruptFrameError) Error() string {
	return fmt.Sprintf("frame %d is damaged: %s", e.Sequence, e.Reason)
}

// The form of a frame, in this order:
//
//	magic     4  "EYEF"
//	version   1  2
//	codec     1  1: S2 block; 2: padding, the frame has no records
//	checksum  4  CRC-32C (Castagnoli), little endian, of everything else
//	counts       uvarint n, then n × (uvarint length, application, uvarint received, uvarint rejected)
//	length       uvarint, bytes of the uncompressed body
//	records      compressed
//
// In version 1, the checksum covered only the bytes after it. Every later version keeps the form of
// the first ten bytes and what the checksum covers, so that a reader can distinguish a newer frame
// from a damaged one.
const (
	magic        = "EYEF"
	frameVersion = 2
	codecS2      = 1
	codecPadding = 2
	checksumAt   = len(magic) + 2
	prefixLength = checksumAt + 4
)

// ErrNewer reports that a frame was written by a newer version of The Eye. The frame is intact and
// must be left unchanged for that version.
var ErrNewer = errors.New("written by a newer version of The Eye; start that version again")

// checksum returns the CRC-32C of a frame of version 2 or later, excluding the checksum itself. The
// payload has at least prefixLength bytes.
func checksum(payload []byte) uint32 {
	return durable.Checksum(payload[:checksumAt], payload[prefixLength:])
}

// encodeFrame returns the payload of a frame.
func encodeFrame(f Frame) ([]byte, error) {
	if len(f.Body) > MaxBody {
		return nil, fmt.Errorf("%w: %d bytes of records, at most %d fit", ErrTooLarge, len(f.Body), MaxBody)
	}
	header := 0
	for _, c := range f.Counts {
		header += c.HeaderBytes()
	}
	if header > MaxCounts {
		return nil, fmt.Errorf("%w: the counts of %d applications take %d bytes, at most %d fit", ErrTooLarge, len(f.Counts), header, MaxCounts)
	}
	b := make([]byte, prefixLength, prefixLength+64*len(f.Counts)+16+s2.MaxEncodedLen(len(f.Body)))
	copy(b, magic)
	b[4], b[5] = frameVersion, codecS2
	b = binary.AppendUvarint(b, uint64(len(f.Counts)))
	for _, c := range f.Counts {
		b = binary.AppendUvarint(b, uint64(len(c.App)))
		b = append(b, c.App...)
		b = binary.AppendUvarint(b, c.Received)
		b = binary.AppendUvarint(b, c.Rejected)
	}
	b = binary.AppendUvarint(b, uint64(len(f.Body)))
	packed := s2.Encode(b[len(b):cap(b)], f.Body)
	b = append(b, packed...) // in place: Encode wrote into the free capacity
	binary.LittleEndian.PutUint32(b[checksumAt:], checksum(b))
	if len(b) > MaxPayload {
		return nil, fmt.Errorf("%w: a frame of %d bytes, at most %d fit", ErrTooLarge, len(b), MaxPayload)
	}
	return b, nil
}

// paddingFrame returns the payload of a padding frame of size bytes.
func paddingFrame(size int) []byte {
	b := make([]byte, max(size, prefixLength))
	copy(b, magic)
	b[len(magic)], b[len(magic)+1] = frameVersion, codecPadding
	binary.LittleEndian.PutUint32(b[checksumAt:], checksum(b))
	return b
}

var errShort = errors.New("unexpected end")

// checkPrefix verifies the first ten bytes of a payload, including the checksum.
func checkPrefix(payload []byte) error {
	if len(payload) < prefixLength || string(payload[:len(magic)]) != magic {
		return errors.New("not a frame")
	}
	version, codec := payload[len(magic)], payload[len(magic)+1]
	sum := checksum(payload)
	if version == 1 {
		sum = durable.Checksum(payload[prefixLength:])
	}
	switch {
	case sum != binary.LittleEndian.Uint32(payload[checksumAt:]):
		return errors.New("checksum does not match")
	case version > frameVersion:
		return fmt.Errorf("frame version %d: %w", version, ErrNewer)
	case version == frameVersion && codec != codecS2 && codec != codecPadding:
		return fmt.Errorf("frame compression %d: %w", codec, ErrNewer)
	case version == 0, version == 1 && codec != codecS2:
		return fmt.Errorf("unknown version %d or compression %d", version, codec)
	}
	return nil
}

// decodeFrame decodes a payload. Any input is safe. The error wraps ErrNewer if the payload is
// intact but of a newer version; any other error means damage.
func decodeFrame(payload []byte) (Frame, error) {
	if err := checkPrefix(payload); err != nil {
		return Frame{}, err
	}
	if payload[len(magic)+1] == codecPadding {
		return Frame{}, nil
	}
	rest := payload[prefixLength:]
	number := func(limit uint64) (uint64, error) {
		v, n := binary.Uvarint(rest)
		if n <= 0 || v > limit {
			return 0, errShort
		}
		rest = rest[n:]
		return v, nil
	}
	var f Frame
	apps, err := number(uint64(len(rest)))
	if err != nil {
		return Frame{}, err
	}
	for range apps {
		size, err := number(uint64(len(rest)))
		if err != nil || size > uint64(len(rest)) {
			return Frame{}, errShort
		}
		c := Count{App: string(rest[:size])}
		rest = rest[size:]
		received, err1 := number(math.MaxUint32)
		rejected, err2 := number(math.MaxUint32)
		if err := errors.Join(err1, err2); err != nil {
			return Frame{}, err
		}
		c.Received, c.Rejected = received, rejected
		f.Counts = append(f.Counts, c)
	}
	size, err := number(MaxBody)
	if err != nil {
		return Frame{}, err
	}
	if n, err := s2.DecodedLen(rest); err != nil || uint64(n) != size {
		return Frame{}, errors.New("length of the records does not match")
	}
	if f.Body, err = s2.Decode(nil, rest); err != nil {
		return Frame{}, fmt.Errorf("unpack records: %w", err)
	}
	return f, nil
}
