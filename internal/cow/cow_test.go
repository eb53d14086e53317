package cow_test

import (
	"fmt"
	"testing"

	"theeye/internal/cow"
)

// A copy of a Map never sees what another one is given.
func TestCopiesAreApart(t *testing.T) {
	first := (*cow.Map[int, int])(nil).Copy()
	for i := range 1000 {
		first.Set(i, i)
	}
	second := first.Copy()
	for i := range 500 {
		second.Remove(i)
		second.Set(i+500, -1)
	}
	third := second.Copy()
	third.Set(0, 7)
	check := func(name string, of *cow.Map[int, int], want map[int]int) {
		got := map[int]int{}
		for k, v := range of.All() {
			got[k] = v
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %d entries, want %d", name, len(got), len(want))
		}
	}
	want := map[int]int{}
	for i := range 1000 {
		want[i] = i
	}
	check("the first", first, want)
	for i := range 500 {
		delete(want, i)
		want[i+500] = -1
	}
	check("the second", second, want)
	want[0] = 7
	check("the third", third, want)
}
