package test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

// A server that is killed at any step of a replay goes on with it when it starts
// again: each event is stored once, nothing is counted twice, and the books balance.
func TestKilledDuringAReplay(t *testing.T) {
	t.Parallel()
	const events = 8000 // three pages
	for _, at := range []string{
		"replay page read:1", "replay page read:3", "replay published:1", "replay published:2", "replay counted:1", "replay counted:3", "segment named:1",
	} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			s := &server{t: t, tags: "eyefault", data: t.TempDir(), args: []string{"--flush-rows", "2000"}}
			s.launch()
			s.prepare()
			s.refuse(events)
			s.shutDown()
			s.env = []string{"EYE_FAULT_KILL=" + at}
			s.launch()
			var asked sync.WaitGroup
			asked.Go(func() {
				_, _ = s.try("POST", "/v1/rejections/replay", s.admin, []byte(`{"filter":{"code":"schema_violation"}}`))
			})
			select {
			case <-s.exited:
			case <-time.After(time.Minute):
				t.Fatal("it was not killed")
			}
			asked.Wait()
			s.env = nil
			s.launch()
			s.allReplayed(events)
		})
	}
}

// The same at random moments, with events that arrive meanwhile.
func TestKilledAtAnyMomentOfAReplay(t *testing.T) {
	t.Parallel()
	const events, kills = 12_000, 5
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	s := start(t, "--flush-rows", "5000")
	s.refuse(events)
	var asked sync.WaitGroup
	asked.Go(func() { _, _ = s.try("POST", "/v1/rejections/replay", s.admin, []byte(`{"filter":{}}`)) })
	midway := 0
	for range kills {
		s.eventually("the replay to be known", func() bool {
			return strings.Contains(string(s.call("GET", "/v1/replays", s.admin, "").body), `"state"`)
		})
		time.Sleep(time.Duration(r.IntN(100)) * time.Millisecond)
		if strings.Contains(string(s.call("GET", "/v1/replays", s.admin, "").body), `"state":"running"`) {
			midway++
		}
		s.kill()
		asked.Wait()
		s.launch()
	}
	t.Logf("%d of %d kills were midway", midway, kills)
	if midway == 0 {
		t.Error("the replay was never killed midway: it shows nothing")
	}
	s.allReplayed(events)
}

// refuse sends events that a schema refuses, and then makes the schema right.
func (s *server) refuse(n int) {
	s.t.Helper()
	s.putType(strict)
	for from := 0; from < n; from += 1000 {
		var batch []string
		for i := from; i < min(n, from+1000); i++ {
			batch = append(batch, submit(i, fmt.Sprintf("s%d", i%7), ""))
		}
		s.sendAll(batch...)
	}
	s.same("books", [5]int{n, 0, n, 0, 0}, s.ledger())
	s.putType(loose)
}

// allReplayed waits for the one replay and checks that each of n events is stored
// once.
func (s *server) allReplayed(n int) {
	s.t.Helper()
	var list string
	s.eventually("the replay to go on and end", func() bool {
		list = string(s.call("GET", "/v1/replays", s.admin, "").body)
		return strings.Contains(list, `"state":"done"`)
	})
	if strings.Count(list, `"state"`) != 1 || !strings.Contains(list, fmt.Sprintf(`"matched":%d,"would_pass":%d,"would_fail":0,"done":%d,`, n, n, n)) {
		s.t.Errorf("replays: %s", list)
	}
	account := s.ledger()
	s.same("books", [5]int{n, n, 0, 0, 0}, account)
	l := &ledger{entries: map[uuid.UUID]*entry{}}
	for i := range n {
		l.entries[uuid.MustParse(formID(i))] = &entry{data: fmt.Sprintf(`{"form":{"first_name":"J%d"},"price":1.50}`, i), acked: 1, good: true}
	}
	l.find(s)
	for id, e := range l.entries {
		if e.stored != 1 || e.rejected != 1 {
			s.t.Errorf("event %s is stored %d times and was rejected %d times", id, e.stored, e.rejected)
		}
	}
	if r := s.replay(`{"filter":{}}`); r.Matched != 0 || r.Stored != 0 {
		s.t.Errorf("a second replay: %+v", r)
	}
}
