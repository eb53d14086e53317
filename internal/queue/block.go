package queue

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/minio/highwayhash"
)

// A block is a file of the server's file store, N.blk in the folder msgs of a stream: a list of
// records, each little endian and in this order, as in writeMsgRecordLocked of filestore.go in
// nats-server 2.15:
//
//	length    4  of the whole record; the high bit is set if there is a header
//	sequence  8  the high bit marks an erased record, the next one a tombstone
//	time      8  nanoseconds since 1970
//	subject   2  its length
//	subject
//	header    4  its length, only when there is one
//	header
//	payload
//	checksum  8  HighwayHash-64 of sequence, time, subject, header and payload
//
// The key of the checksum is the SHA-256 of the stream's name, "-" and N. The checksum does not
// cover the lengths; this reader checks them by what they delimit.
const (
	recordHead     = 22
	recordChecksum = 8
	minRecordBytes = recordHead + recordChecksum
	maxRecordBytes = 32 << 20 // NATS takes no longer record either
	recordHeadered = 1 << 31
	recordErased   = 1 << 63
	recordTomb     = 1 << 62
	maxResyncBytes = 1 << 30 // a second of work
)

// The first and the last bytes of a message's header.
const (
	headerBegin = "NATS/1.0"
	headerEnd   = "\r\n\r\n"
)

// blockRecord is one record of a block. It shares memory with the block.
type blockRecord struct {
	size     int // bytes of the whole record
	sequence uint64
	at       int64 // nanoseconds since 1970
	removed  bool  // erased, or a tombstone: there is no message
	subject  string
	header   []byte
	payload  []byte
}

// errTruncated reports that the input ends within its first record.
var errTruncated = errors.New("the record is cut off")

// blockReader reads the records of one block. Only one goroutine may use it.
type blockReader struct {
	sum      hash.Hash
	subjects []string // of the stream's configuration, which its messages have; nil for any
	digest   [recordChecksum]byte
}

func newBlockReader(stream string, index uint32, subjects []string) *blockReader {
	key := sha256.Sum256(fmt.Appendf(nil, "%s-%d", stream, index))
	sum, err := highwayhash.New64(key[:])
	if err != nil { // only for a key of another length
		panic(err)
	}
	return &blockReader{sum: sum, subjects: subjects}
}

// record reads the record at the beginning of b. Any input is safe. It returns errTruncated if b is
// what remains of a valid record whose end was not written, and another error for a record that
// does not verify.
func (r *blockReader) record(b []byte) (blockRecord, error) {
	if len(b) < recordHead {
		return blockRecord{}, r.truncated(b)
	}
	length := binary.LittleEndian.Uint32(b)
	headered := length&recordHeadered != 0
	size := int(length &^ recordHeadered)
	flags := binary.LittleEndian.Uint64(b[4:])
	x := blockRecord{
		size: size, sequence: flags &^ (recordErased | recordTomb), removed: flags&(recordErased|recordTomb) != 0,
		at: int64(binary.LittleEndian.Uint64(b[12:])),
	}
	subject := recordHead + int(binary.LittleEndian.Uint16(b[20:]))
	data := subject
	if headered {
		data += 4
	}
	if size > maxRecordBytes || size < data+recordChecksum {
		return x, fmt.Errorf("its length is %d bytes", size)
	}
	if size > len(b) {
		return x, r.truncated(b)
	}
	end := size - recordChecksum
	if !r.verifies(b, subject, data, end) {
		return x, errors.New("its checksum does not match")
	}
	if x.removed { // the contents were overwritten with random bytes
		if subject != recordHead {
			return x, errors.New("it is erased and has a subject")
		}
		return x, nil
	}
	x.subject = string(b[recordHead:subject])
	if err := r.checkSubject(x.subject); err != nil {
		return x, err
	}
	body := data
	if headered {
		n := binary.LittleEndian.Uint32(b[subject:])
		if uint64(n) > uint64(end-data) {
			return x, fmt.Errorf("its header has a length of %d bytes, but only %d are left", n, end-data)
		}
		body += int(n)
		if x.header = b[data:body]; !bytes.HasPrefix(x.header, []byte(headerBegin)) || !bytes.HasSuffix(x.header, []byte(headerEnd)) {
			return x, errors.New("its header does not begin and end like a message header")
		}
	}
	x.payload = b[body:end]
	return x, nil
}

// truncated returns errTruncated if b, which is too short for a record, is the beginning of one.
func (r *blockReader) truncated(b []byte) error {
	if len(b) < recordHead {
		if n := binary.LittleEndian.Uint32(append(bytes.Clone(b), 0, 0, 0, 0)) &^ recordHeadered; len(b) >= 4 && (n < minRecordBytes || n > maxRecordBytes) {
			return fmt.Errorf("its length is %d bytes", n)
		}
		return errTruncated
	}
	headered := binary.LittleEndian.Uint32(b)&recordHeadered != 0
	subject := recordHead + int(binary.LittleEndian.Uint16(b[20:]))
	if r.ends(b, subject, headered) || r.resync(b) >= 0 {
		return errors.New("its length is wrong")
	}
	if len(b) < subject || binary.LittleEndian.Uint64(b[4:])&(recordErased|recordTomb) != 0 {
		return errTruncated
	}
	if err := r.checkSubject(string(b[recordHead:subject])); err != nil {
		return err
	}
	if data := subject + 4; headered && len(b) > data {
		begin := b[data:min(len(b), data+len(headerBegin))]
		if !strings.HasPrefix(headerBegin, string(begin)) {
			return errors.New("its header does not begin like a message header")
		}
	}
	return errTruncated
}

// ends reports whether b is a whole record, except that its length is wrong.
func (r *blockReader) ends(b []byte, subject int, headered bool) bool {
	data := subject
	if headered {
		data += 4
	}
	end := len(b) - recordChecksum
	return data <= end && r.verifies(b, subject, data, end)
}

// verifies reports whether the checksum at end matches the record.
func (r *blockReader) verifies(b []byte, subject, data, end int) bool {
	r.sum.Reset()
	_, _ = r.sum.Write(b[4:20])
	_, _ = r.sum.Write(b[recordHead:subject])
	_, _ = r.sum.Write(b[data:end])
	return bytes.Equal(r.sum.Sum(r.digest[:0]), b[end:end+recordChecksum])
}

// resync returns the offset in b of the first valid record after the one at its beginning, or -1.
// It does not use the length of that one. A payload may contain bytes that look like records, on
// purpose: after computing checksums of maxResyncBytes bytes, resync returns the next such place
// without verifying it.
func (r *blockReader) resync(b []byte) int {
	budget := maxResyncBytes
	for at := minRecordBytes; at+minRecordBytes <= len(b); at++ {
		if !r.plausible(b[at:]) {
			continue
		}
		x, err := r.record(b[at:])
		if budget -= x.size; err == nil || budget < 0 {
			return at
		}
	}
	return -1
}

// plausible is a cheap check whether b may begin with a record.
func (r *blockReader) plausible(b []byte) bool {
	size := int(binary.LittleEndian.Uint32(b) &^ recordHeadered)
	subject := recordHead + int(binary.LittleEndian.Uint16(b[20:]))
	if size < subject+recordChecksum || size > len(b) {
		return false
	}
	if binary.LittleEndian.Uint64(b[4:])&(recordErased|recordTomb) != 0 {
		return subject == recordHead && (size == minRecordBytes || binary.LittleEndian.Uint64(b[12:]) == 0)
	}
	return r.checkSubject(string(b[recordHead:subject])) == nil
}

// checkSubject detects a wrong length of the subject, which the checksum of a record without a
// header does not.
func (r *blockReader) checkSubject(s string) error {
	if s == "" || !utf8.ValidString(s) || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || unicode.IsControl(c) }) {
		return errors.New("its subject is not valid")
	}
	if r.subjects == nil {
		return nil
	}
	for _, filter := range r.subjects {
		if matches(s, filter) {
			return nil
		}
	}
	return errors.New("its subject is not one of the stream's")
}

// matches reports whether a subject matches a filter, in which * stands for one token and a final >
// for one or more.
func matches(subject, filter string) bool {
	for {
		token, rest, more := strings.Cut(filter, ".")
		if token == ">" && !more {
			return subject != ""
		}
		got, left, further := strings.Cut(subject, ".")
		if got == "" || token != "*" && token != got || more != further {
			return false
		}
		if !more {
			return true
		}
		filter, subject = rest, left
	}
}

// BlockError reports that a block does not verify.
type BlockError struct {
	Offset int // of the record
	Reason string
	// Torn reports that the block ends within a record that is valid up to there, as after a crash
	// during a write.
	Torn bool
	// Sequence is that of the record, 0 if it is not known.
	Sequence uint64
}

func (e *BlockError) Error() string {
	return fmt.Sprintf("the record at byte %d does not verify: %s", e.Offset, e.Reason)
}

// walk calls do for each record of a block, in order, with its offset. It returns a *BlockError for
// the first record that does not verify. do may be nil.
func (r *blockReader) walk(block []byte, do func(offset int, x blockRecord)) error {
	for at := 0; at < len(block); {
		x, err := r.record(block[at:])
		if err != nil {
			return &BlockError{Offset: at, Reason: err.Error(), Torn: errors.Is(err, errTruncated), Sequence: x.sequence}
		}
		if do != nil {
			do(at, x)
		}
		at += x.size
	}
	return nil
}

// intact returns a block with the records that verify.
func (r *blockReader) intact(block []byte) []byte {
	sound := make([]byte, 0, len(block))
	for at := 0; at < len(block); {
		x, err := r.record(block[at:])
		if err == nil {
			sound = append(sound, block[at:at+x.size]...)
			at += x.size
			continue
		}
		piece, _ := r.damagedPart(block[at:], x.size)
		at += len(piece)
	}
	return sound
}

// hasMessages reports whether a block may contain messages: it has a record that was not removed,
// or it is damaged.
func (r *blockReader) hasMessages(block []byte) bool {
	some := false
	err := r.walk(block, func(_ int, x blockRecord) { some = some || !x.removed })
	return some || err != nil
}
