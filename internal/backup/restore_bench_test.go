package backup

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"theeye/internal/erasure"
)

// BenchmarkTombstones measures a restore's part of reading a file that erases so many applications,
// and of adding it to those of the backup.
func BenchmarkTombstones(b *testing.B) {
	for _, apps := range []int{1_000, 10_000, 100_000} {
		name := filepath.Join(b.TempDir(), "tombstones")
		log, err := erasure.OpenLog(name, erasure.Digest{})
		if err != nil {
			b.Fatal(err)
		}
		var all []erasure.Tombstone
		for i := range apps {
			all = append(all, erasure.Tombstone{ID: fmt.Sprint(i), App: fmt.Sprintf("application-%d", i)})
		}
		if err := log.Begin(all...); err != nil {
			b.Fatal(err)
		}
		var g extraTombstones
		b.Run(fmt.Sprintf("read/apps=%d", apps), func(b *testing.B) {
			for b.Loop() {
				if g, err = readTombstones(name, "", Index{}); err != nil || len(g.apps) != apps {
					b.Fatal(len(g.apps), err)
				}
			}
		})
		b.Run(fmt.Sprintf("add/apps=%d", apps), func(b *testing.B) {
			for b.Loop() {
				r := &restoration{RestoreOptions: RestoreOptions{To: b.TempDir(), Tombstones: name}, given: g.Document}
				if err := r.tombstones(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
