package cli

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestAdvise(t *testing.T) {
	for text, want := range map[string]string{
		"run `eye store recover --empty`; or not":    "run `eye store recover --empty --data '/my data'`; or not",
		"`eye store rescue FILE`, `eye keys`":        "`eye store rescue FILE --data '/my data'`, `eye keys --data '/my data'`",
		"see `eye restore`, `eye --help`, `eyeball`": "see `eye restore`, `eye --help`, `eyeball`",
		"`eye store readmit --data there`":           "`eye store readmit --data there`",
		"`eye backup DIR` begins one":                "`eye backup DIR` begins one", // a folder does not say where the server is
	} {
		if got := advise(text, dataFlag("/my data")); got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
	if err := withAdvice(errUnreadable, "--data x"); !errors.Is(err, errUnreadable) || err.Error() != "run `eye store readmit --data x`" {
		t.Error(err)
	}
	if withAdvice(nil, "--data x") != nil {
		t.Error("an error of none")
	}
}

var errUnreadable = errors.New("run `eye store readmit`")

// A command in a log line can be copied as well.
func TestLogAdvises(t *testing.T) {
	var b strings.Builder
	newLogger(&b, slog.LevelInfo, "--data x").Warn("believed by `eye store accept-clock`", "file", "`eye store`")
	if got := b.String(); !strings.Contains(got, "`eye store accept-clock --data x`") || !strings.Contains(got, "\"`eye store`\"") {
		t.Error(got)
	}
}
