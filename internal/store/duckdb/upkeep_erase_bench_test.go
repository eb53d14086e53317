package duckdb_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"testing"

	"theeye/internal/erasure"
	"theeye/internal/event"
	"theeye/internal/store/duckdb"
)

// manyTombstones makes a file of n tombstones in a folder.
func manyTombstones(b *testing.B, dir string, n int) {
	b.Helper()
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
}

// BenchmarkOpenWithTombstones tells how long a start takes with many tombstones, and how much
// memory they take.
func BenchmarkOpenWithTombstones(b *testing.B) {
	for _, n := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprintf("tombstones=%d", n), func(b *testing.B) {
			dir := b.TempDir()
			manyTombstones(b, dir, n)
			heap := func() float64 {
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				return float64(m.HeapAlloc) / (1 << 20)
			}
			for b.Loop() {
				b.StopTimer()
				before := heap()
				b.StartTimer()
				s := open(b, duckdb.Options{Dir: dir, MemoryLimit: 256 << 20})
				b.StopTimer()
				b.ReportMetric(heap()-before, "MiB")
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// BenchmarkAddTombstones measures how long it takes to write a tombstone beside many.
func BenchmarkAddTombstones(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("tombstones=%d", n), func(b *testing.B) {
			dir := b.TempDir()
			manyTombstones(b, dir, n)
			s := open(b, duckdb.Options{Dir: dir, MemoryLimit: 256 << 20})
			defer s.Close()
			for b.Loop() {
				if _, err := s.AddTombstones([]string{erasure.AllApps}, "another session", event.Now(), upTo(0)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
