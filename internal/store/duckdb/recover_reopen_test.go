package duckdb_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"theeye/internal/query"
	"theeye/internal/store"
	"theeye/internal/store/duckdb"
)

// fatalAt lets DuckDB fail for good at some of the times that a step is reached.
func fatalAt(name string, times ...int64) func(string) error {
	var reached atomic.Int64
	return func(step string) error {
		if step != name {
			return nil
		}
		n := reached.Add(1)
		for _, at := range times {
			if n == at {
				return fmt.Errorf("%w: for a test", duckdb.ErrFatal)
			}
		}
		return nil
	}
}

// writeAll writes frames as a worker does, again from the position after each reset.
func writeAll(t *testing.T, s store.Writer, frames []store.Batch) (resets int) {
	t.Helper()
	for {
		position, err := s.Position(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range frames[position:] {
			if _, err = s.Write(t.Context(), b); err != nil {
				break
			}
		}
		if err == nil {
			return resets
		}
		if !errors.Is(err, store.ErrReset) {
			t.Fatal("write:", err)
		}
		resets++
	}
}

func manyFrames(n int) []store.Batch {
	var frames []store.Batch
	for i := range n {
		frames = append(frames, frame(uint64(i+1), pageView(3*i), pageView(3*i+1), pageView(3*i+2), pageView(0), refusal(9000+i, "bad")))
	}
	return frames
}

// After a fatal error nothing is answered until the store has again what it had told,
// and then it answers as before.
func TestReset(t *testing.T) {
	frames := manyFrames(6)
	s := closed(t, open(t, duckdb.Options{Dir: t.TempDir(), Step: fatalAt("segment filled", 2)}))
	writeAll(t, s, frames[:3])
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	writeAll(t, s, frames[:5])
	want := everyAnswer(t, s)
	if err := s.Flush(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("flush: %v, want the fatal error as store.ErrUnavailable", err)
	}
	select {
	case <-s.Resets():
	default:
		t.Error("nobody is told that the store was reset")
	}
	if p, _ := s.Position(t.Context()); p != 3 {
		t.Errorf("position %d after a reset, want what is flushed", p)
	}
	unavailable := func() {
		t.Helper()
		if n, err := s.Count(t.Context(), query.Query{}); !errors.Is(err, store.ErrUnavailable) || !errors.Is(s.CaughtUp(), store.ErrUnavailable) {
			t.Errorf("a store that is being rebuilt answers %d, %v", n, err)
		}
	}
	unavailable()
	// The frame behind the last one must not be taken: two are missing.
	if _, err := s.Write(t.Context(), frames[5]); !errors.Is(err, store.ErrReset) {
		t.Fatalf("write after a reset: %v", err)
	}
	write(t, s, frames[3])
	unavailable()
	write(t, s, frames[4])
	if diff := cmp.Diff(want, everyAnswer(t, s)); diff != "" || s.CaughtUp() != nil {
		t.Errorf("after the reset, %v (-want +got):\n%s", s.CaughtUp(), diff)
	}
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(t, s, frames[5])
	books(t, s)
}

// A store without a folder begins anew.
func TestResetOfVolatileStore(t *testing.T) {
	frames := manyFrames(4)
	s := closed(t, open(t, duckdb.Options{}))
	writeAll(t, s, frames)
	want := everyAnswer(t, s)
	duckdb.Break(s)
	if _, err := s.Count(t.Context(), query.Query{}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("read: %v", err)
	}
	if n := writeAll(t, s, append(frames, frame(5))); n != 1 {
		t.Errorf("%d resets", n)
	}
	if diff := cmp.Diff(want[:len(want)-1], everyAnswer(t, s)[:len(want)-1]); diff != "" {
		t.Errorf("after the reset (-want +got):\n%s", diff)
	}
}

// A write that meets the fatal error tells it.
func TestResetMetByWriting(t *testing.T) {
	frames := manyFrames(3)
	s := closed(t, open(t, duckdb.Options{Dir: t.TempDir()}))
	writeAll(t, s, frames[:2])
	duckdb.Break(s)
	if _, err := s.Write(t.Context(), frames[2]); !errors.Is(err, store.ErrReset) {
		t.Errorf("write: %v", err)
	}
	if n := writeAll(t, s, frames); n != 0 {
		t.Errorf("told %d times more", n)
	}
	if b := books(t, s)["shop"]; b.Received != 15 {
		t.Errorf("books %+v", b)
	}
}

// Readers who never stop see no event vanish while DuckDB fails again and again.
func TestResetsUnderReadersRace(t *testing.T) {
	const readers, rounds = 4, 150
	dir := t.TempDir()
	r := run(t, duckdb.Options{Dir: dir, FlushRows: 60, Step: fatalAt("segment filled", 3, 6)}, false)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var refused atomic.Int64
	for range readers {
		wg.Go(func() {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for seen := int64(0); ; <-tick.C {
				n, err := r.Count(ctx, query.Query{})
				switch {
				case ctx.Err() != nil:
					return
				case errors.Is(err, store.ErrUnavailable):
					refused.Add(1)
				case err != nil:
					t.Error("read:", err)
					return
				case n < seen:
					t.Errorf("%d events after %d", n, seen)
					return
				default:
					seen = n
				}
			}
		})
	}
	frames := manyFrames(rounds)
	resets := writeAll(t, r, frames)
	if err := r.Flush(t.Context()); err != nil && !errors.Is(err, store.ErrUnavailable) {
		t.Error("flush:", err)
	}
	resets += writeAll(t, r, frames)
	cancel()
	wg.Wait()
	t.Logf("%d resets, %d reads refused meanwhile", resets, refused.Load())
	if resets == 0 {
		t.Errorf("%d resets", resets)
	}
	if b := books(t, r)["shop"]; b.Stored != 3*rounds || b.Rejected != rounds || b.Duplicate != rounds {
		t.Errorf("books %+v", b)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
