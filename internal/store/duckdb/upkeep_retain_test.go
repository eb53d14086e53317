package duckdb_test

import (
	"fmt"
	"testing"
	"time"

	"theeye/internal/event"
	"theeye/internal/query"
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

// A segment is written again when rows of one of its applications are as old as they may become,
// and not because those of others are: over two days of ticks each rewrite removes something, and
// there are few.
func TestRetentionsOfOneSegment(t *testing.T) {
	const day = 24 * time.Hour
	begin := time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)
	now := begin
	retentions := map[string]time.Duration{"week": 7 * day, "month": 30 * day, "ever": 0}
	rewrites := 0
	s := closed(t, open(t, duckdb.Options{
		Dir: t.TempDir(), Clock: func() (time.Time, bool) { return now, false },
		Retain: func(app string) time.Duration { return retentions[app] },
		Step: func(name string) error {
			if name == "before expiry" {
				rewrites++
			}
			return nil
		},
	}))
	frames := uint64(0)
	for segment := range 3 { // each has events of nine days of each application
		var batch []event.Record
		for hour := range 9 * 24 {
			for app := range retentions {
				r := dated(segment*100_000+len(batch), begin.Add(time.Duration(-hour)*time.Hour), begin.Add(-time.Hour))
				r.Event.App = app
				batch = append(batch, r)
			}
		}
		frames++
		write(t, s, frame(frames, batch...))
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	expired := func() (n int64) {
		for _, b := range books(t, s) {
			n += b.Expired
		}
		return n
	}
	before := expired()
	for now.Sub(begin) < 2*day {
		did := rewrites
		if err := s.Expire(t.Context()); err != nil {
			t.Fatal(err)
		}
		if did = rewrites - did; did > 0 {
			removed := expired() - before
			before += removed
			if removed < int64(did) {
				t.Errorf("%s: %d rewrites removed %d events", now, did, removed)
			}
		}
		if now = now.Add(10 * time.Minute); now.Minute() != 0 {
			continue
		}
		p, err := s.Events(t.Context(), query.Query{Apps: []string{"week"}, Limit: 1})
		if err != nil || len(p.Items) != 1 {
			t.Fatal(p, err)
		}
		if age := now.Sub(p.Items[0].OccurredAt.Time()); age > 7*day+7*day/20+10*time.Minute {
			t.Errorf("%s: an event is %s old", now, age)
		}
	}
	if most := 3 * (1 + int(2*day/(7*day/20))); rewrites == 0 || rewrites > most {
		t.Errorf("%d rewrites in two days, want at most %d", rewrites, most)
	}
}

// What was erased is remembered for the dedupe window, however short the retention is.
func TestErasedIDsOutliveTheRetention(t *testing.T) {
	const hour = time.Hour
	begin := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	now := begin
	s := closed(t, open(t, duckdb.Options{
		Dir: t.TempDir(), DedupeWindow: 24 * hour, Clock: func() (time.Time, bool) { return now, false },
		Retain: func(string) time.Duration { return time.Minute },
	}))
	visit := func() event.Record { // far ahead, so that its own time does not tell
		r := dated(1, now.Add(48*hour), now)
		r.Event.SessionID = "s"
		return r
	}
	write(t, s, frame(1, visit()))
	if _, err := s.AddTombstones([]string{"shop"}, "s", event.Micros(now.Add(time.Second).UnixMicro()), upTo(1)); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := eraseOpen(t, s); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		after time.Duration
		want  event.Fate
	}{{hour, event.Erased}, {23 * hour, event.Erased}, {2 * 24 * hour, event.Stored}} {
		now = now.Add(c.after)
		if err := s.Expire(t.Context()); err != nil {
			t.Fatal(err)
		}
		if o := write(t, s, frame(uint64(i+2), visit())); o[0].Fate != c.want {
			t.Errorf("%s later the fate is %v, want %v", now.Sub(begin), o[0].Fate, c.want)
		}
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// Traces of replays, which stay a little longer than all else, do not have a segment written again
// at each tick.
func TestRetentionOfReplays(t *testing.T) {
	const day = 24 * time.Hour
	begin := time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)
	now := begin
	rewrites := 0
	s := closed(t, open(t, duckdb.Options{
		Dir: t.TempDir(), Clock: func() (time.Time, bool) { return now, false },
		Retain: func(app string) time.Duration { return map[string]time.Duration{"shop": 7 * day}[app] },
		Step: func(name string) error {
			if name == "before expiry" {
				rewrites++
			}
			return nil
		},
	}))
	var batch []event.Record
	for minute := range 8 * 24 * 6 {
		received := begin.Add(-8*day + time.Duration(10*minute)*time.Minute)
		r := dated(minute, received, received)
		r.Event.Position = event.Position{Frame: 1, Index: uint32(minute)}
		batch = append(batch, r)
	}
	other := dated(1_000_000, begin, begin)
	other.Event.App = "other"
	replays := frame(2, append(batch, other)...)
	for i := range batch {
		replays.Records[i].Event.Position.Frame = 1 // of the rejections that they replay
	}
	write(t, s, replays)
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for now.Sub(begin) < day {
		if err := s.Expire(t.Context()); err != nil {
			t.Fatal(err)
		}
		now = now.Add(5 * time.Minute)
	}
	if rewrites == 0 || rewrites > 8 {
		t.Errorf("%d rewrites in a day, want at most 8", rewrites)
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
