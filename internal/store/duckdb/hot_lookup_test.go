package duckdb_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
	"theeye/internal/store/duckdb"
)

// Events that are sent twice, the second time in another order, with another
// sent_at, and after segments were merged and the store was opened again, are
// stored once. EYE_TEST_DUPLICATES is how many; the log tells how long it took.
func TestDuplicatesForEver(t *testing.T) {
	events := 20_000
	if text := os.Getenv("EYE_TEST_DUPLICATES"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		events = n
	}
	const batch = 50_000 // of a worker that is behind
	// The window is over long before the second time: what counts is the sent time.
	opts := duckdb.Options{Dir: t.TempDir(), FlushRows: int64(events / 8), DedupeWindow: time.Nanosecond}
	s := run(t, opts, false)
	pass := func(order []int, sentAt event.Micros) (stored, duplicate int, took time.Duration) {
		began := time.Now()
		for len(order) > 0 {
			var records []event.Record
			for _, n := range order[:min(batch, len(order))] {
				r := pageView(n)
				r.Event.SentAt = sentAt
				records = append(records, r)
			}
			order = order[len(records):]
			position, err := s.Position(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			outcomes, err := s.Write(t.Context(), frame(position+1, records...))
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range outcomes {
				switch o.Fate {
				case event.Stored:
					stored++
				case event.Duplicate:
					duplicate++
				}
			}
		}
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		return stored, duplicate, time.Since(began)
	}
	order := make([]int, events)
	for i := range order {
		order[i] = i
	}
	stored, duplicate, first := pass(order, 1)
	if stored != events || duplicate != 0 {
		t.Fatalf("the first time %d were stored and %d were duplicates", stored, duplicate)
	}
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = run(t, opts, false)
	t.Cleanup(func() { _ = s.Close() })
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	stored, duplicate, second := pass(order, 2)
	if stored != 0 || duplicate != events {
		t.Errorf("the second time %d were stored and %d were duplicates", stored, duplicate)
	}
	if n, err := s.Count(t.Context(), query.Query{}); n != int64(events) || err != nil {
		t.Errorf("%d events, %v", n, err)
	}
	books, err := s.Books(t.Context(), nil)
	want := []store.Account{{App: "shop", Received: 2 * int64(events), Stored: int64(events), Duplicate: int64(events)}}
	if diff := cmp.Diff(want, books.Accounts); err != nil || diff != "" {
		t.Errorf("books, %v (-want +got):\n%s", err, diff)
	}
	t.Logf("%d events twice: the first time took %s, the second %s, %.2f times that", events, first, second, second.Seconds()/first.Seconds())
}

// In one batch an id of a segment comes again as it was and with another body, in
// any order: what repeats it is a duplicate, the other a conflict, once.
func TestSameIDTwiceInABatchAfterAFlush(t *testing.T) {
	other := func() event.Record {
		r := pageView(1)
		r.Event.Data = []byte(`{"other":true}`)
		return r
	}
	reordered := func() event.Record {
		r := pageView(2)
		r.Event.Data = []byte(`{ "b":2, "a":1}`)
		return r
	}
	s := run(t, duckdb.Options{Dir: t.TempDir(), MemoryLimit: 512 << 20}, true)
	t.Cleanup(func() { _ = s.Close() })
	second := pageView(2)
	second.Event.Data = []byte(`{"a":1,"b":2}`)
	write := func(b store.Batch) (fates []event.Fate) {
		t.Helper()
		outcomes, err := s.Write(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range outcomes {
			fates = append(fates, o.Fate)
		}
		return fates
	}
	write(frame(1, pageView(1), second))
	for i, test := range []struct {
		records []event.Record
		want    []event.Fate
	}{
		{[]event.Record{other(), pageView(1), reordered()}, []event.Fate{event.Rejected, event.Duplicate, event.Duplicate}},
		{[]event.Record{pageView(1), other(), pageView(1)}, []event.Fate{event.Duplicate, event.Duplicate, event.Duplicate}},
	} {
		if diff := cmp.Diff(test.want, write(frame(uint64(i+2), test.records...))); diff != "" {
			t.Errorf("batch %d (-want +got):\n%s", i, diff)
		}
	}
}
