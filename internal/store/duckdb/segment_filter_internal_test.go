package duckdb

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/FastFilter/xorfilter"
	"github.com/google/uuid"

	"theeye/internal/event"
)

// Every id of a segment is found, whatever application sent it, whatever pattern the ids have, and
// in the slice in which it is. Few that are not there are said to be, and for an id of any number
// of applications one key is looked for.
func TestFilters(t *testing.T) {
	counting := func(n int) (id uuid.UUID) {
		binary.BigEndian.PutUint64(id[8:], uint64(n))
		return id
	}
	high := func(n int) (id uuid.UUID) {
		binary.BigEndian.PutUint32(id[:], uint32(n))
		return id
	}
	const rows, parts = 20_000, 4
	for name, nth := range map[string]func(int) uuid.UUID{
		"counting": counting, "in the high bits": high, "random": func(n int) uuid.UUID { return event.IdempotentID("a", "key", n) },
	} {
		t.Run(name, func(t *testing.T) {
			var builder xorfilter.BinaryFuseBuilder
			front := make([][]uint64, parts)
			sessions, ids, w := filterWriter{builder: &builder}, filterWriter{builder: &builder}, filterWriter{builder: &builder}
			for slice := range parts + 1 {
				var keys []uint64
				for n := range rows {
					key := idFilterKey(nth(slice*rows + n))
					keys = append(keys, key)
					i := shard(key, parts)
					front[i] = append(front[i], key)
				}
				if err := addFilter[uint8](&ids, keys); err != nil {
					t.Fatal(err)
				}
				if err := addFilter[uint16](&sessions, []uint64{sessionKey(string(rune('a' + slice)))}); err != nil {
					t.Fatal(err)
				}
			}
			for _, keys := range front {
				if len(keys) > rows*2 {
					t.Errorf("a front filter has %d of %d keys", len(keys), rows*(parts+1))
				}
				if err := addFilter[uint16](&w, keys); err != nil {
					t.Fatal(err)
				}
			}
			w.append(&sessions, &ids)
			path := filepath.Join(t.TempDir(), "filter")
			if err := os.WriteFile(path, w.bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := openFilters(path, parts)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.close() }()
			if err := f.verify(); err != nil {
				t.Fatal(err)
			}
			x := &segment{info: SegmentInfo{Slices: parts}}
			x.filters.Store(f)
			for n := range rows * (parts + 1) {
				hits, others := x.slicesOfIDs(nil, nth(n))
				switch slice := n / rows; {
				case slice == parts && !others, slice < parts && !slices.Contains(hits, slice):
					t.Fatalf("id %d is not found: %v %v", n, hits, others)
				}
			}
			wrong := 0
			for n := range rows {
				if hits, others := x.slicesOfIDs(nil, nth(rows*(parts+1)+n)); hits != nil || others {
					wrong++
				}
			}
			if wrong > 5 { // 0.3 by the front filters alone
				t.Errorf("%d of %d ids that are not there are said to be", wrong, rows)
			}
			if hits, others := x.slicesOfSessions([]uint64{sessionKey("b")}); len(hits) != 1 || hits[0] != 1 || others {
				t.Errorf("session b is in %v %v", hits, others)
			}
		})
	}
}
