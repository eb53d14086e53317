package duckdb

import "testing"

// A segment that is made of others has at most about maxSegmentBytes, whatever the size of its
// rows.
func TestMostRows(t *testing.T) {
	s := &Store{opts: Options{MaxSegmentRows: 16_000_000}}
	s.merger = &background{limits: limits{memory: 4 << 30}}
	for size, want := range map[int64]int64{50: 16_000_000, 100: maxSegmentBytes / 100, 1000: maxSegmentBytes / 1000, 100_000: maxSegmentBytes / 100_000, 1 << 30: 1} {
		input := SegmentInfo{Data: FileInfo{Bytes: 1000 * size}, Rows: RowCounts{Events: 1000}}
		if got := s.maxRows(input, input, input, input); got != want {
			t.Errorf("rows of %d bytes: at most %d, want %d", size, got, want)
		}
	}
}
