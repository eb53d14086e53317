package intake

import (
	"fmt"
	"math"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"theeye/internal/httpapi"
	"theeye/internal/plural"
	"theeye/internal/registry"
)

// rateWindow is the capacity of a bucket, in seconds of its application's rate.
const rateWindow = 2

// buckets holds the token bucket of each application with a rate, on this node. Requests of
// applications without a rate do not wait for a lock.
type buckets struct {
	of sync.Map // name → *bucket; one for each application that ever had a rate
}

// forget drops the bucket of an application that no longer exists, together with its debt.
func (b *buckets) forget(app string) { b.of.Delete(app) }

// bucket is a token bucket of events that may go into debt: a request enters while the bucket is
// positive and is charged once the number of its events is known.
type bucket struct {
	created time.Time  // when the application was
	mu      sync.Mutex // makes checking and taking atomic; guards what follows
	perSec  int64
	limiter *rate.Limiter
}

// bucket returns the bucket of an application with the rate in force, or nil if it has no rate.
func (b *buckets) bucket(app registry.App, now time.Time) *bucket {
	found, ok := b.of.Load(app.Name)
	if app.Rate == 0 {
		if ok {
			b.of.Delete(app.Name)
		}
		return nil
	}
	if one, ok := found.(*bucket); ok && one.created.Equal(app.CreatedAt) {
		one.setRate(now, app.Rate)
		return one
	}
	made := &bucket{created: app.CreatedAt, perSec: app.Rate, limiter: rate.NewLimiter(rate.Limit(app.Rate), burstOf(app.Rate))}
	if ok { // of an earlier application with the same name
		b.of.CompareAndDelete(app.Name, found)
	}
	found, _ = b.of.LoadOrStore(app.Name, made)
	if one, ok := found.(*bucket); ok {
		return one
	}
	return made
}

func burstOf(perSec int64) int { return int(rateWindow * perSec) }

func (b *bucket) setRate(now time.Time, perSec int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.perSec == perSec {
		return
	}
	b.limiter.SetLimitAt(now, rate.Limit(perSec))
	b.limiter.SetBurstAt(now, burstOf(perSec))
	b.perSec = perSec
}

// enter admits a request while the bucket is positive. It takes one event, so that no more
// concurrent requests enter than the bucket holds.
func (b *bucket) enter(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.limiter.TokensAt(now) <= 0 {
		return false
	}
	b.limiter.ReserveN(now, 1)
	return true
}

// charge takes events from the bucket, which may go into debt. The limiter refuses to reserve more
// than a burst at a time, so the events are charged in parts.
func (b *bucket) charge(now time.Time, events int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for burst := b.limiter.Burst(); events > 0; events -= burst {
		b.limiter.ReserveN(now, min(events, burst))
	}
}

// rateState is the state of a bucket that the headers of a response report.
type rateState struct {
	quota     int64 // events
	remaining int64 // events; 0 if the next request is refused
	reset     int64 // seconds until the bucket is positive, or full if it already is
}

func (b *bucket) state(now time.Time) rateState {
	b.mu.Lock()
	defer b.mu.Unlock()
	tokens, perSec := b.limiter.TokensAt(now), float64(b.perSec)
	s := rateState{quota: rateWindow * b.perSec}
	if tokens <= 0 {
		s.reset = int64(-tokens/perSec) + 1
		return s
	}
	s.remaining = int64(math.Ceil(tokens))
	s.reset = int64(math.Ceil((float64(s.quota) - tokens) / perSec))
	return s
}

// announce sets the fields of draft-ietf-httpapi-ratelimit-headers, in events.
func (s rateState) announce(h http.Header) {
	h.Set("Ratelimit-Policy", fmt.Sprintf(`"default";q=%d;w=%d`, s.quota, rateWindow))
	h.Set("Ratelimit", fmt.Sprintf(`"default";r=%d;t=%d`, s.remaining, s.reset))
}

// enterBucket lets a request in, before anything of it is read, or returns the 429. The caller
// calls charge with the number of events before it answers; the headers of the response then say
// what is left.
func (h *Handlers) enterBucket(app registry.App, answer http.Header) (charge func(events int), err error) {
	now := time.Now()
	b := h.buckets.bucket(app, now)
	if b == nil {
		return func(int) {}, nil
	}
	if b.enter(now) {
		return func(events int) {
			b.charge(time.Now(), events-1)
			b.state(time.Now()).announce(answer)
		}, nil
	}
	state := b.state(now)
	state.announce(answer)
	h.metrics.overRate.WithLabelValues(app.Name).Inc()
	wait := max(state.reset, 1)
	return nil, httpapi.Problemf(http.StatusTooManyRequests, "application %q exceeds its rate of %s per second: nothing of this request was kept; try again in %d s",
		app.Name, plural.Count(app.Rate, "event"), wait).WithRetryAfter(time.Duration(wait) * time.Second)
}
