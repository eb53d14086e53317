package test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// tailLoad is how many tails are open while events are sent, and how fast. EYE_TEST_TAILS,
// EYE_TEST_TAIL_RATE (events a second) and EYE_TEST_TAIL_SECONDS set it.
type tailLoad struct{ tails, rate, seconds int }

func newTailLoad(t *testing.T) tailLoad {
	t.Helper()
	l := tailLoad{tails: 20, rate: 1000, seconds: 2}
	for name, value := range map[string]*int{"EYE_TEST_TAILS": &l.tails, "EYE_TEST_TAIL_RATE": &l.rate, "EYE_TEST_TAIL_SECONDS": &l.seconds} {
		if text := os.Getenv(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 {
				t.Fatalf("%s=%s", name, text)
			}
			*value = n
		}
	}
	return l
}

// sending is what became of sending at a rate.
type sending struct {
	events int
	rate   float64         // acknowledged events a second
	delays []time.Duration // of the answers, sorted
}

func (s sending) String() string {
	return fmt.Sprintf("%.0f events/s, answers after %s (median) and %s (99 %%)", s.rate,
		s.delays[len(s.delays)/2].Round(time.Millisecond/10), s.delays[len(s.delays)*99/100].Round(time.Millisecond/10))
}

// send sends events at a rate, one of a hundred of which is rare. It does not wait for an answer
// before the next request, but for at most 8.
func (l tailLoad) send(t *testing.T, s *server) sending {
	t.Helper()
	const perRequest, senders = 100, 8
	requests := l.rate * l.seconds / perRequest
	type answered struct {
		delay time.Duration
		err   error
	}
	answers, due := make(chan answered, requests), make(chan int, requests)
	start := time.Now()
	for range senders {
		go func() {
			for n := range due {
				var list []string
				for i := range perRequest {
					list = append(list, fmt.Sprintf(`{"session_id":"s%d","category":"c","name":"n","data":{"path":"/a/page/of/the/shop","rare":%t},"timestamp":"2026-01-01T00:00:00Z"}`,
						n%50, i == 0))
				}
				at := time.Now()
				a, err := s.try("POST", "/v1/events?quiet=1", s.write, []byte("["+strings.Join(list, ",")+"]"))
				if err == nil && a.status != 202 {
					err = fmt.Errorf("%d %s", a.status, a.body)
				}
				answers <- answered{time.Since(at), err}
			}
		}()
	}
	for n := range requests {
		time.Sleep(time.Until(start.Add(time.Duration(n) * time.Second * perRequest / time.Duration(l.rate))))
		due <- n
	}
	close(due)
	result := sending{events: requests * perRequest}
	for range requests {
		a := <-answers
		if a.err != nil {
			t.Fatal(a.err)
		}
		result.delays = append(result.delays, a.delay)
	}
	result.rate = float64(result.events) / time.Since(start).Seconds()
	slices.Sort(result.delays)
	return result
}

// Tails with a rare filter miss nothing while events are sent, and every item that others miss is
// counted.
func TestTailsUnderLoad(t *testing.T) {
	t.Parallel()
	l := newTailLoad(t)
	s := start(t)
	l.send(t, s) // warms up
	t.Logf("without tails: %s", l.send(t, s))
	for _, tc := range []struct {
		name, query string
		share       int // one event of so many is selected
	}{
		{"one of a hundred", "where=" + url.QueryEscape("data.rare=true"), 100},
		{"all", "", 1},
	} {
		from := s.feed(s.read, "after=now").Next
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		before := s.memory()
		want := int64(l.rate * l.seconds / tc.share)
		var got, missed, again atomic.Int64
		ended := make(chan error, l.tails)
		for range l.tails {
			go func() {
				seen, last := int64(0), from
				each := func(m message) bool {
					last = m.id
					switch m.event {
					case "event":
						got.Add(1)
						seen++
					case "missed":
						var gap struct {
							Count int64 `json:"count"`
						}
						if err := json.Unmarshal([]byte(m.data), &gap); err != nil {
							t.Error(err)
						}
						missed.Add(gap.Count)
						seen += gap.Count
					}
					return seen < want
				}
				err := s.tail(ctx, tc.query, last, each)
				for ; err == nil && seen < want; again.Add(1) { // as an EventSource does
					err = s.tail(ctx, tc.query, last, each)
				}
				ended <- err
			}()
		}
		result := l.send(t, s)
		memory := s.memory()
		late := time.AfterFunc(5*time.Minute, cancel)
		for range l.tails {
			if err := <-ended; err != nil {
				t.Errorf("%s: a tail ended with %v", tc.name, err)
			}
		}
		late.Stop()
		if all := got.Load() + missed.Load(); all != want*int64(l.tails) || tc.share > 1 && missed.Load() > 0 {
			t.Errorf("%s: %d items were received and %d were missed, of %d", tc.name, got.Load(), missed.Load(), want*int64(l.tails))
		}
		t.Logf("%d tails of %s: %s; %d received, %d missed, %d connected again; the server takes %d MiB, %d before",
			l.tails, tc.name, result, got.Load(), missed.Load(), again.Load(), memory>>20, before>>20)
	}
}
