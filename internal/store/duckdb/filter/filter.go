// Package filter builds and reads the filters of a segment. They say which slices of the segment
// may contain an event id or a session, without reading the segment.
//
// Each filter is a binary fuse filter. The front filters contain the ids of all events, rejections
// and residues, distributed by their keys over as many filters as there are slices. Most ids are
// not in a segment, which takes one look-up to find out. The other filters locate the slice: each
// slice of events has a filter of event ids and a filter of sessions, and rejections and residues
// together have one of each.
//
// Front filters and session filters have 16 bits per key: the false-positive rate is 1 in 65,536.
// Id filters have 8 bits, because they are only consulted for keys that passed a front filter.
//
// The package does not read segments.
package filter

import (
	"crypto/md5" //nolint:gosec // distributes keys and protects nothing; DuckDB has the same function
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
	"os"
	"syscall"
	"unsafe"

	"github.com/FastFilter/xorfilter"
	"github.com/google/uuid"
)

// ErrDamaged is returned for a file of filters that is damaged.
var ErrDamaged = errors.New("damaged filter file")

// Set contains the filters of one segment, mapped into memory. It may be used concurrently until it
// is closed.
type Set struct {
	front, sessions, ids []filter
	version1             bool
	mapped               []byte
}

// filter is a single filter; nil is an empty one.
type filter interface{ Contains(key uint64) bool }

// The format of the file: magic; number of filters; for each filter its seed, segment length,
// segment count and number of fingerprints; CRC-32C of the preceding bytes; the fingerprints of all
// filters; CRC-32C of the fingerprints. Numbers are little-endian. The order is front, sessions,
// ids.
//
// Version 1 has no front filters, has ids before sessions, has 16 bits in all filters, and uses
// keyVersion1 for the key of an id.
const (
	magicVersion2 = "EYEFLT2\n"
	magicVersion1 = "EYEFLT1\n"
	headBytes     = 8 + 4 + 4 + 4
	prefixBytes   = len(magicVersion2) + 4
)

// idKey returns the key of an event id. The application is not part of it: ids are UUIDs.
func idKey(id uuid.UUID) uint64 {
	return binary.BigEndian.Uint64(id[:8]) ^ binary.BigEndian.Uint64(id[8:])
}

// shard returns which of n front filters contains a key.
func shard(key uint64, n int) int {
	high, _ := bits.Mul64(key*0x9E3779B97F4A7C15, uint64(n)) // Fibonacci hashing, because ids may be consecutive
	return int(high)
}

// keyVersion1 is the key of an event id in version 1.
func keyVersion1(app string, id uuid.UUID) uint64 {
	var buffer [128]byte
	b := append(append(buffer[:0], app...), '/')
	b = hex.AppendEncode(b, id[:4])
	for _, group := range [][]byte{id[4:6], id[6:8], id[8:10], id[10:]} {
		b = hex.AppendEncode(append(b, '-'), group)
	}
	return textKey(b)
}

// SessionKey returns the key of a session: the second half of the MD5 sum of its id, as a
// little-endian number.
func SessionKey(session string) uint64 { return textKey([]byte(session)) }

func textKey(b []byte) uint64 {
	sum := md5.Sum(b) //nolint:gosec // see the import
	return binary.LittleEndian.Uint64(sum[8:])
}

// writer writes a file of filters.
type writer struct {
	builder *xorfilter.BinaryFuseBuilder // shared by all writers of a Builder
	n       uint32
	heads   []byte
	prints  []byte
}

// addFilter adds a filter of keys, which it modifies.
func addFilter[T uint8 | uint16](w *writer, keys []uint64) error {
	var f xorfilter.BinaryFuse[T]
	if len(keys) > 0 {
		var err error
		if f, err = xorfilter.BuildBinaryFuse[T](w.builder, keys); err != nil {
			return fmt.Errorf("build filter of %d keys: %w", len(keys), err)
		}
	}
	w.n++
	w.heads = binary.LittleEndian.AppendUint64(w.heads, f.Seed)
	w.heads = binary.LittleEndian.AppendUint32(w.heads, f.SegmentLength)
	w.heads = binary.LittleEndian.AppendUint32(w.heads, f.SegmentCount)
	w.heads = binary.LittleEndian.AppendUint32(w.heads, uint32(len(f.Fingerprints)))
	switch prints := any(f.Fingerprints).(type) {
	case []uint8:
		w.prints = append(w.prints, prints...)
	case []uint16:
		for _, p := range prints {
			w.prints = binary.LittleEndian.AppendUint16(w.prints, p)
		}
	}
	return nil
}

// append adds the filters of other writers.
func (w *writer) append(others ...*writer) {
	for _, x := range others {
		w.n += x.n
		w.heads, w.prints = append(w.heads, x.heads...), append(w.prints, x.prints...)
	}
}

// bytes returns the content of the file.
func (w *writer) bytes() []byte {
	b := binary.LittleEndian.AppendUint32([]byte(magicVersion2), w.n)
	b = append(b, w.heads...)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli()))
	b = append(b, w.prints...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(w.prints, castagnoli()))
}

// Builder builds the filters of one segment: those of its slices in their order, then those of its
// rejections and residues.
type Builder struct {
	front         [][]uint64 // keys of each front filter
	sessionKeys   []uint64   // of the current slice
	idKeys        []uint64   // of the current slice
	sessions, ids writer
	builder       *xorfilter.BinaryFuseBuilder
}

// NewBuilder returns a builder for a segment with a number of slices and an estimated number of
// rows.
func NewBuilder(slices int, rows int64) *Builder {
	b := &Builder{front: make([][]uint64, slices), builder: &xorfilter.BinaryFuseBuilder{}}
	for i := range b.front {
		b.front[i] = make([]uint64, 0, int(rows)/slices*17/16)
	}
	b.sessions.builder, b.ids.builder = b.builder, b.builder
	return b
}

// AddID adds an event id to the current slice.
func (b *Builder) AddID(id uuid.UUID) {
	key := idKey(id)
	b.idKeys = append(b.idKeys, key)
	i := shard(key, len(b.front))
	b.front[i] = append(b.front[i], key)
}

// AddSession adds a session to the current slice, by its SessionKey. A session must be added only
// once to a slice.
func (b *Builder) AddSession(key uint64) { b.sessionKeys = append(b.sessionKeys, key) }

// EndSlice ends the current slice and begins the next one. It must also be called after the
// rejections and residues.
func (b *Builder) EndSlice() error {
	if err := addFilter[uint8](&b.ids, b.idKeys); err != nil {
		return err
	}
	err := addFilter[uint16](&b.sessions, b.sessionKeys)
	b.idKeys, b.sessionKeys = b.idKeys[:0], b.sessionKeys[:0]
	return err
}

// Encode returns the content of the file. It may be called only once, because it releases the keys.
func (b *Builder) Encode() ([]byte, error) {
	b.idKeys, b.sessionKeys = nil, nil
	w := writer{builder: b.builder}
	for i, keys := range b.front {
		if err := addFilter[uint16](&w, keys); err != nil {
			return nil, err
		}
		b.front[i] = nil
	}
	w.append(&b.sessions, &b.ids)
	return w.bytes(), nil
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// Open maps the filter file of a segment with a number of slices into memory. The error is
// ErrDamaged if the file is not such a file. Open does not check the fingerprints; Verify does.
func Open(path string, slices int) (*Set, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() < int64(prefixBytes) {
		return nil, ErrDamaged
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	x := &Set{mapped: b}
	if !x.read(slices) {
		return nil, errors.Join(ErrDamaged, x.Close())
	}
	return x, nil
}

func (x *Set) read(slices int) bool {
	r := reader{bytes: x.mapped}
	switch {
	case r.begin(magicVersion2, 3*slices+2):
		x.front, x.sessions, x.ids = take[uint16](&r, slices), take[uint16](&r, slices+1), take[uint8](&r, slices+1)
	case r.begin(magicVersion1, 2*(slices+1)):
		x.version1 = true
		x.ids, x.sessions = take[uint16](&r, slices+1), take[uint16](&r, slices+1)
	default:
		return false
	}
	return !r.wrong && r.at == len(r.bytes)-4
}

// reader reads a file of filters.
type reader struct {
	bytes    []byte
	next, at int  // the number of the next filter, and the offset of its fingerprints
	wrong    bool // the file is too short
}

// begin reports whether the file begins with a magic and has n filters. It verifies the checksum of
// everything before the fingerprints.
func (r *reader) begin(magic string, n int) bool {
	b, head := r.bytes, prefixBytes+n*headBytes
	r.at = head + 4
	return len(b) >= r.at+4 && string(b[:len(magic)]) == magic && binary.LittleEndian.Uint32(b[len(magic):]) == uint32(n) &&
		binary.LittleEndian.Uint32(b[head:]) == crc32.Checksum(b[:head], castagnoli())
}

// take reads n filters. They share the memory of the file.
func take[T uint8 | uint16](r *reader, n int) []filter {
	list := make([]filter, n)
	for i := range list {
		h := r.bytes[prefixBytes+r.next*headBytes:]
		r.next++
		f := xorfilter.BinaryFuse[T]{
			Seed: binary.LittleEndian.Uint64(h), SegmentLength: binary.LittleEndian.Uint32(h[8:]), SegmentCount: binary.LittleEndian.Uint32(h[12:]),
		}
		f.SegmentLengthMask, f.SegmentCountLength = f.SegmentLength-1, f.SegmentLength*f.SegmentCount
		count := int(binary.LittleEndian.Uint32(h[16:]))
		size := count * int(unsafe.Sizeof(T(0)))
		if r.at+size > len(r.bytes)-4 {
			r.wrong = true
			return list
		}
		if count > 0 {
			f.Fingerprints = unsafe.Slice((*T)(unsafe.Pointer(&r.bytes[r.at])), count) //nolint:gosec // the bytes exist, and fingerprints of 16 bits come first, at even offsets: the prefix and the heads have even sizes
			list[i] = &f
		}
		r.at += size
	}
	return list
}

// Verify reads all fingerprints. The error is ErrDamaged if their checksum does not match.
func (x *Set) Verify() error {
	n := len(x.mapped) - 4
	heads := len(x.front) + len(x.sessions) + len(x.ids)
	if binary.LittleEndian.Uint32(x.mapped[n:]) != crc32.Checksum(x.mapped[prefixBytes+heads*headBytes+4:n], castagnoli()) {
		return ErrDamaged
	}
	return nil
}

// NeedsApps reports whether IDs needs the applications, which are part of the keys in version 1.
func (x *Set) NeedsApps() bool { return x.version1 }

// maxVersion1Keys bounds how many keys of version 1 are computed for one call, because each takes
// an MD5 sum. Beyond it, IDs returns all slices.
const maxVersion1Keys = 10_000

// IDs returns the slices that may contain events with any of the ids. others reports whether the
// segment may contain rejections or residues of such events. apps are the applications to which the
// events may belong; they are only used if NeedsApps.
func (x *Set) IDs(apps []string, ids []uuid.UUID) (slices []int, others bool) {
	if x.version1 {
		return x.idsVersion1(apps, ids)
	}
	var keys []uint64
	for _, id := range ids {
		if key := idKey(id); has(x.front[shard(key, len(x.front))], key) {
			keys = append(keys, key)
		}
	}
	if keys == nil {
		return nil, false
	}
	return slicesOf(x.ids, keys)
}

// idsVersion1 is IDs for version 1.
func (x *Set) idsVersion1(apps []string, ids []uuid.UUID) (slices []int, others bool) {
	if len(apps)*len(ids) > maxVersion1Keys {
		for i := range len(x.ids) - 1 {
			slices = append(slices, i)
		}
		return slices, true
	}
	keys := make([]uint64, 0, len(apps)*len(ids))
	for _, app := range apps {
		for _, id := range ids {
			keys = append(keys, keyVersion1(app, id))
		}
	}
	return slicesOf(x.ids, keys)
}

// Sessions returns the slices that may contain events of any of the sessions, given by their
// SessionKeys. others reports whether the segment may contain rejections or residues of these.
func (x *Set) Sessions(keys []uint64) (slices []int, others bool) { return slicesOf(x.sessions, keys) }

// slicesOf returns the slices whose filters may contain any of the keys, and whether the last
// filter, that of rejections and residues, may.
func slicesOf(list []filter, keys []uint64) (slices []int, others bool) {
	for i, f := range list {
		for _, key := range keys {
			if !has(f, key) {
				continue
			}
			if i == len(list)-1 {
				return slices, true
			}
			slices = append(slices, i)
			break
		}
	}
	return slices, false
}

func has(f filter, key uint64) bool { return f != nil && f.Contains(key) }

// Close unmaps the file. The filters must not be in use. Closing a nil Set does nothing.
func (x *Set) Close() error {
	if x == nil || x.mapped == nil {
		return nil
	}
	err := syscall.Munmap(x.mapped)
	*x = Set{}
	return err
}
