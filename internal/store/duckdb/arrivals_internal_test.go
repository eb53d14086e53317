package duckdb

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theeye/internal/store"
)

// A batch costs as much with many applications as with few.
func BenchmarkAdvance(b *testing.B) {
	for _, apps := range []int{10, 1_000, 10_000} {
		b.Run(fmt.Sprint(apps), func(b *testing.B) {
			s := &Store{version: &storeVersion{tables: &tableSet{}, arrivals: newArrivals(nil)}}
			all := map[string]store.Arrivals{}
			for i := range apps {
				all[fmt.Sprint("app", i)] = store.Arrivals{Received: 1}
			}
			s.advance(store.Batch{Last: 1, Arrivals: all}, &decision{})
			b.ReportAllocs()
			for b.Loop() {
				s.advance(store.Batch{Last: 2, Arrivals: map[string]store.Arrivals{"app5": {Received: 1}}}, &decision{})
			}
		})
	}
}

// What was counted before stays as it was when more is counted.
func TestArrivals(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	want, a := map[string]store.Arrivals{}, newArrivals(nil)
	for range 60 {
		more := map[string]store.Arrivals{}
		for range random.IntN(20) {
			more[fmt.Sprint("app", random.IntN(300))] = store.Arrivals{Received: random.Int64N(9), Lost: random.Int64N(3)}
		}
		next, before := a.with(more), maps.Clone(want)
		for app, n := range more {
			want[app] = want[app].Add(n)
		}
		if diff := cmp.Diff(before, maps.Collect(a.all())); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(want, maps.Collect(next.all())); diff != "" {
			t.Fatal(diff)
		}
		a = next
	}
	if diff := cmp.Diff(want, maps.Collect(newArrivals(want).all())); diff != "" {
		t.Error(diff)
	}
}

// A batch copies a small part of what is known of many applications.
func TestArrivalsAreShared(t *testing.T) {
	all := map[string]store.Arrivals{}
	for i := range 10_000 {
		all[fmt.Sprint("app", i)] = store.Arrivals{Received: 1}
	}
	a := newArrivals(all)
	more := map[string]store.Arrivals{"app7": {Received: 1}}
	result := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			a.with(more)
		}
	})
	if bytes := result.AllocedBytesPerOp(); bytes > 16<<10 {
		t.Errorf("%d bytes for a batch of one application among 10,000", bytes)
	}
}
