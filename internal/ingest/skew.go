package ingest

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"theeye/internal/event"
	"theeye/internal/quantile"
)

// Skew describes how far the clocks of an application's senders have been off since the start: the
// absolute values of received − sent, of each event with a sent time. Quantiles are at most an
// eighth too large.
type Skew struct {
	Events    int64
	Corrected int64 // events whose time was corrected
	P50, P99  time.Duration
	Max       time.Duration
}

// skews holds the measurements of each application.
type skews struct {
	mu      sync.RWMutex // guards byApp
	byApp   map[string]*skew
	seconds prometheus.Histogram // of all applications, because one series for each would be too many
}

func newSkews(r prometheus.Registerer) *skews {
	s := &skews{byApp: map[string]*skew{}, seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "eye_intake_skew_seconds", Help: "received_at − sent_at, in seconds, of events with a send time: negative if the sender's clock is ahead.",
		Buckets: []float64{-86400, -3600, -300, -60, -10, -1, 0, .1, 1, 10, 60, 300, 3600, 86400},
	})}
	if r != nil {
		r.MustRegister(s.seconds)
	}
	return s
}

// skew holds the measurements of one application.
type skew struct {
	seconds   prometheus.Observer
	corrected atomic.Int64
	max       atomic.Int64                   // ms
	counts    [quantile.Buckets]atomic.Int64 // of ms
}

// find returns the measurements of an application, nil if there are none.
func (s *skews) find(app string) *skew {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byApp[app]
}

func (s *skews) app(name string) *skew {
	if one := s.find(name); one != nil {
		return one
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.byApp[name]
	if one == nil {
		one = &skew{seconds: s.seconds}
		s.byApp[name] = one
	}
	return one
}

// observe counts how far a sender's clock was off. It may be called on nil, and then does nothing.
func (s *skew) observe(received, sent event.Micros, corrected bool) {
	if s == nil {
		return
	}
	d := received.Sub(sent)
	s.seconds.Observe(d.Seconds())
	ms := d.Abs().Milliseconds()
	s.counts[quantile.Bucket(ms)].Add(1)
	if corrected {
		s.corrected.Add(1)
	}
	for before := s.max.Load(); ms > before && !s.max.CompareAndSwap(before, ms); before = s.max.Load() {
	}
}

func (s *skew) summary() Skew {
	x := Skew{Corrected: s.corrected.Load(), Max: time.Duration(s.max.Load()) * time.Millisecond}
	var counts quantile.Counts
	for i := range counts {
		counts[i] = s.counts[i].Load()
	}
	x.Events = counts.Total()
	of := func(percent int64) time.Duration {
		return min(time.Duration(counts.Quantile(percent))*time.Millisecond, x.Max)
	}
	x.P50, x.P99 = of(50), of(99)
	return x
}

// Skew returns the measurements of an application.
func (c *Collector) Skew(app string) Skew {
	if one := c.skews.find(app); one != nil {
		return one.summary()
	}
	return Skew{}
}

// ForgetApp drops what is kept in memory about an application that was deleted.
func (c *Collector) ForgetApp(app string) {
	c.large.forget(app)
	c.skews.mu.Lock()
	defer c.skews.mu.Unlock()
	delete(c.skews.byApp, app)
}
