package test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// killedAt are the steps of changes of the store's files at which a server is
// killed, each at some of the times that it is reached. What a step leaves behind
// is said in docs/format.md.
func killedAt() []struct {
	step  string
	times []int
} {
	return []struct {
		step  string
		times []int
	}{
		// Of a flush, or of a merge, which comes when there are enough segments of one size.
		{"segment filled", []int{1, 2, 5}},
		{"segment written", []int{1, 3, 5}},
		{"segment named", []int{1, 2, 5}},
		{"before manifest", []int{1, 2, 5}},
		{"manifest written", []int{1, 2, 5}},
		{"before merge", []int{1}},
		{"before merge>segment filled", []int{1}},
		{"before merge>segment written", []int{1}},
		{"before merge>segment named", []int{1}},
		{"before merge>before manifest", []int{1}},
		{"before merge>manifest written", []int{1}},
	}
}

// A server that ends at any step of a change of its files holds each event once
// afterwards, whatever it was about to do.
func TestKilledAtEachStepOfTheStore(t *testing.T) {
	t.Parallel()
	const events = 6_000
	for _, at := range killedAt() {
		t.Run(at.step, func(t *testing.T) {
			t.Parallel()
			s := &server{t: t, tags: "eyefault", data: t.TempDir(), args: []string{"--flush-rows", "1000"}}
			s.launch()
			s.prepare()
			s.shutDown()
			l := &ledger{entries: map[uuid.UUID]*entry{}, pause: 200 * time.Millisecond}
			open := make([][]batch, crashSenders)
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			for i, n := range at.times {
				if strings.HasPrefix(at.step, "before merge") {
					s.env = nil
					s.launch()
					l.round(s, seed+50, l.acked.Load()+events, open)
					s.shutDown()
				}
				s.env = []string{fmt.Sprintf("EYE_FAULT_KILL=%s:%d", at.step, n)}
				if s.launched() { // a start may not come so far
					// The fault ends it: there is more to send than that takes.
					l.round(s, seed+uint64(i), 1<<62, open)
				}
				<-s.exited
			}
			s.env = nil
			s.launch()
			l.round(s, seed+99, l.acked.Load()+events, open)
			l.find(s)
			l.check(s, len(at.times))
		})
	}
}

// killedByItself waits for a server that is to end at a step.
func (s *server) killedByItself() {
	s.t.Helper()
	s.eventually("the step to be reached: "+strings.Join(s.env, " "), func() bool {
		select {
		case <-s.exited:
			return true
		default:
			return false
		}
	})
}
