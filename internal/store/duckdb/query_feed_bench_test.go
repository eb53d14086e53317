package duckdb_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
	"theeye/internal/store/duckdb"
)

// feedSample is how many events BenchmarkFeed reads at most.
const feedSample = 2_000_000

// BenchmarkFeed reads the feed of a store with EYE_BENCH_EVENTS events (two million) in merged
// segments, which arrived in the order of their times, or in random order. Of more than feedSample
// events it reads those in the middle.
func BenchmarkFeed(b *testing.B) {
	events := 2_000_000
	if n, err := strconv.Atoi(os.Getenv("EYE_BENCH_EVENTS")); err == nil {
		events = n
	}
	for _, order := range []string{"in order", "random"} {
		b.Run(order, func(b *testing.B) {
			s := open(b, duckdb.Options{Dir: b.TempDir(), MemoryLimit: 1 << 30})
			defer func() { _ = s.Close() }()
			fillFeed(b, s, events, order == "random")
			for _, limit := range []int{1000, 10_000} {
				b.Run(fmt.Sprintf("limit=%d", limit), func(b *testing.B) {
					before := processorTime(b)
					for b.Loop() {
						readFeed(b, s, events, limit)
					}
					all := float64(min(events, feedSample)) * float64(b.N)
					b.ReportMetric(all/b.Elapsed().Seconds(), "events/s")
					b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/all, "cpu-ns/event")
				})
			}
		})
	}
}

// perFrame is how many events of a benchmark are in one frame.
const perFrame = 500

func fillFeed(b *testing.B, s *duckdb.Store, events int, random bool) {
	b.Helper()
	const flushRows = 250_000
	numbers := make([]int, events)
	for i := range numbers {
		numbers[i] = i
	}
	if random {
		rand.New(rand.NewPCG(1, 2)).Shuffle(events, func(i, j int) { numbers[i], numbers[j] = numbers[j], numbers[i] })
	}
	unflushed := 0
	for n := 0; n < events; n += perFrame {
		records := make([]event.Record, perFrame)
		for i := range records {
			records[i] = pageView(numbers[n+i])
		}
		if _, err := s.Write(b.Context(), frame(uint64(n/perFrame+1), records...)); err != nil {
			b.Fatal(err)
		}
		if unflushed += perFrame; unflushed >= flushRows { // Write waits when there is much more
			unflushed = 0
			if err := s.Flush(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := s.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	if err := s.Compact(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// processorTime returns what this process has used.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// readFeed reads feedSample events from the middle of the feed, or all of it.
func readFeed(b *testing.B, s *duckdb.Store, events, limit int) {
	b.Helper()
	want := min(events, feedSample)
	q := store.FeedQuery{Events: &query.Query{}, Rejections: &query.Query{}, Erasures: &query.Query{}, Limit: limit, MaxBytes: query.PageBytes}
	if events > want {
		q.After = store.AfterFrame(uint64((events - want) / 2 / perFrame))
	}
	for got := 0; got < want; {
		page, err := s.Feed(b.Context(), q)
		if err != nil {
			b.Fatal(err)
		}
		if got += len(page.Items); !page.More && got < want || events <= want && page.More == (got >= want) {
			b.Fatalf("%d of %d events, more %t", got, want, page.More)
		}
		q.After, q.Timeline = page.Next, page.Timeline
	}
}
