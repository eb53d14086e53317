package duckdb

import (
	"crypto/md5" //nolint:gosec // spreads keys, guards nothing; DuckDB has the same
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"syscall"
	"unsafe"

	"github.com/FastFilter/xorfilter"
	"github.com/google/uuid"
)

// A segment's filters tell what it may hold (S4). Each is a binary fuse filter
// with 16-bit fingerprints: of 65,536 keys that are not there one is said to be.
//
// They are two series, each of one for each slice of events and one for rejections
// and traces together: the first of event ids by (application, id), the second of
// sessions.
type filters struct {
	sets   []xorfilter.BinaryFuse[uint16]
	mapped []byte
}

// The form of the file: magic, number of filters, then for each seed, segment
// length, segment count, and the number of fingerprints; CRC-32C of all that; the
// fingerprints of all filters; CRC-32C of these. Numbers are little endian.
const (
	filterMagic  = "EYEFLT1\n"
	filterHead   = 8 + 4 + 4 + 4
	filterPrefix = len(filterMagic) + 4
)

var errDamagedFilter = errors.New("damaged filter file")

// eventKey is the key of an event id. eventKeySQL renders the same.
func eventKey(app string, id uuid.UUID) uint64 {
	var buffer [128]byte
	b := append(append(buffer[:0], app...), '/')
	b = hex.AppendEncode(b, id[:4])
	for _, group := range [][]byte{id[4:6], id[6:8], id[8:10], id[10:]} {
		b = hex.AppendEncode(append(b, '-'), group)
	}
	return textKey(b)
}

func eventKeySQL(id string) string {
	return "md5_number_lower(concat(app, '/', CAST(" + id + " AS VARCHAR)))"
}

// sessionKey is the key of a session. sessionKeySQL renders the same.
func sessionKey(session string) uint64 { return textKey([]byte(session)) }

const sessionKeySQL = "md5_number_lower(session_id)"

func textKey(b []byte) uint64 {
	sum := md5.Sum(b) //nolint:gosec // see the import
	return binary.LittleEndian.Uint64(sum[8:])
}

// buildFilters makes filters of lists of keys, which it changes.
func buildFilters(lists [][]uint64) ([]byte, error) {
	var builder xorfilter.BinaryFuseBuilder
	b := append([]byte(filterMagic), 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(b[len(filterMagic):], uint32(len(lists)))
	var prints []byte
	for _, keys := range lists {
		var f xorfilter.BinaryFuse[uint16]
		if len(keys) > 0 {
			var err error
			if f, err = xorfilter.BuildBinaryFuse[uint16](&builder, keys); err != nil {
				return nil, fmt.Errorf("build filter of %d keys: %w", len(keys), err)
			}
		}
		b = binary.LittleEndian.AppendUint64(b, f.Seed)
		b = binary.LittleEndian.AppendUint32(b, f.SegmentLength)
		b = binary.LittleEndian.AppendUint32(b, f.SegmentCount)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(f.Fingerprints)))
		for _, p := range f.Fingerprints {
			prints = binary.LittleEndian.AppendUint16(prints, p)
		}
	}
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli()))
	b = append(b, prints...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(prints, castagnoli())), nil
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// openFilters maps a file of n filters into memory. Its fingerprints are checked
// by verify alone, which reads all of them.
func openFilters(path string, n int) (*filters, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	head := filterPrefix + n*filterHead
	if info.Size() < int64(head+8) {
		return nil, errDamagedFilter
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	x := &filters{mapped: b}
	if !x.read(n, head) {
		return nil, errors.Join(errDamagedFilter, x.close())
	}
	return x, nil
}

func (x *filters) read(n, head int) bool {
	b := x.mapped
	if string(b[:len(filterMagic)]) != filterMagic || binary.LittleEndian.Uint32(b[len(filterMagic):]) != uint32(n) ||
		binary.LittleEndian.Uint32(b[head:]) != crc32.Checksum(b[:head], castagnoli()) {
		return false
	}
	at := head + 4
	for i := range n {
		h := b[filterPrefix+i*filterHead:]
		f := xorfilter.BinaryFuse[uint16]{
			Seed: binary.LittleEndian.Uint64(h), SegmentLength: binary.LittleEndian.Uint32(h[8:]), SegmentCount: binary.LittleEndian.Uint32(h[12:]),
		}
		f.SegmentLengthMask, f.SegmentCountLength = f.SegmentLength-1, f.SegmentLength*f.SegmentCount
		count := int(binary.LittleEndian.Uint32(h[16:]))
		if at+2*count > len(b)-4 {
			return false
		}
		if count > 0 {
			f.Fingerprints = unsafe.Slice((*uint16)(unsafe.Pointer(&b[at])), count) //nolint:gosec // at is even, as the prefix and the heads are, and the bytes are there: both were checked
		}
		at += 2 * count
		x.sets = append(x.sets, f)
	}
	return at == len(b)-4
}

// verify reads all fingerprints.
func (x *filters) verify() error {
	n := len(x.mapped) - 4
	if binary.LittleEndian.Uint32(x.mapped[n:]) != crc32.Checksum(x.mapped[filterPrefix+len(x.sets)*filterHead+4:n], castagnoli()) {
		return errDamagedFilter
	}
	return nil
}

// filterCount is how many filters a segment has.
func filterCount(slices int) int { return 2 * (slices + 1) }

// firstFilter is where a series begins.
func firstFilter(of series, slices int) int { return int(of) * (slices + 1) }

// series is what a series of filters holds.
type series int

const (
	eventIDs series = iota
	sessionIDs
)

// has reports whether filter i may hold a key.
func (x *filters) has(i int, key uint64) bool {
	return len(x.sets[i].Fingerprints) > 0 && x.sets[i].Contains(key)
}

// close unmaps the file. Nobody may use the filters meanwhile.
func (x *filters) close() error {
	if x == nil || x.mapped == nil {
		return nil
	}
	err := syscall.Munmap(x.mapped)
	x.mapped, x.sets = nil, nil
	return err
}
