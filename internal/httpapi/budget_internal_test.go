package httpapi

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// However applications acquire and release, one that holds bytes gets no more than what is free
// afterwards, and one that holds none gets what is free.
func TestBudgetIsShared(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const total = 1000
		m := NewBudget(total)
		held := map[string][]int64{}
		sum := func(app string) (n int64) {
			for _, bytes := range held[app] {
				n += bytes
			}
			return n
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			app := fmt.Sprint("app", rapid.IntRange(0, 4).Draw(t, "app"))
			if n := len(held[app]); n > 0 && rapid.Bool().Draw(t, "give") {
				m.Release(app, held[app][n-1])
				held[app] = held[app][:n-1]
				continue
			}
			free := int64(total)
			for other := range held {
				free -= sum(other)
			}
			bytes, mine := rapid.Int64Range(1, 400).Draw(t, "bytes"), sum(app)
			want := bytes <= free && (mine == 0 || mine+bytes <= free)
			if got := m.TryAcquire(app, bytes); got != want {
				t.Fatalf("%s holds %d of %d free and asked for %d: %v", app, mine, free, bytes, got)
			}
			if want {
				held[app] = append(held[app], bytes)
			}
		}
	})
}

func TestBudgetInAFlood(t *testing.T) {
	m := NewBudget(256)
	for _, flood := range []string{"a", "b", "c"} {
		n := 0
		for m.TryAcquire(flood, 4) {
			n++
		}
		t.Logf("%s got %d of 64", flood, n)
		if n > 32 {
			t.Errorf("one application took %d bodies of 64", n)
		}
	}
	if !m.TryAcquire("quiet", 4) {
		t.Error("no room is left for an application that comes new")
	}
}
