package progress_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theeye/internal/progress"
)

// backlog acknowledges frames that are not stored, each of one of a thousand applications.
func backlog(l *progress.Tracker, first, last uint64) {
	var apps [1000]string
	for i := range apps {
		apps[i] = fmt.Sprint("app", i)
	}
	for i := first; i <= last; i++ {
		l.MarkAcknowledged(i, map[string]int64{apps[i%uint64(len(apps))]: 1})
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// While the store is behind, what is acknowledged takes a few bytes for each frame.
func TestMemoryOfABacklog(t *testing.T) {
	const frames = 300_000
	l := progress.New(0)
	before := heap()
	backlog(l, 1, frames)
	if grown := (heap() - before) / frames; grown > 16 {
		t.Errorf("%d bytes for each frame", grown)
	}
	if pending, _ := l.Pending(frames / 2); len(pending) != 1000 {
		t.Errorf("%d applications", len(pending))
	}
}

// Frames are acknowledged not quite in order, and stored at their own pace.
func TestPendingOfAnyPosition(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	l := progress.New(0)
	acknowledged := map[uint64]map[string]int64{}
	var next, stored uint64
	for range 600 {
		batch := random.Perm(1 + random.IntN(40))
		for _, i := range batch {
			received := map[string]int64{}
			for range random.IntN(4) { // also none
				received[fmt.Sprint("app", random.IntN(9))] += 1 + int64(random.IntN(3))
			}
			acknowledged[next+uint64(i)+1] = received
			l.MarkAcknowledged(next+uint64(i)+1, received)
		}
		next += uint64(len(batch))
		stored += random.Uint64N(next - stored + 1)
		l.MarkStored(stored, nil)
		position := stored + random.Uint64N(next-stored+1) // a snapshot of the store may be ahead of what was told
		if random.IntN(3) == 0 {
			position = stored - random.Uint64N(min(stored, progress.CountedFrames)+1)
		}
		want := map[string]int64{}
		for i := position + 1; i <= next; i++ {
			for app, n := range acknowledged[i] {
				want[app] += n
			}
		}
		if got, ok := l.Pending(position); !ok || !cmp.Equal(want, got) {
			t.Fatalf("position %d, stored %d of %d, %v: %s", position, stored, next, ok, cmp.Diff(want, got))
		}
	}
}

func BenchmarkBacklog(b *testing.B) {
	const frames = 2_000_000
	l := progress.New(0)
	before := heap()
	backlog(l, 1, frames)
	grown := heap() - before
	b.ResetTimer()
	for b.Loop() {
		l.Pending(10)
	}
	b.ReportMetric(float64(grown)/(1<<20), "MiB")
}
