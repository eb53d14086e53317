package cli

import (
	"io"
	"strings"
	"testing"
)

func TestAsk(t *testing.T) {
	for typed, want := range map[string]bool{
		"y\n": true, "Y\n": true, "yes\n": true, " YES \r\n": true, "y": true,
		"n\n": false, "no\n": false, "\n": false, "": false, "yes, no\n": false, "yess\n": false,
	} {
		f := &clientFlags{stdio: stdio{in: strings.NewReader(typed), err: io.Discard}}
		if got := f.ask(t.Context(), "Erase it?"); got != want {
			t.Errorf("%q counts as %v", typed, got)
		}
	}
}
