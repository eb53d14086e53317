package queue

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// Rescued is a frame that was found in a file of the quarantine.
type Rescued struct {
	Sequence uint64 // of the frame, or a smaller one if the sequence is damaged too
	Frame
}

// Errors of Rescue.
var (
	// ErrNoFrames: the file is not one that contains frames.
	ErrNoFrames = errors.New("the file holds no frames")
)

// maxBegins bounds how many places are tried as the beginning of one damaged frame.
const maxBegins = 64

// Rescue calls do for every frame in a file of the quarantine whose own checksum matches, in the
// order of the file, and returns the number of places where a frame could not be read. The name of
// the file says whether it is a copy of a block or a frame. do may keep the frame. Errors:
// ErrNoFrames, ErrNewer before any call of do, and those of do.
//
// An intact record of a block is a single frame, and so is a damaged one whose length is right:
// bytes within it that look like a frame are not one.
func Rescue(name string, content []byte, do func(Rescued) error) (damaged int, err error) {
	found, damaged, err := findFrames(filepath.Base(name), content)
	if err != nil {
		return 0, err
	}
	for _, check := range []bool{true, false} {
		damagedNow := damaged
		for _, x := range found {
			f, err := decodeFrame(x.payload)
			switch {
			case errors.Is(err, ErrNewer):
				return 0, fmt.Errorf("frame %d: %w", x.sequence, err)
			case err != nil:
				damagedNow++
			case !check:
				if err := do(Rescued{x.sequence, f}); err != nil {
					return damagedNow, err
				}
			}
		}
		if !check {
			damaged = damagedNow
		}
	}
	return damaged, nil
}

// candidate is what may be a frame.
type candidate struct {
	sequence uint64
	payload  []byte
}

func findFrames(name string, content []byte) (found []candidate, damaged int, err error) {
	if rest, ok := strings.CutPrefix(name, "frame-"); ok {
		sequence, err := strconv.ParseUint(rest, 10, 64)
		if err != nil {
			return nil, 0, fmt.Errorf("%w: the name of a frame must end with its number", ErrNoFrames)
		}
		return []candidate{{sequence, content}}, 0, nil
	}
	index, err := indexOf(name)
	if err != nil {
		return nil, 0, err
	}
	r := newBlockReader(Stream, index, []string{subject})
	last := uint64(0)
	for at := 0; at < len(content); {
		rest := content[at:]
		x, err := r.record(rest)
		if err == nil {
			if at += x.size; !x.removed {
				found, last = append(found, candidate{x.sequence, x.payload}), x.sequence
			}
			continue
		}
		piece, whole := r.damagedPart(rest, x.size)
		at += len(piece)
		some := salvage(piece, last, whole)
		found = append(found, some...)
		if len(some) == 0 {
			damaged++
		} else {
			last = some[len(some)-1].sequence
		}
	}
	return found, damaged, nil
}

// indexOf returns the number of a block, given the name of its copy in the quarantine.
func indexOf(name string) (uint32, error) {
	rest, ok := strings.CutPrefix(name, quarantinedBlock+Stream+"-")
	if !ok {
		return 0, fmt.Errorf("%w: its name begins with neither frame- nor %s%s-", ErrNoFrames, quarantinedBlock, Stream)
	}
	number, _, _ := strings.Cut(rest, "-")
	index, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%w: %q is not the number of a block", ErrNoFrames, number)
	}
	return uint32(index), nil
}

// damagedPart returns the bytes from a record that does not verify to the next one that does, or to
// the end. whole reports whether they are one record, according to its length.
func (r *blockReader) damagedPart(b []byte, size int) (piece []byte, whole bool) {
	if size >= minRecordBytes && size <= len(b) {
		if _, err := r.record(b[size:]); err == nil || size == len(b) {
			return b[:size], true
		}
	}
	if n := r.resync(b); n >= 0 {
		return b[:n], false
	}
	return b, false
}

// salvage looks for intact frames in piece, which consists of records that do not verify. If piece
// is not one whole record, it may be several whose lengths are damaged; they are found by their
// subject.
func salvage(piece []byte, last uint64, whole bool) (found []candidate) {
	starts := []int{0}
	if !whole {
		mark := append(binary.LittleEndian.AppendUint16(nil, uint16(len(subject))), subject...)
		for from := minRecordBytes; ; {
			n := bytes.Index(piece[min(from, len(piece)):], mark)
			if n < 0 {
				break
			}
			starts = append(starts, from+n-recordHead+2)
			from += n + 1
		}
	}
	for i, start := range starts {
		end := len(piece)
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		if payload := salvageOne(piece[start:end]); payload != nil {
			sequence := last + 1
			if stored := binary.LittleEndian.Uint64(piece[start+4:]) &^ (recordErased | recordTomb); stored > last && stored < last+uint64(len(piece)) {
				sequence = stored
			}
			found = append(found, candidate{sequence, payload})
			last = sequence
		}
	}
	return found
}

// salvageOne returns the payload of a damaged record, or nil if the payload is not intact.
func salvageOne(b []byte) []byte {
	if len(b) < minRecordBytes {
		return nil
	}
	ends := []int{len(b) - recordChecksum, len(b)}
	if size := int(binary.LittleEndian.Uint32(b) &^ recordHeadered); size-recordChecksum < len(b) {
		ends = append(ends, size-recordChecksum) // only its checksum is cut off, or other bytes follow it
	}
	for begin, tries := recordHead, 0; tries < maxBegins; tries++ {
		n := bytes.Index(b[begin:], []byte(magic))
		if n < 0 {
			return nil
		}
		begin += n
		for _, end := range ends {
			if end <= begin {
				continue
			}
			if err := checkPrefix(b[begin:end]); err == nil || errors.Is(err, ErrNewer) {
				return b[begin:end]
			}
		}
		begin++
	}
	return nil
}
