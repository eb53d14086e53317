package cli

import (
	"strings"
	"testing"
)

func TestBars(t *testing.T) {
	for share, want := range map[float64]string{0: "", 1: strings.Repeat("█", barWidth), 0.5: strings.Repeat("█", barWidth/2), 1.0 / (8 * barWidth): "▏", 7.0 / (8 * barWidth): "▉"} {
		if got := barOf(share); got != want {
			t.Errorf("a share of %v is drawn as %q, want %q", share, got, want)
		}
	}
}
