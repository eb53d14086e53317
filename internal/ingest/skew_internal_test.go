package ingest

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"theeye/internal/event"
)

func TestSkewSummary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSkews(nil).app("a")
		all := rapid.SliceOfN(rapid.Int64Range(-1e8, 1e8), 1, 300).Draw(t, "ms")
		for i, ms := range all {
			s.observe(event.Micros(2e15+1000*ms), event.Micros(2e15), i%3 == 0)
			all[i] = max(ms, -ms)
		}
		slices.Sort(all)
		x := s.summary()
		if x.Events != int64(len(all)) || x.Corrected != int64(len(all)+2)/3 || x.Max != time.Duration(all[len(all)-1])*time.Millisecond {
			t.Fatalf("%+v of %v", x, all)
		}
		for percent, got := range map[int]time.Duration{50: x.P50, 99: x.P99} {
			exact := all[(len(all)*percent+99)/100-1]
			if ms := got.Milliseconds(); ms < exact || ms > exact+exact/8 {
				t.Fatalf("p%d is %v, exactly %d ms", percent, got, exact)
			}
		}
	})
}
