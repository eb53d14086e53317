package node

import (
	"path/filepath"
	"testing"
	"time"

	"theeye/internal/clock"
)

// Retention's clock follows a walk through a week, holds nothing back, and is the system's after it.
func TestTravel(t *testing.T) {
	c := newTravel()
	from := time.Now().Add(-7 * 24 * time.Hour)
	c.begin(from)
	file := filepath.Join(t.TempDir(), "clock")
	open := func() *clock.Clock {
		kept, err := clock.Open(clock.Options{File: file, System: c.System, Running: c.Running})
		if err != nil {
			t.Fatal(err)
		}
		return kept
	}
	kept := open()
	for _, step := range []struct{ to, at time.Duration }{{0, 0}, {time.Hour, time.Hour}, {30 * time.Hour, 30 * time.Hour}, {29 * time.Hour, 30 * time.Hour}, {140 * time.Hour, 140 * time.Hour}} {
		c.walk(from.Add(step.to))
		if now, held := kept.Now(); !now.Equal(from.Add(step.at).Round(0)) || held {
			t.Errorf("after a step to %v it is %v, held %v", step.to, now, held)
		}
	}
	c.begin(from) // has no effect
	c.end()
	c.end()
	ends := func(kept *clock.Clock) {
		t.Helper()
		if now, held := kept.Now(); time.Since(now).Abs() > time.Minute || held || kept.Reason() != "" {
			t.Errorf("after the walk it is %v, held %v, %s", now, held, kept.Reason())
		}
	}
	ends(kept)
	if err := kept.Save(); err != nil {
		t.Fatal(err)
	}
	c = newTravel() // the next start
	ends(open())
}
