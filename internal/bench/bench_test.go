package bench

import (
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	vegeta "github.com/tsenart/vegeta/v12/lib"

	"theeye/internal/demo"
	"theeye/internal/schema"
)

func TestLoadMakesEventsThatPass(t *testing.T) {
	types := map[string]*schema.Type{}
	for _, each := range demo.Types(app) {
		compiled, err := schema.Compile(each.Category, each.Name, 1, each.Schema)
		if err != nil {
			t.Fatal(err)
		}
		types[each.Category+"/"+each.Name] = compiled
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	ids := map[string]bool{}
	sessions := map[string]int{}
	names := map[string]bool{}
	l := newGenerator(500)
	for range 4 {
		var events []demo.Event
		if err := json.Unmarshal(l.body(now), &events); err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if problems := types[e.Category+"/"+e.Name].Check(e.Data); len(problems) > 0 {
				t.Errorf("%v: %v", e, problems)
			}
			if e.ID.Version() != 7 || e.ID.Variant() != uuid.RFC4122 || ids[e.ID.String()] {
				t.Errorf("id %s", e.ID)
			}
			if e.Timestamp != "2026-01-02T03:04:05.000006Z" {
				t.Errorf("timestamp %s", e.Timestamp)
			}
			ids[e.ID.String()], names[e.Name] = true, true
			sessions[e.SessionID]++
		}
	}
	if len(names) != 3 || len(sessions) < 2000/longestSession {
		t.Errorf("%d names, %d sessions", len(names), len(sessions))
	}
}

func TestScheduleCountsFromTheTimeOfARequest(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ms := time.Millisecond
	for _, tc := range []struct {
		name               string
		interval           time.Duration
		seq                uint64
		sent, latency      time.Duration // sent: after the beginning
		late, since, until time.Duration // until: the end, after the beginning
	}{
		{"on time", 10 * ms, 2, 30 * ms, 4 * ms, 0, 4 * ms, 34 * ms},
		{"early", 10 * ms, 2, 29 * ms, 4 * ms, 0, 4 * ms, 33 * ms},
		{"late", 10 * ms, 2, 95 * ms, 4 * ms, 65 * ms, 69 * ms, 99 * ms},
		{"no schedule", 0, 2, 95 * ms, 4 * ms, 0, 4 * ms, 99 * ms},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := &vegeta.Result{Seq: tc.seq, Timestamp: began.Add(tc.sent), Latency: tc.latency}
			late := schedule{began, tc.interval}.shift(r)
			if late != tc.late || r.Latency != tc.since || r.End().Sub(began) != tc.until {
				t.Errorf("late %s, latency %s, end %s", late, r.Latency, r.End().Sub(began))
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	l := newGenerator(200)
	b.ReportAllocs()
	for b.Loop() {
		b.SetBytes(int64(len(l.body(time.Now()))))
	}
}
