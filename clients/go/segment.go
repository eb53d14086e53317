package theeye

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// A segment begins with magic. A record follows for each event, with integers in little-endian order:
//
//	4 bytes  length of the event
//	4 bytes  CRC-32C of what follows
//	8 bytes  id of the era of the event's timestamp
//	         the event, as it is sent
//
// The file "settled" holds the number of a segment, how many of its events are settled (8 bytes each),
// and their CRC-32C. It is not synced: what a power cut takes of it is sent again.
const (
	magic       = "EYESPL01"
	recordHead  = 16
	settledSize = 20
	// maxRecord is more than what can be tracked; a greater length is damage.
	maxRecord = 1 << 30
)

var errDamaged = errors.New("the spool is damaged")

// segment is a file of events.
type segment struct {
	file   uint64 // its number, and name
	first  uint64 // the number of its first event
	events int
	skip   int // settled events before the first, of another process
	bytes  int64
}

func (s *segment) name(folder string) string {
	return filepath.Join(folder, fmt.Sprintf("%012d.segment", s.file))
}

// end returns the number after that of the last event.
func (s *segment) end() uint64 { return s.first + uint64(s.events) }

// listSegments returns the segments in a folder, in order. What follows the last complete record of a
// segment is cut off; cut is its size, of all segments.
func listSegments(folder string) (segments []segment, cut int64, err error) {
	files, err := os.ReadDir(folder) // in the order of their names
	if err != nil {
		return nil, 0, err
	}
	for _, file := range files {
		var s segment
		name := filepath.Join(folder, file.Name())
		if _, err := fmt.Sscanf(file.Name(), "%d.segment", &s.file); err != nil || s.name(folder) != name {
			continue // not a segment
		}
		torn, err := s.scan(name)
		if err != nil {
			return nil, 0, err
		}
		cut += torn
		segments = append(segments, s)
	}
	return segments, cut, nil
}

// scan counts the events of a segment and cuts off what follows the last complete one.
func (s *segment) scan(name string) (cut int64, err error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	in := bufio.NewReader(f)
	if readMagic(in) == nil {
		s.bytes = int64(len(magic))
		for {
			event, _, err := readRecord(in)
			if err != nil {
				break
			}
			s.events++
			s.bytes += recordBytes(event)
		}
	}
	if cut = info.Size() - s.bytes; cut > 0 {
		err = f.Truncate(s.bytes)
	}
	return cut, err
}

func readMagic(in io.Reader) error {
	var head [len(magic)]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return err
	}
	if string(head[:]) != magic {
		return errDamaged
	}
	return nil
}

func recordBytes(event []byte) int64 { return recordHead + int64(len(event)) }

func appendRecord(b []byte, e entry) []byte {
	var id uint64
	if e.era != nil {
		id = e.era.id
	}
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(e.event)))
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, id)
	b = append(b, e.event...)
	binary.LittleEndian.PutUint32(b[start+4:], checksum(b[start+8:]))
	return b
}

// readRecord reads an event and the id of its era.
func readRecord(in io.Reader) (event []byte, era uint64, err error) {
	var head [recordHead]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, 0, err
	}
	length := binary.LittleEndian.Uint32(head[:])
	if length == 0 || length > maxRecord {
		return nil, 0, errDamaged
	}
	// The length may be damaged too: memory is taken as the event is read.
	body, err := io.ReadAll(io.LimitReader(in, int64(length)))
	if err != nil {
		return nil, 0, err
	}
	sum := crc32.Update(checksum(head[8:]), castagnoli(), body)
	if len(body) != int(length) || sum != binary.LittleEndian.Uint32(head[4:]) {
		return nil, 0, errDamaged
	}
	return body, binary.LittleEndian.Uint64(head[8:]), nil
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli()) }

// readSettled returns the segment in which events are settled, and how many; zeros if that is not
// known.
func readSettled(f io.ReaderAt) (file uint64, events int) {
	var b [settledSize]byte
	if _, err := f.ReadAt(b[:], 0); err != nil || checksum(b[:16]) != binary.LittleEndian.Uint32(b[16:]) {
		return 0, 0
	}
	return binary.LittleEndian.Uint64(b[:]), int(binary.LittleEndian.Uint64(b[8:]))
}

func writeSettled(f io.WriterAt, file uint64, events int) error {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, settledSize), file)
	b = binary.LittleEndian.AppendUint64(b, uint64(events))
	_, err := f.WriteAt(binary.LittleEndian.AppendUint32(b, checksum(b)), 0)
	return err
}
