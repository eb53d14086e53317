package quantile_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"theeye/internal/quantile"
)

func TestQuantilesAreAtMostAnEighthTooLarge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var counts, more quantile.Counts
		all := rapid.SliceOfN(rapid.Int64Range(0, 1<<40), 1, 300).Draw(t, "values")
		for i, v := range all {
			into := &counts
			if i%2 == 1 {
				into = &more
			}
			into[quantile.Bucket(v)]++
		}
		counts.Add(&more)
		slices.Sort(all)
		percent := rapid.Int64Range(1, 100).Draw(t, "percent")
		exact := all[(int64(len(all))*percent+99)/100-1]
		if got := counts.Quantile(percent); got < exact || got > exact+exact/8 {
			t.Fatalf("p%d is %d, exactly %d", percent, got, exact)
		}
	})
	var none quantile.Counts
	if quantile.Bucket(1<<62) != quantile.Buckets-1 || quantile.Bucket(-1) != 0 || none.Quantile(99) != 0 {
		t.Error("values outside the buckets")
	}
}
