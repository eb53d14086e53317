package duckdb_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store/duckdb"
)

const (
	largeEvents   = 200      // more than memory holds
	largeMemory   = 64 << 20 // of the store; a quarter is for merges and erasures
	largeSessions = 10
)

// large is a page view of about 256 KiB, which does not get smaller when it is compressed.
func large(n int) event.Record {
	text := make([]byte, 192<<10-128)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}).Read(text)
	r := pageView(n)
	r.Event.SessionID = fmt.Sprintf("session-%d", n%largeSessions)
	r.Event.Data = fmt.Appendf(nil, `{"text":%q}`, base64.StdEncoding.EncodeToString(text))
	return r
}

// refused is a rejection with such a body.
func refused(n int) event.Record {
	e := large(n).Event
	return event.Record{Rejection: &event.Rejection{
		ID: event.RejectionID("shop", e.ID, e.Data), EventID: e.ID, App: "shop", SessionID: e.SessionID, SentTime: e.SentTime,
		ReceivedAt: e.ReceivedAt, Problems: []event.Problem{{Code: event.MissingField, Pointer: "/name"}}, Raw: e.Data,
	}}
}

// What takes more memory than merges and erasures have is erased from, expires and is merged all
// the same, and nothing else of it is lost.
func TestRewritesOfLargeEvents(t *testing.T) {
	const perFrame = 10
	start := time.UnixMicro(int64(pageView(0).Event.OccurredAt))
	same := func(r event.Record) event.Record { // no time tells them apart
		r.Event.OccurredAt, r.Event.SentTime = pageView(0).Event.OccurredAt, pageView(0).Event.SentTime
		return r
	}
	erase := func(t *testing.T, s *duckdb.Store) {
		t.Helper()
		if _, err := s.AddTombstones([]string{"shop"}, "session-3", event.Now(), upTo(largeEvents/perFrame)); err != nil {
			t.Fatal(err)
		}
		if _, err := eraseOpen(t, s); err != nil {
			t.Fatal(err)
		}
		if len(s.UnfinishedErasures()) > 0 {
			t.Error("the erasure is not finished")
		}
	}
	merge := func(t *testing.T, s *duckdb.Store) {
		t.Helper()
		for range 2 {
			if err := s.Compact(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	all := func(*event.Event) bool { return true }
	inSession := func(e *event.Event) bool { return e.SessionID != "session-3" }
	for _, c := range []struct {
		name     string
		total    int
		make     func(n int) event.Record
		segments int // of which it is made
		work     func(t *testing.T, s *duckdb.Store)
		stays    func(e *event.Event) bool
	}{
		{"erasure", largeEvents, large, 1, erase, inSession},
		{"erasure at one time", largeEvents, func(n int) event.Record { return same(large(n)) }, 1, erase, inSession},
		{"erasure among small ones", largeEvents, func(n int) event.Record {
			if n < largeEvents/5 {
				return same(large(n))
			}
			return same(pageView(n))
		}, 1, erase, inSession},
		{"erasure of rejections", largeEvents, func(n int) event.Record {
			if n%2 == 0 {
				return large(n)
			}
			return refused(n)
		}, 1, erase, inSession},
		{"retention", largeEvents, large, 1, func(t *testing.T, s *duckdb.Store) {
			t.Helper()
			if err := s.Expire(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, func(e *event.Event) bool {
			return e.OccurredAt >= event.Micros(start.Add(largeEvents/2*time.Millisecond).UnixMicro())
		}},
		{"merge", largeEvents, large, 4, merge, all},
		{"merge among small ones", 6800, func(n int) event.Record {
			if n%68 > 0 {
				return pageView(n)
			}
			r := large(n)
			r.Event.SessionID = "0" // they lie together
			return r
		}, 4, merge, all},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			want := map[uuid.UUID][sha256.Size]byte{}
			s := open(t, duckdb.Options{Dir: dir, MemoryLimit: 2 << 30})
			for f := range c.total / perFrame {
				var records []event.Record
				for i := range perFrame {
					r := c.make(f*perFrame + i)
					if e := r.Event; e != nil && c.stays(e) {
						want[e.ID] = sha256.Sum256(e.Data)
					}
					records = append(records, r)
				}
				write(t, s, frame(uint64(f+1), records...))
				if (f+1)%(c.total/perFrame/c.segments) == 0 {
					if err := s.Flush(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			opts := duckdb.Options{Dir: dir, MemoryLimit: largeMemory}
			if c.name == "retention" {
				const keep = 20 * time.Millisecond
				opts.Retain = func(string) time.Duration { return keep }
				opts.Clock = func() (time.Time, bool) { return start.Add(keep + largeEvents/2*time.Millisecond), false }
			}
			s = open(t, opts)
			c.work(t, s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, duckdb.Options{Dir: dir, MemoryLimit: 2 << 30})
			err := s.Export(t.Context(), query.Query{}, func(e *event.Event) error {
				if want[e.ID] != sha256.Sum256(e.Data) {
					t.Errorf("event %s is there, but is not to be, or not as it was", e.ID)
				}
				delete(want, e.ID)
				return nil
			})
			if err != nil || len(want) > 0 {
				t.Errorf("%d events are missing, %v", len(want), err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			faults, err := duckdb.Verify(t.Context(), duckdb.VerifyOptions{Dir: dir, MemoryLimit: largeMemory})
			if err != nil || len(faults) > 0 {
				t.Errorf("the store has faults: %v, %v", faults, err)
			}
			if m, err := duckdb.ReadManifest(dir); err != nil || len(m.Segments) < c.segments {
				t.Errorf("%d segments, %v", len(m.Segments), err)
			}
		})
	}
}
