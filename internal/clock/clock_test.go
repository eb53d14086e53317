package clock_test

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"theeye/internal/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	hour = time.Hour
	day  = 24 * hour
	year = 365 * day
)

// host is a machine whose clock may be set.
type host struct {
	t       *testing.T
	opts    clock.Options
	start   time.Time // true time of the beginning
	passed  time.Duration
	off     time.Duration // how far the system's clock is off
	stopped time.Duration // of passed, with the server stopped
	metrics *prometheus.Registry
	*clock.Clock
}

func newHost(t *testing.T) *host {
	h := &host{t: t, start: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	h.opts = clock.Options{
		File:    filepath.Join(t.TempDir(), "clock"),
		System:  func() time.Time { return h.start.Add(h.passed + h.off) },
		Running: func() time.Duration { return h.passed - h.stopped },
	}
	return h
}

func (h *host) boot() {
	h.t.Helper()
	h.metrics = prometheus.NewRegistry()
	h.opts.Registerer = h.metrics
	c, err := clock.Open(h.opts)
	if err != nil {
		h.t.Fatal(err)
	}
	h.Clock = c
}

// run lets the server run, looking at the clock every ten minutes.
func (h *host) run(d time.Duration) {
	for end := h.passed + d; h.passed < end; {
		h.passed = min(end, h.passed+10*time.Minute)
		h.Now()
	}
}

// stop ends the server, which keeps its time, for a while.
func (h *host) stop(d time.Duration) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	cancel()
	if err := h.Run(ctx); err != nil {
		h.t.Fatal(err)
	}
	h.passed += d
	h.stopped += d
	h.boot()
}

// want compares the time by which rows expire with the true one.
func (h *host) want(behind time.Duration, held bool) {
	h.t.Helper()
	now, gotHeld := h.Now()
	if late := h.start.Add(h.passed).Sub(now); late != behind || gotHeld != held {
		h.t.Errorf("after %s retention is %s behind, held %v; want %s, %v", h.passed, late, gotHeld, behind, held)
	}
	if told := strings.HasPrefix(h.Reason(), "nothing expires"); told != held {
		h.t.Errorf("after %s the reason is %q while held is %v", h.passed, h.Reason(), held)
	}
	families, err := h.metrics.Gather()
	if err != nil {
		h.t.Fatal(err)
	}
	gauges := map[string]float64{}
	for _, f := range families {
		gauges[f.GetName()] = f.GetMetric()[0].GetGauge().GetValue()
	}
	want := map[string]float64{"eye_retention_held": 0, "eye_retention_clock_ahead_seconds": gauges["eye_retention_clock_ahead_seconds"]}
	if held {
		want["eye_retention_held"] = 1
	}
	if ahead := gauges["eye_retention_clock_ahead_seconds"]; !maps.Equal(gauges, want) || held != (ahead > day.Seconds()) {
		h.t.Errorf("the metrics are %v", gauges)
	}
}

func TestClockFollowsSmallSteps(t *testing.T) {
	h := newHost(t)
	h.boot()
	h.want(0, false)
	h.run(3 * hour)
	h.stop(20 * time.Second)
	h.want(0, false)
	h.off = 30 * time.Second // within what is followed
	h.want(-30*time.Second, false)
	h.off = 0 // and never gone back from
	h.want(0, false)
	h.run(hour)
	h.want(0, false)
}

// However the system's clock jumps, no time is gone by that has not come, until a
// clock that is ahead was so for 24 hours of running.
func TestClockThatJumps(t *testing.T) {
	for name, c := range map[string]struct {
		off      time.Duration
		held     bool
		believed bool
	}{
		"an hour back":    {off: -hour},
		"70 years back":   {off: -56 * year},
		"an hour ahead":   {off: hour, believed: true},
		"a day ahead":     {off: day, believed: true},
		"over a day":      {off: day + time.Second, held: true, believed: true},
		"70 years ahead":  {off: 70 * year, held: true, believed: true},
		"200 years ahead": {off: 200 * year, held: true, believed: true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.boot()
			h.run(2 * hour)
			h.off = c.off
			late := max(0, -c.off) // by a clock that is behind it goes itself
			h.want(late, c.held)
			h.run(day - time.Minute)
			h.want(late, c.held)
			h.run(10 * time.Minute)
			if c.believed {
				h.want(-c.off, false)
				return
			}
			h.want(late, false)
			h.off = 0
			h.want(0, false)
		})
	}
}

func TestHeldClock(t *testing.T) {
	t.Run("that is put right", func(t *testing.T) {
		h := newHost(t)
		h.boot()
		h.off = 70 * year
		h.run(23 * hour)
		h.want(0, true)
		h.off = 0
		h.want(0, false)
		h.off = 70 * year // the hours of before do not count
		h.run(23 * hour)
		h.want(0, true)
	})
	t.Run("that is set again", func(t *testing.T) {
		h := newHost(t)
		h.boot()
		h.off = 70 * year
		h.run(23 * hour)
		h.off = 30 * year
		h.run(23 * hour)
		h.want(0, true)
		h.run(2 * hour)
		h.want(-30*year, false)
	})
	t.Run("over restarts", func(t *testing.T) {
		h := newHost(t)
		h.boot()
		h.off = 70 * year
		for range 4 { // 20 hours off in all do not count
			h.run(5 * hour)
			h.stop(5 * hour)
		}
		h.want(20*hour, true)
		h.run(5 * hour)
		h.want(-70*year, false)
	})
	t.Run("that is accepted", func(t *testing.T) {
		h := newHost(t)
		h.boot()
		h.off = 70 * year
		change, err := h.Accept()
		if err != nil || change.After.Sub(change.Before) != 70*year {
			t.Errorf("%+v, %v", change, err)
		}
		h.want(-70*year, false)
		h.boot() // as after a kill
		h.want(-70*year, false)
		h.off = 0
		h.want(0, false)
		if !strings.Contains(h.Reason(), "behind") {
			t.Errorf("a system's clock that is 70 years behind gives the reason %q", h.Reason())
		}
		if _, err := h.Accept(); err != nil || h.Reason() != "" {
			t.Errorf("accepted back: %v, %q", err, h.Reason())
		}
		h.off = 70 * year
		h.want(0, true)
	})
}

// After a pause of more than a day it cannot be known whether the system's clock
// is right.
func TestPause(t *testing.T) {
	h := newHost(t)
	h.boot()
	h.stop(20 * hour)
	h.want(20*hour, false)
	h.run(day)
	h.want(0, false)
	h.stop(7 * day)
	h.want(7*day, true)
	if want := "after 24 h more of running"; !strings.Contains(h.Reason(), want) || !strings.Contains(h.Reason(), "7 days ahead") {
		t.Errorf("the reason is %q", h.Reason())
	}
	h.passed += time.Second
	if want := "after 24 h more of running"; !strings.Contains(h.Reason(), want) {
		t.Errorf("after a second the reason is %q", h.Reason())
	}
	h.run(day)
	h.want(0, false)
}

func TestClockBegins(t *testing.T) {
	t.Run("without data", func(t *testing.T) {
		h := newHost(t)
		h.off = 70 * year
		h.boot()
		h.want(-70*year, false)
	})
	t.Run("in a directory of before", func(t *testing.T) {
		h := newHost(t)
		h.opts.Newest = h.start.Add(-3 * hour)
		h.off = 70 * year
		h.boot()
		h.want(3*hour, true)
	})
	t.Run("with what came when the clock was wrong", func(t *testing.T) {
		h := newHost(t)
		h.opts.Newest = h.start.Add(70 * year)
		h.boot()
		h.wantUnknown()
		h.run(day)
		h.want(0, false)
		h.off = 2 * year // retention has reached nothing that is yet to come
		h.want(0, true)
	})
	t.Run("with what came when the clock was a little ahead", func(t *testing.T) {
		h := newHost(t)
		h.opts.Newest = h.start.Add(day)
		h.boot()
		h.want(0, false)
	})
	t.Run("of a host whose clock is behind the data", func(t *testing.T) {
		h := newHost(t)
		h.opts.Newest = h.start
		h.off = -56 * year
		h.boot()
		h.off = 0 // what it began with was wrong, and this may be
		h.wantUnknown()
		h.run(day)
		h.want(0, false)
	})
}

// wantUnknown checks that nothing expires because it is not known what time it is.
func (h *host) wantUnknown() {
	h.t.Helper()
	if now, held := h.Now(); !held || now.Year() != 1970 || !strings.Contains(h.Reason(), "is not known") {
		h.t.Errorf("retention goes by %s, held %v, %q", now, held, h.Reason())
	}
}

func TestFileOfTheClock(t *testing.T) {
	h := newHost(t)
	h.boot()
	whole, err := os.ReadFile(h.opts.File)
	if err != nil {
		t.Fatal(err)
	}
	h.boot()
	h.want(0, false)
	for i := range whole {
		for what, damaged := range map[string]string{
			"flipped": string(whole[:i]) + string(whole[i]^1) + string(whole[i+1:]), "cut": string(whole[:i]),
		} {
			if err := os.WriteFile(h.opts.File, []byte(damaged), 0o600); err != nil {
				t.Fatal(err)
			}
			var log strings.Builder
			h.opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
			h.boot()
			if !strings.Contains(log.String(), "retention: "+h.Reason()) {
				t.Errorf("the log says something else than %q:\n%s", h.Reason(), log.String())
			}
			if h.wantUnknown(); t.Failed() {
				t.Fatalf("byte %d %s", i, what)
			}
			if change, err := h.Accept(); err != nil || !change.Before.IsZero() || strings.Contains(log.String(), "1970") {
				t.Errorf("before it was %s, %v; the log: %s", change.Before, err, log.String())
			}
			if err := os.WriteFile(h.opts.File, []byte(damaged), 0o600); err != nil {
				t.Fatal(err)
			}
			h.boot()
		}
	}
	h.run(day)
	h.want(0, false)
	newer := "{\"version\":2}\ncrc32c ade14503\n"
	if err := os.WriteFile(h.opts.File, []byte(newer), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := clock.Open(h.opts); err == nil || !strings.Contains(err.Error(), "written by a newer version") {
		t.Errorf("a newer version: %v", err)
	}
	if b, _ := os.ReadFile(h.opts.File); string(b) != newer {
		t.Errorf("it was replaced by %s", b)
	}
}

// A file that its disk cannot read is damaged.
func TestFileOnADamagedDisk(t *testing.T) {
	h := newHost(t)
	if err := os.Symlink("/proc/self/mem", h.opts.File); err != nil { // its first bytes give EIO
		t.Skip(err)
	}
	c, err := clock.Open(h.opts)
	if err != nil || !strings.Contains(c.Reason(), "was damaged") {
		t.Errorf("%v, %v", c, err)
	}
}

// What cannot be read is not taken for damaged.
func TestFileThatCannotBeRead(t *testing.T) {
	h := newHost(t)
	if err := os.Mkdir(h.opts.File, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := clock.Open(h.opts); err == nil {
		t.Error("opened")
	}
}

// While the time cannot be kept it goes on in memory, and nothing is accepted.
func TestDiskThatTakesNothing(t *testing.T) {
	h := newHost(t)
	h.boot()
	if err := os.RemoveAll(filepath.Dir(h.opts.File)); err != nil {
		t.Fatal(err)
	}
	h.off = 70 * year
	if _, err := h.Accept(); err == nil {
		t.Error("accepted")
	}
	h.want(0, true)
	h.off = 0
	h.run(hour)
	h.want(0, false)
}
