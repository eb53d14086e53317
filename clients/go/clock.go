package theeye

import (
	"crypto/rand"
	"encoding/binary"
	"time"
)

// largestCorrection is how far the wall clock may be set back without a new era.
const largestCorrection = time.Minute

// now returns the wall clock, without a monotonic reading, and the time since some moment by a clock
// that is never set.
type now func() (wall time.Time, elapsed time.Duration)

func systemClock() now {
	start := time.Now()
	return func() (time.Time, time.Duration) {
		t := time.Now()
		return t.Round(0), t.Sub(start)
	}
}

// clock makes timestamps that never go back within an era. An era ends when the wall clock is set
// back by more than a minute.
type clock struct {
	now  now
	era  *era
	last time.Time // the last timestamp of the era
}

// era is a time in which the wall clock is not set back by more than a minute.
type era struct {
	id     uint64    // random; names it in a spool
	zero   time.Time // what the wall clock shows, less what has elapsed
	latest time.Time // the latest value of zero
}

func newClock(now now) *clock {
	wall, elapsed := now()
	zero := wall.Add(-elapsed)
	return &clock{now: now, era: newEra(zero)}
}

func newEra(zero time.Time) *era {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	return &era{id: binary.LittleEndian.Uint64(id[:]), zero: zero, latest: zero}
}

// read returns the wall clock and the time elapsed, and begins another era if the clock was set back.
func (c *clock) read() (wall time.Time, elapsed time.Duration) {
	wall, elapsed = c.now()
	zero := wall.Add(-elapsed)
	if c.era.latest.Sub(zero) > largestCorrection {
		c.era, c.last = newEra(zero), time.Time{}
		return wall, elapsed
	}
	c.era.zero = zero
	if zero.After(c.era.latest) {
		c.era.latest = zero
	}
	return wall, elapsed
}

// stamp returns the timestamp of an event that happens now: the wall clock in microseconds, or just
// after the last timestamp while the clock is behind it.
func (c *clock) stamp() (at time.Time, elapsed time.Duration) {
	wall, elapsed := c.read()
	at = wall.UTC().Truncate(time.Microsecond)
	if at.Before(c.last) {
		at = c.last.Add(time.Microsecond)
	}
	c.last = at
	return at, elapsed
}

// sentAt returns the present time as the clock of an era shows it. The zero era, of another process,
// has the present clock.
func (c *clock) sentAt(e *era) time.Time {
	wall, elapsed := c.read()
	if e == nil || e == c.era {
		return wall
	}
	return e.zero.Add(elapsed)
}
