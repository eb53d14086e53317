package plural_test

import (
	"testing"

	"theeye/internal/plural"
)

func TestCount(t *testing.T) {
	for want, got := range map[string]string{
		"0 segments":       plural.Count(0, "segment"),
		"1 segment":        plural.Count(int64(1), "segment"),
		"2 damaged places": plural.Count(uint64(2), "damaged place"),
		"3 boxes":          plural.Count(3, "box"),
		"-1 events":        plural.Count(-1, "event"),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
