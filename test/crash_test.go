package test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// The crash test: senders on eight connections, a server that is killed at a
// random moment under load, and a ledger outside the server that knows what was
// acknowledged.
const (
	crashSenders = 8
	crashEvents  = 200_000 // or EYE_TEST_EVENTS
	crashKills   = 20      // or EYE_TEST_KILLS
)

// fromEnv returns a number that the environment may change.
func fromEnv(t *testing.T, variable string, fallback int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return fallback
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q, want a number of 1 or more", variable, text)
	}
	return n
}

// entry is what the ledger knows of one event.
type entry struct {
	data     string // as sent
	good     bool   // else it must be rejected
	acked    int    // arrivals that were acknowledged
	unknown  int    // arrivals whose request had no answer
	stored   int    // how often it was found among the events
	rejected int    // how often it was found among the rejections
}

type ledger struct {
	mu      sync.Mutex // guards entries
	entries map[uuid.UUID]*entry
	acked   atomic.Int64  // arrivals, for the moment of the kill
	late    atomic.Bool   // answers promise nothing: the power is being cut
	pause   time.Duration // of a sender after a batch, where what is waited for takes its time
}

// batch is one request, sent again with the same ids when it had no answer.
type batch struct {
	ids  []uuid.UUID
	body []byte
}

func (l *ledger) newBatch(r *rand.Rand, sender int) batch {
	var b batch
	var body bytes.Buffer
	for i := range 1 + r.IntN(200) {
		id := uuid.New()
		e := &entry{good: r.IntN(50) > 0, data: fmt.Sprintf(`{"path":"/%d","n":%d.0,"z":"é%x"}`, r.IntN(100), r.IntN(1000), r.Uint64())}
		name := `"name":"n",`
		if !e.good {
			name = ""
		}
		fmt.Fprintf(&body, `{"id":"%s","session_id":"session-%d","category":"c",%s"data":%s,"timestamp":"2021-01-01T00:00:%02d.%06dZ","seq":%d,"sender":"%d"}`+"\n",
			id, r.IntN(5000), name, e.data, r.IntN(60), r.IntN(10), i, sender)
		l.mu.Lock()
		l.entries[id] = e
		l.mu.Unlock()
		b.ids = append(b.ids, id)
	}
	b.body = body.Bytes()
	return b
}

// send sends a batch once and writes down what the answer says.
func (l *ledger) send(s *server, b batch) (answered bool) {
	a, err := s.try("POST", "/v1/events", s.write, b.body, "Content-Type", "application/x-ndjson")
	answered = err == nil && a.status == 202 && !l.late.Load()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range b.ids {
		if !answered {
			l.entries[id].unknown++
		} else {
			l.entries[id].acked++
		}
	}
	if answered {
		l.acked.Add(int64(len(b.ids)))
	}
	return answered
}

// round sends until the ledger has so many acknowledged arrivals, or the server
// is gone. What had no answer before is sent again first, by half.
func (l *ledger) round(s *server, seed uint64, until int64, open [][]batch) {
	var wg sync.WaitGroup
	for sender := range crashSenders {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(sender)))
			retry := open[sender]
			open[sender] = nil
			for _, b := range retry {
				if r.IntN(2) == 0 && !l.send(s, b) {
					return
				}
			}
			for l.acked.Load() < until {
				if b := l.newBatch(r, sender); !l.send(s, b) {
					open[sender] = append(open[sender], b)
					return
				}
				time.Sleep(l.pause)
			}
		})
	}
	wg.Wait()
}

// crash runs the whole test and returns the ledger with what was found.
func crash(s *server, events int64, kills int, seed uint64) *ledger {
	l := &ledger{entries: map[uuid.UUID]*entry{}}
	open := make([][]batch, crashSenders)
	r := rand.New(rand.NewPCG(seed, 99))
	for kill := range kills {
		// Killed somewhere within this round's share.
		share := events / int64(kills+1)
		at := int64(kill)*share + 1 + r.Int64N(share)
		done := make(chan struct{})
		go func() {
			defer close(done)
			l.round(s, r.Uint64(), events, open)
		}()
		s.eventually("the moment of the kill", func() bool { return l.acked.Load() >= at })
		s.kill()
		<-done
		s.launch()
	}
	l.round(s, r.Uint64(), events, open)
	l.find(s)
	return l
}

// find reads everything back.
func (l *ledger) find(s *server) {
	s.t.Helper()
	s.eventually("everything to be stored", func() bool {
		a := s.call("GET", "/v1/books", s.read, "")
		apps, _ := a.json()["apps"].([]any)
		return a.status == 200 && len(apps) == 1 && fmt.Sprint(apps[0].(map[string]any)["pending"]) == "0"
	})
	type row struct {
		ID      uuid.UUID      `json:"id"`
		EventID uuid.UUID      `json:"event_id"`
		Data    jsontext.Value `json:"data"`
		Raw     string         `json:"raw"`
	}
	type page struct {
		Events     []row   `json:"events"`
		Rejections []row   `json:"rejections"`
		NextCursor *string `json:"next_cursor"`
	}
	for _, path := range []string{"/v1/events?limit=1000", "/v1/rejections?limit=1000"} {
		for cursor := ""; ; {
			a := s.call("GET", path+cursor, s.read, "")
			s.must(a, 200)
			var p page
			if err := json.Unmarshal(a.body, &p); err != nil {
				s.t.Fatal(err)
			}
			for _, e := range p.Events {
				x := l.entries[e.ID]
				switch {
				case x == nil:
					s.t.Errorf("event %s was never sent", e.ID)
				case x.data != string(e.Data):
					s.t.Errorf("event %s was sent with %s and is stored with %s", e.ID, x.data, e.Data)
				default:
					x.stored++
				}
			}
			for _, e := range p.Rejections {
				if x := l.entries[e.EventID]; x == nil || !strings.Contains(e.Raw, x.data) {
					s.t.Errorf("rejection %s was never sent", e.Raw)
				} else {
					x.rejected++
				}
			}
			if p.NextCursor == nil {
				break
			}
			cursor = "&cursor=" + *p.NextCursor
		}
	}
}

// verdict counts what breaks the promises.
type verdict struct{ events, acked, unknown, lost, repeated, misplaced int }

func (l *ledger) judge() verdict {
	var v verdict
	for _, e := range l.entries {
		v.events++
		if e.acked > 0 {
			v.acked++
			if e.stored+e.rejected == 0 {
				v.lost++
			}
		} else {
			v.unknown++
		}
		if e.stored+e.rejected > 1 {
			v.repeated++
		}
		if e.good && e.rejected > 0 || !e.good && e.stored > 0 {
			v.misplaced++
		}
	}
	return v
}

func TestNothingAcknowledgedIsLostToAKill(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	s := start(t, "--flush-rows", "5000")
	kills, events := fromEnv(t, "EYE_TEST_KILLS", crashKills), fromEnv(t, "EYE_TEST_EVENTS", crashEvents)
	l := crash(s, int64(events), kills, seed)
	l.check(s, kills)
	if log := s.output.String(); !strings.Contains(log, "the queue's files were checked") || strings.Contains(log, "Stream state outdated") {
		t.Errorf("after a kill the log says\n%s", log)
	}
}

// check fails when a promise is broken, and tells what was found.
func (l *ledger) check(s *server, kills int) {
	s.t.Helper()
	v := l.judge()
	s.t.Logf("%d kills, %d events, %d acknowledged, %d without an answer, %d lost, %d repeated",
		kills, v.events, v.acked, v.unknown, v.lost, v.repeated)
	if v.lost > 0 || v.repeated > 0 || v.misplaced > 0 {
		s.t.Errorf("promises broken: %+v", v)
	}
	l.checkBooks(s)
}

// checkBooks compares the books with the ledger.
func (l *ledger) checkBooks(s *server) {
	s.t.Helper()
	a := s.call("GET", "/v1/books", s.read, "")
	s.must(a, 200)
	var answer struct {
		Apps []struct {
			Received, Stored, Rejected, Duplicate, Lost, Pending int64
			Balanced                                             bool
		} `json:"apps"`
	}
	if err := json.Unmarshal(a.body, &answer, json.MatchCaseInsensitiveNames(true)); err != nil {
		s.t.Fatal(err)
	}
	b := answer.Apps[0]
	var acked, unknown, stored, rejected int64
	for _, e := range l.entries {
		acked += int64(e.acked)
		unknown += int64(e.unknown)
		stored += int64(e.stored)
		rejected += int64(e.rejected)
	}
	if !b.Balanced || b.Stored != stored || b.Rejected != rejected || b.Lost != 0 || b.Pending != 0 ||
		b.Received < acked || b.Received > acked+unknown || b.Received-b.Duplicate != stored+rejected {
		s.t.Errorf("the books say %+v, the ledger: %d acknowledged, %d unknown, %d stored, %d rejected", b, acked, unknown, stored, rejected)
	}
}

// The same test, with the answer sent before the frame is published, must see
// losses: else it could not see them either when they are real.
func TestTheCrashTestNoticesLosses(t *testing.T) {
	t.Parallel()
	for try := range 5 {
		s := &server{t: t, tags: "eyefault", data: t.TempDir(), env: []string{"EYE_FAULT_ANSWER_FIRST=1"}}
		s.launch()
		s.prepare()
		v := crash(s, crashEvents/10, 3, uint64(try)).judge()
		t.Logf("answered before publishing: %+v", v)
		if v.lost > 0 {
			return
		}
	}
	t.Error("events that were never durable were acknowledged, and the test did not notice")
}
