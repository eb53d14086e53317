package duckdb

import (
	"context"
	"crypto/md5" //nolint:gosec // spreads keys, guards nothing; DuckDB has the same
	"database/sql"
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

// A segment's filters tell what it may hold (S4). Each is a binary fuse filter. The front filters
// have the ids of all events, rejections and traces, spread over as many filters as there are slices
// by their keys: most ids are not in a segment, and one look says so. The others tell the slice: of
// event ids and of sessions there is a filter for each slice of events, and one for rejections and
// traces together.
//
// With 16 bits, as front filters and those of sessions have, one of 65,536 keys that are not there
// is said to be. Those of ids have 8: they are asked about keys that passed a front filter.
type filters struct {
	front, sessions, ids []filter
	former               bool // of version 1
	mapped               []byte
}

// filter is one of them; nil is empty.
type filter interface{ Contains(key uint64) bool }

// The form of the file: magic, number of filters, then for each seed, segment
// length, segment count, and the number of fingerprints; CRC-32C of all that; the
// fingerprints of all filters; CRC-32C of these. Numbers are little endian. The order is front,
// sessions, ids.
//
// Version 1 has no front filters, ids come before sessions, all have 16 bits, and the key of an id
// is formerKey.
const (
	filterMagic  = "EYEFLT2\n"
	formerMagic  = "EYEFLT1\n"
	filterHead   = 8 + 4 + 4 + 4
	filterPrefix = len(filterMagic) + 4
)

var errDamagedFilter = errors.New("damaged filter file")

// idFilterKey is the key of an event id. The application is no part of it: ids are UUIDs.
func idFilterKey(id uuid.UUID) uint64 {
	return binary.BigEndian.Uint64(id[:8]) ^ binary.BigEndian.Uint64(id[8:])
}

// shard returns which of n front filters has a key.
func shard(key uint64, n int) int {
	high, _ := bits.Mul64(key*0x9E3779B97F4A7C15, uint64(n)) // Fibonacci hashing: ids may count
	return int(high)
}

// formerKey is the key of an event id in version 1.
func formerKey(app string, id uuid.UUID) uint64 {
	var buffer [128]byte
	b := append(append(buffer[:0], app...), '/')
	b = hex.AppendEncode(b, id[:4])
	for _, group := range [][]byte{id[4:6], id[6:8], id[8:10], id[10:]} {
		b = hex.AppendEncode(append(b, '-'), group)
	}
	return textKey(b)
}

// sessionKey is the key of a session. sessionKeySQL renders the same.
func sessionKey(session string) uint64 { return textKey([]byte(session)) }

const sessionKeySQL = "md5_number_lower(session_id)"

func textKey(b []byte) uint64 {
	sum := md5.Sum(b) //nolint:gosec // see the import
	return binary.LittleEndian.Uint64(sum[8:])
}

// filterWriter writes a file of filters.
type filterWriter struct {
	builder *xorfilter.BinaryFuseBuilder // many share it
	n       uint32
	heads   []byte
	prints  []byte
}

// addFilter adds a filter of keys, which it changes.
func addFilter[T uint8 | uint16](w *filterWriter, keys []uint64) error {
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

// append adds the filters of others.
func (w *filterWriter) append(others ...*filterWriter) {
	for _, x := range others {
		w.n += x.n
		w.heads, w.prints = append(w.heads, x.heads...), append(w.prints, x.prints...)
	}
}

// bytes returns the content of the file.
func (w *filterWriter) bytes() []byte {
	b := binary.LittleEndian.AppendUint32([]byte(filterMagic), w.n)
	b = append(b, w.heads...)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli()))
	b = append(b, w.prints...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(w.prints, castagnoli()))
}

// filterSegment reads the keys of a segment's tables and returns the content of its file of filters.
func filterSegment(ctx context.Context, in *instance, name string, info *SegmentInfo) ([]byte, error) {
	f := &filtering{in: in, front: make([][]uint64, info.Slices)}
	for i := range f.front {
		f.front[i] = make([]uint64, 0, int(info.Rows.Events+info.Rows.Rejections+info.Rows.Traces)/info.Slices*17/16)
	}
	var builder xorfilter.BinaryFuseBuilder
	f.sessions.builder, f.ids.builder = &builder, &builder
	w := filterWriter{builder: &builder}
	for i := range info.Slices {
		rows := func(table string) string { return fmt.Sprintf(" FROM %s.%s WHERE slice = %d", name, table, i) }
		if err := f.add(ctx, "SELECT id"+rows(eventTable), "SELECT DISTINCT "+sessionKeySQL+rows(sessionTable)); err != nil {
			return nil, err
		}
	}
	const columns = "SELECT event_id, session_id FROM "
	others := " FROM (" + columns + name + "." + rejectionTable + " UNION ALL " + columns + name + "." + traceTable + ")"
	if err := f.add(ctx, "SELECT event_id"+others, "SELECT DISTINCT "+sessionKeySQL+others); err != nil {
		return nil, err
	}
	f.keys = nil
	for i, keys := range f.front {
		if err := addFilter[uint16](&w, keys); err != nil {
			return nil, err
		}
		f.front[i] = nil
	}
	w.append(&f.sessions, &f.ids)
	return w.bytes(), nil
}

// filtering reads the keys of filters.
type filtering struct {
	in    *instance
	front [][]uint64
	keys  []uint64 // of one filter

	sessions, ids filterWriter // in the order in which the tables are read, not that of the file
}

// add adds the filters of a slice, or of rejections and traces: of the ids and of the keys of sessions that
// two statements select.
func (f *filtering) add(ctx context.Context, ids, sessions string) error {
	f.keys = f.keys[:0]
	err := eachRow(ctx, f.in, ids, func(rows *sql.Rows) error {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			return err
		}
		key := idFilterKey(id)
		f.keys = append(f.keys, key)
		i := shard(key, len(f.front))
		f.front[i] = append(f.front[i], key)
		return nil
	})
	if err == nil {
		err = addFilter[uint8](&f.ids, f.keys)
	}
	if err != nil {
		return err
	}
	f.keys = f.keys[:0]
	err = eachRow(ctx, f.in, sessions, func(rows *sql.Rows) error {
		var key uint64
		err := rows.Scan(&key)
		f.keys = append(f.keys, key)
		return err
	})
	if err != nil {
		return err
	}
	return addFilter[uint16](&f.sessions, f.keys)
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// openFilters maps the file of the filters of a segment into memory. Its fingerprints are checked
// by verify alone, which reads all of them.
func openFilters(path string, slices int) (*filters, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() < int64(filterPrefix) {
		return nil, errDamagedFilter
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	x := &filters{mapped: b}
	if !x.read(slices) {
		return nil, errors.Join(errDamagedFilter, x.close())
	}
	return x, nil
}

func (x *filters) read(slices int) bool {
	r := filterReader{bytes: x.mapped}
	switch {
	case r.begin(filterMagic, 3*slices+2):
		x.front, x.sessions, x.ids = take[uint16](&r, slices), take[uint16](&r, slices+1), take[uint8](&r, slices+1)
	case r.begin(formerMagic, 2*(slices+1)):
		x.former = true
		x.ids, x.sessions = take[uint16](&r, slices+1), take[uint16](&r, slices+1)
	default:
		return false
	}
	return !r.wrong && r.at == len(r.bytes)-4
}

// filterReader reads a file of filters.
type filterReader struct {
	bytes    []byte
	next, at int // of a filter: its number, and where its fingerprints are
	wrong    bool
}

// begin reports whether the file is one of n filters in the form that a magic names. It checks what comes
// before the fingerprints.
func (r *filterReader) begin(magic string, n int) bool {
	b, head := r.bytes, filterPrefix+n*filterHead
	r.at = head + 4
	return len(b) >= r.at+4 && string(b[:len(magic)]) == magic && binary.LittleEndian.Uint32(b[len(magic):]) == uint32(n) &&
		binary.LittleEndian.Uint32(b[head:]) == crc32.Checksum(b[:head], castagnoli())
}

// take reads some filters. They share the memory of the file.
func take[T uint8 | uint16](r *filterReader, n int) []filter {
	list := make([]filter, n)
	for i := range list {
		h := r.bytes[filterPrefix+r.next*filterHead:]
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
			f.Fingerprints = unsafe.Slice((*T)(unsafe.Pointer(&r.bytes[r.at])), count) //nolint:gosec // the bytes are there, and those of 16 bits come first, at even places: the prefix and the heads have even sizes
			list[i] = &f
		}
		r.at += size
	}
	return list
}

// verify reads all fingerprints.
func (x *filters) verify() error {
	n := len(x.mapped) - 4
	heads := len(x.front) + len(x.sessions) + len(x.ids)
	if binary.LittleEndian.Uint32(x.mapped[n:]) != crc32.Checksum(x.mapped[filterPrefix+heads*filterHead+4:n], castagnoli()) {
		return errDamagedFilter
	}
	return nil
}

// mayHave reports whether the segment may have a key of an id, of the present version.
func (x *filters) mayHave(key uint64) bool { return has(x.front[shard(key, len(x.front))], key) }

func has(f filter, key uint64) bool { return f != nil && f.Contains(key) }

// close unmaps the file. Nobody may use the filters meanwhile.
func (x *filters) close() error {
	if x == nil || x.mapped == nil {
		return nil
	}
	err := syscall.Munmap(x.mapped)
	*x = filters{}
	return err
}
