package intake

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"theeye/internal/registry"
)

// A bucket behaves as documented: it fills at the rate up to two seconds' worth, admits requests
// while it is positive, and may go into debt.
func TestBucketModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1_700_000_000, 0)
		perSec := rapid.Int64Range(1, 2000).Draw(t, "rate")
		var all buckets
		b := all.bucket(registry.App{Name: "a", Settings: registry.Settings{Rate: perSec}}, now)
		tokens := float64(2 * perSec)
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				waited := rapid.IntRange(0, 5000).Draw(t, "ms")
				now = now.Add(time.Duration(waited) * time.Millisecond)
				tokens = min(tokens+float64(waited)/1000*float64(perSec), float64(2*perSec))
			case 1:
				if math.Abs(tokens) < 1e-3 {
					continue // too close to decide
				}
				if got, want := b.enter(now), tokens > 0; got != want {
					t.Fatalf("entering with %v tokens: %v", tokens, got)
				} else if want {
					tokens--
				}
			case 2:
				n := rapid.IntRange(0, 10_000).Draw(t, "events")
				b.charge(now, n)
				tokens -= float64(n)
			case 3:
				perSec = rapid.Int64Range(1, 2000).Draw(t, "new rate")
				b = all.bucket(registry.App{Name: "a", Settings: registry.Settings{Rate: perSec}}, now)
				tokens = min(tokens, float64(2*perSec))
			}
			s := b.state(now)
			if math.Abs(tokens) < 1e-3 {
				continue
			}
			later := now.Add(time.Duration(s.reset) * time.Second)
			switch {
			case s.quota != 2*perSec:
				t.Fatalf("quota %d at a rate of %d", s.quota, perSec)
			case (s.remaining > 0) != (tokens > 0):
				t.Fatalf("%d remain of %v tokens", s.remaining, tokens)
			case tokens < 0 && (s.reset < 1 || b.limiter.TokensAt(later) <= 0):
				t.Fatalf("after %d s the bucket that owed %v is not positive", s.reset, -tokens)
			case tokens < 0 && s.reset > 1 && b.limiter.TokensAt(later.Add(-1001*time.Millisecond)) > 0:
				t.Fatalf("%d s are too long for a debt of %v at %d/s", s.reset, -tokens, perSec)
			}
		}
	})
}

// Over a minute, a sender that never stops gets its rate, whatever the size of its batches.
func TestBucketOverTime(t *testing.T) {
	for _, batch := range []int{1, 7, 500, 10_000} {
		synctest.Test(t, func(t *testing.T) {
			const perSec, seconds = 100, 60
			var all buckets
			app := registry.App{Name: "a", Settings: registry.Settings{Rate: perSec}}
			taken := 0
			for end := time.Now().Add(seconds * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
				b := all.bucket(app, time.Now())
				if b.enter(time.Now()) {
					b.charge(time.Now(), batch-1)
					taken += batch
				}
			}
			if least, most := perSec*seconds, perSec*(seconds+rateWindow)+batch; taken < least || taken > most {
				t.Errorf("%d events in batches of %d were taken, want %d to %d", taken, batch, least, most)
			}
		})
	}
}

// No more concurrent requests enter than the bucket holds.
func TestBucketEntersOneByOne(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	var all buckets
	b := all.bucket(registry.App{Name: "a", Settings: registry.Settings{Rate: 3}}, now)
	entered := 0
	for range 100 {
		if b.enter(now) {
			entered++
		}
	}
	if entered != 6 {
		t.Errorf("%d requests entered a bucket of 6", entered)
	}
}

// The buckets of applications that no longer exist are dropped.
func TestBucketsAreBounded(t *testing.T) {
	var all buckets
	now := time.Now()
	with := func(name string, perSec int64) registry.App {
		return registry.App{Name: name, Settings: registry.Settings{Rate: perSec}}
	}
	all.bucket(with("gone", 1), now)
	all.bucket(with("changed", 1), now)
	all.bucket(with("changed", 0), now)
	all.bucket(with("new", 1), now)
	all.forget("gone")
	kept := map[any]bool{}
	all.of.Range(func(name, _ any) bool { kept[name] = true; return true })
	if len(kept) != 1 || !kept["new"] {
		t.Errorf("kept are %v", kept)
	}
}

// A new application does not inherit the debt of an earlier one with the same name.
func TestBucketOfASuccessor(t *testing.T) {
	var all buckets
	now := time.Now()
	first := registry.App{Name: "a", CreatedAt: now, Settings: registry.Settings{Rate: 1}}
	all.bucket(first, now).charge(now, 1000)
	if all.bucket(first, now).enter(now) {
		t.Error("one that owes was let in")
	}
	second := first
	second.CreatedAt = now.Add(time.Second)
	if b := all.bucket(second, now); !b.enter(now) || all.bucket(second, now) != b {
		t.Error("its successor was not")
	}
}

// Ten thousand applications do not slow down the others.
func BenchmarkBuckets(b *testing.B) {
	for _, perSec := range []int64{0, 1000} {
		b.Run(fmt.Sprint("rate ", perSec), func(b *testing.B) {
			for b.Loop() {
				var all buckets
				for i := range 10_000 {
					all.bucket(registry.App{Name: strconv.Itoa(i), Settings: registry.Settings{Rate: perSec}}, time.Now())
				}
			}
		})
	}
}

func TestRateFields(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	var all buckets
	b := all.bucket(registry.App{Name: "a", Settings: registry.Settings{Rate: 10}}, now)
	for _, step := range []struct {
		events int
		want   string
	}{
		{0, `"default";r=20;t=0`},
		{5, `"default";r=15;t=1`},
		{15, `"default";r=0;t=1`},
		{24, `"default";r=0;t=3`},
	} {
		b.charge(now, step.events)
		h := http.Header{}
		b.state(now).announce(h)
		if got := h.Get("Ratelimit"); got != step.want {
			t.Errorf("after %d events: %s, want %s", step.events, got, step.want)
		}
		if got := h.Get("Ratelimit-Policy"); got != `"default";q=20;w=2` {
			t.Errorf("the policy is %s", got)
		}
	}
}
