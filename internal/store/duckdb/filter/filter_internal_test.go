package filter

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

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
			b := NewBuilder(parts, rows*(parts+1))
			for slice := range parts + 1 {
				for n := range rows {
					b.AddID(nth(slice*rows + n))
				}
				b.AddSession(SessionKey(string(rune('a' + slice))))
				if err := b.EndSlice(); err != nil {
					t.Fatal(err)
				}
			}
			for _, keys := range b.front {
				if len(keys) > rows*2 {
					t.Errorf("a front filter has %d of %d keys", len(keys), rows*(parts+1))
				}
			}
			content, err := b.Encode()
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "filter")
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			x, err := Open(path, parts)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = x.Close() }()
			if err := x.Verify(); err != nil {
				t.Fatal(err)
			}
			for n := range rows * (parts + 1) {
				hits, others := x.IDs(nil, []uuid.UUID{nth(n)})
				switch slice := n / rows; {
				case slice == parts && !others, slice < parts && !slices.Contains(hits, slice):
					t.Fatalf("id %d is not found: %v %v", n, hits, others)
				}
			}
			wrong := 0
			for n := range rows {
				if hits, others := x.IDs(nil, []uuid.UUID{nth(rows*(parts+1) + n)}); hits != nil || others {
					wrong++
				}
			}
			if wrong > 5 { // 0.3 by the front filters alone
				t.Errorf("%d of %d ids that are not there are said to be", wrong, rows)
			}
			if hits, others := x.Sessions([]uint64{SessionKey("b")}); len(hits) != 1 || hits[0] != 1 || others {
				t.Errorf("session b is in %v %v", hits, others)
			}
		})
	}
}
