package cli

import (
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// Signals that arrive together count as one; a later one ends the process immediately.
func TestSignals(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		at   []time.Duration
		want []string
	}{
		"none":             {nil, nil},
		"one":              {[]time.Duration{0}, []string{"interrupt"}},
		"two together":     {[]time.Duration{0, 10 * time.Millisecond}, []string{"interrupt"}},
		"three together":   {[]time.Duration{0, 0, signalWindow - 1}, []string{"interrupt"}},
		"a later one":      {[]time.Duration{0, signalWindow}, []string{"interrupt", "end by terminated"}},
		"two, and a later": {[]time.Duration{0, 10 * time.Millisecond, 3 * signalWindow}, []string{"interrupt", "end by terminated"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var got []string
				signals, done := make(chan os.Signal, 2), make(chan struct{})
				go handleSignals(signals, done, func() { got = append(got, "interrupt") }, func(s os.Signal) { got = append(got, "end by "+s.String()) })
				began := time.Now()
				for _, at := range tc.at {
					time.Sleep(at - time.Since(began))
					signals <- syscall.SIGTERM
					synctest.Wait()
				}
				close(done)
				synctest.Wait()
				if !slices.Equal(got, tc.want) {
					t.Errorf("got %q, want %q", got, tc.want)
				}
			})
		})
	}
}
