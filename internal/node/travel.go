package node

import (
	"sync"
	"time"

	"theeye/internal/event"
)

// travel is the clock of what records when something happens: retention, the audit log, changes of
// the metadata, replays. It is the system's, except while it walks through a history. Its methods
// may be called concurrently.
type travel struct {
	began time.Time // with its monotonic reading

	mu     sync.Mutex    // guards what follows
	at     time.Time     // of the walk; zero when there is none
	from   time.Time     // where the walk began
	before time.Duration // Running when the walk began
	ahead  time.Duration // of Running, after the walk
}

func newTravel() *travel { return &travel{began: time.Now()} }

// begin begins a walk at a time in the past, unless there is one.
func (c *travel) begin(from time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at.IsZero() {
		c.at, c.from, c.before = from.UTC(), from.UTC(), time.Since(c.began)+c.ahead
	}
}

// walk goes on to a time. It never goes back.
func (c *travel) walk(to time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if to.After(c.at) {
		c.at = to.UTC()
	}
}

// end ends the walk: the clock is the system's again.
func (c *travel) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at.IsZero() {
		return
	}
	c.ahead = c.before + event.Now().Time().Sub(c.from) - time.Since(c.began)
	c.at = time.Time{}
}

// System returns the time.
func (c *travel) System() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.at.IsZero() {
		return c.at
	}
	return event.Now().Time()
}

// Running returns the time that has passed since the start, with that of the walk. It is independent
// of the system's clock.
func (c *travel) Running() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.at.IsZero() {
		return c.before + c.at.Sub(c.from)
	}
	return time.Since(c.began) + c.ahead
}
