package duckdb

import (
	"errors"
	"fmt"
	"testing"

	"theeye/internal/store"
)

// BenchmarkReadPresent measures what a start reads of the manifest of many applications.
func BenchmarkReadPresent(b *testing.B) {
	const apps, segments = 10_000, 63
	m := emptyManifest()
	for i := range apps {
		m.Arrivals[fmt.Sprintf("application-%d", i)] = store.Arrivals{Received: 1}
	}
	for id := range segments {
		info := SegmentInfo{ID: uint64(id + 1), Format: segmentFormat, Apps: map[string]Counts{}}
		for i := range apps {
			info.Apps[fmt.Sprintf("application-%d", i)] = Counts{}
		}
		m.Segments = append(m.Segments, info)
	}
	dir := b.TempDir()
	text, err := new(encoder).encode(&m)
	if err == nil {
		err = errors.Join(writeManifest(dir, text), writeCopy(dir, text))
	}
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if m, there, err := readPresent(dir); err != nil || !there || len(m.Segments) != segments {
			b.Fatal(there, err)
		}
	}
}
