// Package clock keeps the time that retention uses. The system's clock may jump: on a host that
// boots in 2099, events that are two days old must not expire. So this clock advances with the
// running time of the server, is stored in a file between runs, and follows a system clock that is
// ahead only after a while.
//
// It does not know what expires, and is not used for timestamps.
package clock

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// MaxAhead is how far the system's clock may be ahead before nothing expires.
	MaxAhead = 24 * time.Hour
	// AcceptAfter is the running time after which a system clock that is ahead is accepted.
	AcceptAfter = 24 * time.Hour
	// followAtOnce is how far ahead the system's clock is followed at once, as after a restart or a
	// correction by NTP.
	followAtOnce = time.Minute

	lookInterval = 10 * time.Second
	saveInterval = time.Minute // a crash loses at most this much of the kept time
)

// Options of a Clock.
type Options struct {
	File string // in which the time is stored
	// Newest is the latest time in the data, zero if there is none. A clock without a file begins
	// there, unless it is more than MaxAhead ahead of the system's clock.
	Newest     time.Time
	System     func() time.Time     // the system's clock; nil for time.Now
	Running    func() time.Duration // elapsed time, independent of the system's clock; nil for the monotonic clock
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Clock is the time that retention uses. All methods may be called concurrently.
type Clock struct {
	opts Options
	log  *slog.Logger

	mu        sync.Mutex // guards what follows
	state     state
	refreshed time.Duration // Running, when the state was brought up to date
	saved     time.Time     // Kept of the file
	held      bool          // as it was last logged
}

// state is what is stored between runs.
type state struct {
	Kept   time.Time // never goes back by itself
	System time.Time // the system's clock at the same moment
	// Waited is the running time for which the system's clock has been ahead, since it last jumped
	// by more than MaxAhead.
	Waited time.Duration
}

// unknownState is the state of a clock whose file was damaged, or that has no file although there
// is data from the future: the system's clock counts as ahead, and is accepted after AcceptAfter.
func unknownState() state { return state{Kept: time.Unix(0, 0).UTC(), System: time.Unix(0, 0).UTC()} }

// Open reads the file of a clock. Without a file, the clock begins with Options.Newest. If the file
// is damaged, or Newest is in the future, nothing expires for AcceptAfter. A file of a newer
// version is an error.
func Open(opts Options) (*Clock, error) {
	if opts.System == nil {
		opts.System = time.Now
	}
	if opts.Running == nil {
		began := time.Now()
		opts.Running = func() time.Duration { return time.Since(began) }
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Clock{opts: opts, log: opts.Logger}
	var err error
	var found bool
	if c.state, found, err = read(opts.File, c.log); err != nil {
		return nil, err
	}
	if !found {
		system := c.system()
		switch {
		case opts.Newest.IsZero():
			c.state = state{Kept: system, System: system}
		case opts.Newest.Sub(system) > MaxAhead: // one of them is wrong
			c.state = unknownState()
		default:
			c.state = state{Kept: opts.Newest.Round(0).UTC(), System: system}
		}
	}
	c.refreshed = opts.Running()
	c.refresh()
	if err := c.save(); err != nil { // a full disk must not prevent a start
		c.log.Warn("retention's clock could not be saved; it will be retried", "error", err)
	}
	register(opts.Registerer, c)
	return c, nil
}

// system returns the system's clock without its monotonic reading.
func (c *Clock) system() time.Time { return c.opts.System().Round(0).UTC() }

// refresh brings the clock up to date and returns its state.
func (c *Clock) refresh() state {
	c.mu.Lock()
	defer c.mu.Unlock()
	system, running := c.system(), c.opts.Running()
	if c.state.advance(system, running-c.refreshed) {
		c.log.Warn("the system's clock has been ahead of retention's for 24 h of running; it is believed now", "clock", system)
	}
	c.refreshed = running
	if held := c.state.held(); held != c.held {
		c.held = held
		if held {
			c.log.Warn("retention: "+c.state.reason(), "clock", system, "kept", c.state.kept())
		} else {
			c.log.Info("events expire again", "clock", system, "kept", c.state.kept())
		}
	}
	return c.state
}

// advance is called with the system's clock and the time since the previous call. It reports
// whether a system clock that was ahead is accepted from now on.
func (s *state) advance(system time.Time, passed time.Duration) (believed bool) {
	step := system.Sub(s.System) - passed
	s.System = system
	s.Kept = s.Kept.Add(passed)
	switch ahead := s.ahead(); {
	case ahead <= followAtOnce:
		if ahead > 0 {
			s.Kept = system
		}
		s.Waited = 0
	case step > MaxAhead || step < -MaxAhead: // set to another time, which must be accepted anew
		s.Waited = 0
	default:
		if s.Waited += passed; s.Waited >= AcceptAfter {
			s.Kept, s.Waited = system, 0
			return true
		}
	}
	return false
}

// ahead returns how far the system's clock is ahead; the result is negative if it is behind.
func (s *state) ahead() time.Duration { return s.System.Sub(s.Kept) }

func (s *state) held() bool { return s.ahead() > MaxAhead }

// known reports whether the kept time is known: see unknownState.
func (s *state) known() bool { return !s.Kept.Before(time.Unix(0, 0).Add(AcceptAfter)) }

// kept returns the kept time in a form for logs.
func (s *state) kept() any {
	if !s.known() {
		return "unknown"
	}
	return s.Kept
}

// Now returns the time by which rows expire: the kept time, or the system's if that is earlier.
// While held is true, the system's clock is more than MaxAhead ahead, and nothing may expire.
func (c *Clock) Now() (now time.Time, held bool) {
	s := c.refresh()
	if s.System.Before(s.Kept) {
		return s.System, false
	}
	return s.Kept, s.held()
}

// Reason says why nothing expires, or that the system's clock is more than MaxAhead behind. It is
// empty if neither is the case.
func (c *Clock) Reason() string {
	s := c.refresh()
	return s.reason()
}

func (s *state) reason() string {
	const form = time.RFC3339
	switch ahead := s.ahead(); {
	case s.held() && !s.known():
		return fmt.Sprintf("nothing expires, because the time that retention has reached is not known: its file was damaged, or is missing while there are events of the future; the system's clock, which says %s, is believed after %s more of running, or by `eye store accept-clock`",
			s.System.Format(form), remaining(AcceptAfter-s.Waited))
	case s.held():
		return fmt.Sprintf("nothing expires: the system's clock says %s, %s ahead of %s, which retention goes by; it is believed after %s more of running, or by `eye store accept-clock`",
			s.System.Format(form), span(ahead), s.Kept.Format(form), remaining(AcceptAfter-s.Waited))
	case ahead < -MaxAhead:
		return fmt.Sprintf("the system's clock says %s, %s behind %s, which retention has reached: events expire by the system's clock; if that is right, run `eye store accept-clock`",
			s.System.Format(form), span(-ahead), s.Kept.Format(form))
	}
	return ""
}

// remaining formats a time to wait, rounded up.
func remaining(d time.Duration) string {
	unit := time.Hour
	if d < 2*time.Hour {
		unit = time.Minute
	}
	return span((d + unit - 1).Truncate(unit))
}

func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int64(d.Minutes()))
	case d < 2*day:
		return fmt.Sprintf("%d h", int64(d.Hours()))
	}
	return fmt.Sprintf("%d days", int64(d/day))
}

// Change is the result of Accept. Before is zero if it is not known, because the file was damaged.
type Change struct{ Before, After time.Time }

// Accept sets the clock to the system's. Only Accept can set it back. The change is durable when
// Accept returns; after an error, nothing has changed.
func (c *Clock) Accept() (Change, error) {
	c.refresh()
	c.mu.Lock()
	defer c.mu.Unlock()
	next := state{Kept: c.state.System, System: c.state.System}
	if err := next.write(c.opts.File); err != nil {
		return Change{}, err
	}
	done, before := Change{After: next.Kept}, c.state.kept()
	if c.state.known() {
		done.Before = c.state.Kept
	}
	c.state, c.saved, c.held = next, next.Kept, false
	c.log.Info("the system's clock was accepted for retention", "before", before, "clock", done.After)
	return done, nil
}

// Run saves the time in the file regularly until ctx is done.
func (c *Clock) Run(ctx context.Context) error {
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	failing := false
	for {
		ending := false
		select {
		case <-ctx.Done():
			ending = true
		case <-tick.C:
		}
		if s := c.refresh(); !ending && s.Kept.Sub(c.lastSaved()) < saveInterval {
			continue
		}
		err := c.save()
		if err != nil && !failing {
			c.log.Warn("retention's clock could not be saved; it will be retried", "error", err)
		}
		failing = err != nil
		if ending {
			return nil
		}
	}
}

func (c *Clock) lastSaved() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.saved
}

// Save writes the time to the file. It is durable when Save returns nil.
func (c *Clock) Save() error {
	c.refresh()
	return c.save()
}

func (c *Clock) save() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.state.write(c.opts.File); err != nil {
		return err
	}
	c.saved = c.state.Kept
	return nil
}

func register(r prometheus.Registerer, c *Clock) {
	if r == nil {
		return
	}
	r.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "eye_retention_held", Help: "1 while nothing expires because the system's clock is more than a day ahead, else 0.",
		}, func() float64 {
			if _, held := c.Now(); held {
				return 1
			}
			return 0
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "eye_retention_clock_ahead_seconds", Help: "How far the system's clock is ahead of the time that retention goes by; negative when it is behind.",
		}, func() float64 { s := c.refresh(); return s.ahead().Seconds() }),
	)
}
