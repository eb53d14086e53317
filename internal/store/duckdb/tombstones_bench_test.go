package duckdb_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"theeye/internal/erasure"
	"theeye/internal/event"
	"theeye/internal/store/duckdb"
)

// BenchmarkBury tells how long it takes to write a tombstone beside many.
func BenchmarkBury(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("tombstones=%d", n), func(b *testing.B) {
			dir := b.TempDir()
			l, err := erasure.OpenLog(filepath.Join(dir, "tombstones"), erasure.Digest{})
			if err != nil {
				b.Fatal(err)
			}
			var list []erasure.Tombstone
			for i := range n {
				session, err := l.SessionKey(fmt.Sprint("session ", i))
				if err != nil {
					b.Fatal(err)
				}
				list = append(list, erasure.Tombstone{ID: numbered(i).String(), App: erasure.AllApps, Session: session, At: event.Now()})
			}
			if err := l.Begin(list...); err != nil {
				b.Fatal(err)
			}
			s := open(b, duckdb.Options{Dir: dir, MemoryLimit: 256 << 20})
			defer s.Close()
			for b.Loop() {
				if _, err := s.Bury([]string{erasure.AllApps}, "another session", event.Now(), 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
