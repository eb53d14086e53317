package duckdb_test

import (
	"fmt"
	"testing"
	"time"

	"theeye/internal/event"
	"theeye/internal/store/duckdb"
)

// dated is an event that was sent and received at given times.
func dated(n int, sent, received time.Time) event.Record {
	r := pageView(n)
	at := event.Micros(sent.UnixMicro())
	r.Event.Timestamp, r.Event.SentTime, r.Event.OccurredAt = at.String(), at, at
	r.Event.ReceivedAt = event.Micros(received.UnixMicro())
	return r
}

// While the clock is held nothing expires: neither what is stored, as a whole segment
// or in part, nor what arrives.
func TestNothingExpiresWhileTheClockIsHeld(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	held := true
	s := closed(t, open(t, duckdb.Options{
		Dir: t.TempDir(), Retain: func(string) time.Duration { return 30 * 24 * time.Hour },
		Clock: func() (time.Time, bool) { return now, held },
	}))
	old := now.AddDate(-1, 0, 0)
	want := func(stored, expired int64) {
		t.Helper()
		if err := s.Expire(t.Context()); err != nil {
			t.Fatal(err)
		}
		if b := books(t, s)["shop"]; b.Stored != stored || b.Expired != expired {
			t.Errorf("%d are stored and %d expired, want %d and %d", b.Stored, b.Expired, stored, expired)
		}
	}
	for i, batch := range [][]event.Record{{dated(1, old, now), dated(2, old, now)}, {dated(3, old, now), dated(4, now, now)}} {
		for _, o := range write(t, s, frame(uint64(i+1), batch...)) {
			if o.Fate != event.Stored {
				t.Errorf("an arrival has the fate %v", o.Fate)
			}
		}
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want(4, 0)
	held = false
	want(1, 3)
	if o := write(t, s, frame(3, dated(5, old, now))); o[0].Fate != event.Expired {
		t.Errorf("what arrives expired has the fate %v", o[0].Fate)
	}
}

// An id is remembered for the dedupe window whatever the system's clock says, by which
// the time of receipt goes.
func TestClockThatJumpsKeepsTheDedupeWindow(t *testing.T) {
	const hour = time.Hour
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		jump time.Duration
		held bool
		want event.Fate
	}{
		"none":           {0, false, event.Rejected},
		"70 years ahead": {70 * 365 * 24 * hour, true, event.Rejected},
		"an hour back":   {-hour, false, event.Rejected},
		"really later":   {0, false, event.Stored},
	} {
		t.Run(name, func(t *testing.T) {
			kept := now
			s := closed(t, open(t, duckdb.Options{Dir: t.TempDir(), DedupeWindow: 24 * hour, Clock: func() (time.Time, bool) { return kept, c.held }}))
			write(t, s, frame(1, dated(1, now, now)))
			if err := s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			kept = now.Add(hour)
			if c.want == event.Stored {
				kept = now.Add(25 * hour)
			}
			// The same id with another timestamp.
			o := write(t, s, frame(2, dated(1, now.Add(time.Second), kept.Add(c.jump))))
			if o[0].Fate != c.want {
				t.Error(fmt.Sprint("the fate is ", o[0].Fate))
			}
		})
	}
}
