package duckdb_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store/duckdb"
)

// A sender whose clock is ahead, or tells no zone, claims times behind the erasure. What
// came or occurred before it goes all the same, and so does what is sent once more.
func TestEraseWhatClaimsToBeLater(t *testing.T) {
	const at, ahead = event.Micros(1_000_000), event.Micros(9_000_000)
	visit := func(n int, sent, occurred, received event.Micros) event.Record {
		return event.Record{Event: &event.Event{
			App: "shop", ID: numbered(n), SessionID: "s", Category: "c", Name: "n", Data: []byte(`{}`), Timestamp: sent.String(),
			SentTime: sent, Seq: event.NoSeq, OccurredAt: occurred, ReceivedAt: received,
		}}
	}
	refused := event.Record{Rejection: &event.Rejection{
		ID: event.RejectionID("shop", numbered(4), []byte(`{}`)), EventID: numbered(4), App: "shop", SessionID: "s", SentTime: ahead,
		ReceivedAt: at, Problems: []event.Problem{{Code: event.MissingField, Pointer: "/name"}}, Raw: []byte(`{}`),
	}}
	s := open(t, duckdb.Options{Dir: t.TempDir()})
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	write(t, s, frame(1,
		visit(1, ahead, at-1, at), // without a zone
		visit(2, ahead, ahead, at),
		refused,
		visit(6, ahead, ahead, ahead), // before the server's clock was put back
	))
	write(t, s, frame(2, visit(3, ahead, ahead, at+1))) // received after the erasure
	if _, err := s.AddTombstones([]string{"shop"}, "s", at, upTo(1)); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	removed, err := eraseOpen(t, s)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]duckdb.Erased{{App: "shop", SessionKey: s.Erasures().SessionKey("s"), Events: 3, Rejections: 1}}, removed); diff != "" {
		t.Errorf("removed (-want +got):\n%s", diff)
	}
	outcomes, err := s.Write(t.Context(), frame(3, visit(1, ahead, at-1, at+2), visit(5, ahead, at+2, at+2)))
	if err != nil {
		t.Fatal(err)
	}
	if outcomes[0].Fate != event.Erased || outcomes[1].Fate != event.Stored {
		t.Errorf("fates %v, %v: want erased for the retry, stored for what is later", outcomes[0].Fate, outcomes[1].Fate)
	}
	p, err := s.Events(t.Context(), query.Query{})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Items) != 2 || slices.ContainsFunc(p.Items, func(e event.Event) bool { return e.ID != numbered(3) && e.ID != numbered(5) }) {
		t.Errorf("%d events are left, want the two later ones", len(p.Items))
	}
}

// An id that went by the erasure of a session stays erased within the dedupe window, whatever the
// clock of its sender says: as an event, as a rejection, in hot tables and in segments. After the
// window, and for the successor of an erased application, it is free.
func TestErasedIDs(t *testing.T) {
	const day = 24 * time.Hour
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	var now atomic.Int64
	at := func(d time.Duration) event.Micros { return event.Micros(start.Add(d).UnixMicro()) }
	visit := func(n int, received time.Duration) event.Record {
		r := dated(n, start.Add(received+4*time.Minute), start.Add(received)) // a clock that is ahead
		r.Event.SessionID = "s"
		return r
	}
	for name, flushed := range map[string]bool{"hot": false, "flushed": true} {
		t.Run(name, func(t *testing.T) {
			now.Store(start.UnixNano())
			s := closed(t, open(t, duckdb.Options{
				Dir: t.TempDir(), DedupeWindow: day,
				Clock: func() (time.Time, bool) { return time.Unix(0, now.Load()), false },
			}))
			last := uint64(0)
			want := func(fate event.Fate, r event.Record) {
				t.Helper()
				last++
				if flushed && last > 1 {
					if err := s.Flush(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				if o := write(t, s, frame(last, r)); o[0].Fate != fate {
					t.Errorf("frame %d: the fate is %v, want %v", last, o[0].Fate, fate)
				}
			}
			erase := func(bury func() ([]string, error)) {
				t.Helper()
				if _, err := bury(); err != nil {
					t.Fatal(err)
				}
				if err := s.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				if _, err := eraseOpen(t, s); err != nil {
					t.Fatal(err)
				}
			}
			want(event.Stored, visit(1, 0))
			want(event.Stored, visit(2, 0))
			erase(func() ([]string, error) { return s.AddTombstones([]string{"shop"}, "s", at(time.Second), upTo(last)) })
			covered := visit(3, 2*time.Second)
			covered.Event.SetOwn(at(0))
			want(event.Erased, covered)
			for _, n := range []int{1, 2, 3} {
				want(event.Erased, visit(n, time.Minute))
				want(event.Erased, visit(n, 2*time.Minute)) // again
			}
			refused := event.Record{Rejection: event.Conflict(visit(1, time.Minute).Event)}
			want(event.Erased, refused)
			want(event.Stored, visit(4, time.Minute))

			// A rejection of an id that is stored elsewhere, and went, does not come back either.
			other := visit(5, 0)
			other.Event.SessionID = "other"
			want(event.Stored, other)
			conflict := func(received time.Duration) event.Record {
				r := visit(5, received)
				r.Event.SessionID, r.Event.Data = "t", []byte(`{"another":"body"}`)
				return r
			}
			want(event.Rejected, conflict(0))
			erase(func() ([]string, error) { return s.AddTombstones([]string{"shop"}, "t", at(3*time.Minute), upTo(last)) })
			want(event.Erased, conflict(4*time.Minute))
			want(event.Duplicate, other)

			now.Store(start.Add(day + time.Hour).UnixNano())
			want(event.Stored, visit(2, day+time.Hour))
			erase(func() ([]string, error) { return s.AddAppTombstone("shop", at(day+2*time.Hour), last) })
			want(event.Stored, visit(2, day+3*time.Hour))
			want(event.Stored, visit(1, day+3*time.Hour))
			for app, b := range books(t, s) {
				if b.Received != b.Stored+b.Rejected+b.Duplicate+b.Erased+b.Expired {
					t.Errorf("%s does not balance: %+v", app, b)
				}
			}
		})
	}
}

// An error with one segment leaves the tombstones open that concern it. Others are finished, and
// those are when the error has gone.
func TestErasureOfOthersIsFinished(t *testing.T) {
	dir := t.TempDir()
	var fails atomic.Bool
	var log bytes.Buffer
	inBroken := 0
	s := closed(t, open(t, duckdb.Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil)), Step: func(name string) error {
		if name == "before erasure" && fails.Load() {
			if inBroken++; inBroken == 1 { // of the first segment
				return errors.New("the segment cannot be written")
			}
		}
		return nil
	}}))
	of := func(session string, n int) event.Record {
		r := pageView(n)
		r.Event.SessionID = session
		return r
	}
	for i, sessions := range [][]string{{"broken", "stays"}, {"other", "stays"}, {"broken", "other"}} {
		write(t, s, frame(uint64(i+1), of(sessions[0], 2*i), of(sessions[1], 2*i+1)))
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	bury := func(session string) []string {
		t.Helper()
		ids, err := s.AddTombstones([]string{"shop"}, session, event.Now(), upTo(3))
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	broken, other := bury("broken"), bury("other")
	fails.Store(true)
	removed, err := eraseOpen(t, s)
	if err == nil || s.ErasuresFinished(broken) || !s.ErasuresFinished(other) || len(s.UnfinishedErasures()) == 0 {
		t.Fatalf("removed %v, %v; finished: %v, and the other %v", removed, err, s.ErasuresFinished(broken), s.ErasuresFinished(other))
	}
	if text := log.String(); !strings.Contains(text, "level=ERROR") || !strings.Contains(text, "segment=seg-00000001.duckdb") || !strings.Contains(text, "eye store verify") {
		t.Errorf("the log says %s", text)
	}
	if n := count(t, s); n != 3 {
		t.Errorf("%d events are left, want 3: two that stay and one that could not be erased", n)
	}
	fails.Store(false)
	if _, err := eraseOpen(t, s); err != nil || !s.ErasuresFinished(broken) || len(s.UnfinishedErasures()) > 0 {
		t.Errorf("the second time: %v", err)
	}
	if n := count(t, s); n != 2 {
		t.Errorf("%d events are left, want 2", n)
	}
}

// A pass finishes the tombstones for which the queue was cleared, and no others: those that were
// set after it began, or whose frames it has not trimmed, are for the next one.
func TestErasePassFinishesItsOwn(t *testing.T) {
	s := open(t, duckdb.Options{Dir: t.TempDir()})
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	of := func(session string, n int) event.Record {
		r := pageView(n)
		r.Event.SessionID = session
		return r
	}
	write(t, s, frame(1, of("first", 1), of("later", 2), of("untrimmed", 3)))
	write(t, s, frame(2, of("untrimmed", 4)))
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	bury := func(session string, frame uint64) []string {
		t.Helper()
		ids, err := s.AddTombstones([]string{"shop"}, session, event.Now(), upTo(frame))
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	first, untrimmed := bury("first", 1), bury("untrimmed", 2)
	begun := s.UnfinishedErasures()
	later := bury("later", 1)
	removed, err := s.Erase(t.Context(), begun, 1)
	if err != nil || len(removed) != 1 || !s.ErasuresFinished(first) || s.ErasuresFinished(untrimmed) || s.ErasuresFinished(later) {
		t.Errorf("removed %v, %v; finished: %v, the untrimmed %v, the later %v", removed, err, s.ErasuresFinished(first), s.ErasuresFinished(untrimmed), s.ErasuresFinished(later))
	}
	if _, err := eraseOpen(t, s); err != nil || len(s.UnfinishedErasures()) > 0 || count(t, s) != 0 {
		t.Errorf("after another pass: %v, %d unfinished, %d events", err, len(s.UnfinishedErasures()), count(t, s))
	}
}

// An erasure gets its turn although there is always something to merge.
func TestEraseBetweenMergesRace(t *testing.T) {
	var s *duckdb.Store
	var last uint64
	flushed := func() {
		last++
		if _, err := s.Write(t.Context(), frame(last, pageView(int(last)))); err != nil {
			t.Error(err)
		}
		if err := s.Flush(t.Context()); err != nil {
			t.Error(err)
		}
	}
	erased := make(chan error, 1)
	var first sync.Once
	s = open(t, duckdb.Options{Dir: t.TempDir(), Step: func(step string) error {
		if step != "before merge" {
			return nil
		}
		first.Do(func() { // a merge is under way when the erasure comes
			if _, err := s.AddTombstones([]string{"shop"}, pageView(1).Event.SessionID, event.Now(), upTo(1)); err != nil {
				t.Error(err)
			}
			open := s.UnfinishedErasures()
			go func() {
				_, err := s.Erase(t.Context(), open, 1)
				erased <- err
			}()
		})
		for range 4 { // what makes another merge
			flushed()
		}
		return nil
	}})
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	for range 4 {
		flushed()
	}
	merging, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- s.Compact(merging) }()
	select {
	case err := <-erased:
		if err != nil {
			t.Error(err)
		}
	case <-merging.Done():
		t.Error("the erasure waited until nothing was left to merge")
	}
	stop()
	<-done
}

// eraseOpen makes a pass for all erasures that are not finished, up to what is flushed.
func eraseOpen(t *testing.T, s *duckdb.Store) ([]duckdb.Erased, error) {
	t.Helper()
	flushed, err := s.Flushed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s.Erase(t.Context(), s.UnfinishedErasures(), flushed)
}

// upTo returns the last frame that an erasure covers.
func upTo(frame uint64) func() (uint64, error) {
	return func() (uint64, error) { return frame, nil }
}
