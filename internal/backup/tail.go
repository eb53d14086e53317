package backup

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"theeye/internal/durable"
	"theeye/internal/envelope"
	"theeye/internal/queue"
)

// The form of a file of frames: its magic, then for each frame, numbers little endian:
//
//	sequence  8
//	counts    4  bytes of the counts
//	payload   4  bytes of the payload
//	checksum  4  CRC-32C (Castagnoli) of everything else
//	counts       a line "application received rejected" for each application
//	payload      as in the queue
//
// Sequences ascend. The same frames always result in the same file.
const (
	tailMagic  = "EYETAIL1"
	tailHead   = 8 + 4 + 4 + 4
	maxCounts  = 1 << 20
	maxPayload = 8 << 20
)

var errTail = errors.New("not a file of frames, or damaged")

// appendFrame adds a frame to b.
func appendFrame(b []byte, r queue.Raw) []byte {
	var counts strings.Builder
	for _, c := range r.Counts {
		fmt.Fprintf(&counts, "%s %d %d\n", c.App, c.Received, c.Rejected)
	}
	at := len(b)
	b = binary.LittleEndian.AppendUint64(b, r.Sequence)
	b = binary.LittleEndian.AppendUint32(b, uint32(counts.Len()))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.Payload)))
	b = binary.LittleEndian.AppendUint32(b, durable.Checksum(b[at:], []byte(counts.String()), r.Payload))
	b = append(b, counts.String()...)
	return append(b, r.Payload...)
}

// tailReader reads a file of frames. Any input is safe.
type tailReader struct {
	in    *bufio.Reader
	begun bool
	last  uint64
}

func newTailReader(in io.Reader) *tailReader { return &tailReader{in: bufio.NewReaderSize(in, 64<<10)} }

// next returns the next frame, or io.EOF after the last one.
func (t *tailReader) next() (r queue.Raw, err error) {
	if !t.begun {
		head := make([]byte, len(tailMagic))
		if _, err := io.ReadFull(t.in, head); err != nil {
			return r, errTail
		}
		if kind := tailMagic[:len(tailMagic)-1]; string(head) != tailMagic && strings.HasPrefix(string(head), kind) {
			return r, fmt.Errorf("%w, or it was %w", errTail, envelope.ErrNewer)
		}
		if string(head) != tailMagic {
			return r, errTail
		}
		t.begun = true
	}
	head := make([]byte, tailHead)
	if _, err := io.ReadFull(t.in, head); err != nil {
		if errors.Is(err, io.EOF) {
			return r, io.EOF
		}
		return r, errTail
	}
	r.Sequence = binary.LittleEndian.Uint64(head)
	counts, payload := binary.LittleEndian.Uint32(head[8:]), binary.LittleEndian.Uint32(head[12:])
	if counts > maxCounts || payload > maxPayload {
		return r, errTail
	}
	body := make([]byte, counts+payload)
	if _, err := io.ReadFull(t.in, body); err != nil {
		return r, errTail
	}
	if durable.Checksum(head[:16], body) != binary.LittleEndian.Uint32(head[16:]) || r.Sequence <= t.last {
		return r, errTail
	}
	for line := range strings.Lines(string(body[:counts])) {
		var c queue.Count
		if _, err := fmt.Sscanf(line, "%s %d %d\n", &c.App, &c.Received, &c.Rejected); err != nil {
			return r, errTail
		}
		r.Counts = append(r.Counts, c)
	}
	r.Payload = body[counts:]
	t.last = r.Sequence
	return r, nil
}

// all yields all frames, and then the error that ended the reading, if any.
func (t *tailReader) all() iter.Seq2[queue.Raw, error] {
	return func(yield func(queue.Raw, error) bool) {
		for {
			r, err := t.next()
			if errors.Is(err, io.EOF) || !yield(r, err) || err != nil {
				return
			}
		}
	}
}
