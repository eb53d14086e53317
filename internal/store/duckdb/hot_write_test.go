package duckdb_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
	"theeye/internal/store/duckdb"
)

// closed closes a store at the end of a test.
func closed(t *testing.T, s *duckdb.Store) *duckdb.Store {
	t.Helper()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error("close:", err)
		}
	})
	return s
}

func write(t *testing.T, s *duckdb.Store, b store.Batch) []event.Outcome {
	t.Helper()
	outcomes, err := s.Write(t.Context(), b)
	if err != nil {
		t.Fatal("write:", err)
	}
	return outcomes
}

func count(t *testing.T, s *duckdb.Store) int64 {
	t.Helper()
	n, err := s.Count(t.Context(), query.Query{})
	if err != nil {
		t.Fatal("count:", err)
	}
	return n
}

func refusal(n int, raw string) event.Record {
	return event.Record{Rejection: &event.Rejection{
		ID: event.RejectionID("shop", numbered(n), []byte(raw)), EventID: numbered(n), App: "shop", ReceivedAt: 1,
		Problems: []event.Problem{{Code: event.MissingField, Pointer: "/name"}}, Raw: []byte(raw),
	}}
}

// A row that DuckDB refuses after others went into other tables of the same
// transaction leaves nothing behind, in the tables and in memory.
func TestFailedWriteLeavesNothing(t *testing.T) {
	s := closed(t, open(t, duckdb.Options{}))
	write(t, s, frame(1, pageView(1), refusal(2, "a")))
	bad := refusal(4, "b")
	bad.Rejection.Name = "\xff" // no text for DuckDB
	_, err := s.Write(t.Context(), frame(2, pageView(3), pageView(1), bad))
	if err == nil || errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("got %v, want an error that trying again does not help", err)
	}
	if p, _ := s.Position(t.Context()); p != 1 || count(t, s) != 1 {
		t.Errorf("position %d, %d events after a failed write", p, count(t, s))
	}
	var fates []event.Fate
	for _, o := range write(t, s, frame(2, pageView(3), pageView(1), refusal(4, "b"), refusal(2, "a"))) {
		fates = append(fates, o.Fate)
	}
	if diff := cmp.Diff([]event.Fate{event.Stored, event.Duplicate, event.Rejected, event.Duplicate}, fates); diff != "" {
		t.Errorf("the same frame again (-want +got):\n%s", diff)
	}
	b, err := s.Books(t.Context(), nil)
	want := []store.Account{{App: "shop", Received: 6, Stored: 2, Rejected: 2, Duplicate: 2}}
	if diff := cmp.Diff(want, b.Accounts); err != nil || diff != "" {
		t.Errorf("books, %v (-want +got):\n%s", err, diff)
	}
}

// countdown is a context that ends when it is asked for the nth time.
type countdown struct {
	context.Context //nolint:containedctx // it is a context itself

	left int
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// A write whose context is done at any of the places that look at it writes nothing, also when all
// rows are appended already.
func TestCancelledAnywhere(t *testing.T) {
	s := closed(t, open(t, duckdb.Options{}))
	batch := frame(1, pageView(1), pageView(2), pageView(1), refusal(3, "a"))
	cancelled := 0
	for n := 0; ; n++ {
		_, err := s.Write(&countdown{t.Context(), n}, batch)
		if err == nil {
			break
		}
		cancelled++
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("place %d: %v", n, err)
		}
		if p, _ := s.Position(t.Context()); p != 0 || count(t, s) != 0 {
			t.Fatalf("place %d: position %d, %d events", n, p, count(t, s))
		}
		b, err := s.Books(t.Context(), nil)
		if err != nil || len(b.Accounts) != 0 {
			t.Fatalf("place %d: books %v, %v", n, b, err)
		}
	}
	if cancelled < 2 {
		t.Errorf("cancelled at %d places, want before and behind the rows", cancelled)
	}
	if n := count(t, s); n != 2 {
		t.Errorf("%d events at last, want 2", n)
	}
	p, err := s.Rejections(t.Context(), query.Query{})
	if err != nil || len(p.Items) != 1 {
		t.Errorf("%d rejections, %v", len(p.Items), err)
	}
}

// A store whose memory is full says so, keeps what it has, and goes on.
func TestOutOfMemory(t *testing.T) {
	s := closed(t, open(t, duckdb.Options{MemoryLimit: 48 << 20, Threads: 1}))
	var err error
	written := 0
	number := uint64(1)
	for ; err == nil; number++ {
		if number > 500 {
			t.Fatal("a million events fit into 48 MiB")
		}
		var records []event.Record
		for i := range 2000 {
			records = append(records, pageView(written+i))
		}
		if _, err = s.Write(t.Context(), frame(number, records...)); err == nil {
			written += len(records)
		}
	}
	full := number - 1
	if !errors.Is(err, store.ErrUnavailable) || strings.Contains(err.Error(), "\n") {
		t.Fatalf("got %q, want one line of ErrUnavailable", err)
	}
	if p, _ := s.Position(t.Context()); p != full-1 || count(t, s) != int64(written) {
		t.Errorf("position %d of %d, %d events of %d", p, full-1, count(t, s), written)
	}
	// What needs too much memory fails alike, and a small batch may still fit.
	for _, records := range [][]event.Record{{pageView(written)}, {pageView(0)}} {
		if _, err := s.Write(t.Context(), frame(full, records...)); err == nil {
			full++
		} else if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("write: %v", err)
		}
	}
	if _, err := s.Events(t.Context(), query.Query{Limit: 1000}); err != nil && !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("events: %v", err)
	}
	if _, err := s.Books(t.Context(), nil); err != nil && !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("books: %v", err)
	}
}

// With a place to put it, more than fits into memory is taken and found again.
func TestSpill(t *testing.T) {
	s := closed(t, open(t, duckdb.Options{MemoryLimit: 48 << 20, Threads: 1, TempDir: t.TempDir()}))
	const frames, size = 100, 2000 // over twice of what TestOutOfMemory gets in
	for n := range frames {
		var records []event.Record
		for i := range size {
			records = append(records, pageView(n*size+i))
		}
		write(t, s, frame(uint64(n+1), records...))
	}
	if n := count(t, s); n != frames*size {
		t.Errorf("%d events", n)
	}
	last := pageView(frames*size - 1).Event
	p, err := s.Events(t.Context(), query.Query{Limit: 1, Descending: true})
	if err != nil || len(p.Items) != 1 || string(p.Items[0].Data) != string(last.Data) {
		t.Errorf("the last event is %v, %v", p.Items, err)
	}
}

// More readers than there are connections and the writer go on together, and the
// readers end with their context.
func TestReadersAndWriterRace(t *testing.T) {
	s := closed(t, open(t, duckdb.Options{}))
	write(t, s, frame(1, pageView(1)))
	ctx, cancel := context.WithCancel(t.Context())
	const readers = 40
	failures := make(chan error, readers)
	for range readers {
		go func() {
			for {
				if _, err := s.Values(ctx, query.Query{}, query.Field{Name: query.Data, Path: []string{"path"}}); err != nil {
					failures <- err
					return
				}
			}
		}()
	}
	for n := uint64(2); n < 30; n++ {
		write(t, s, frame(n, pageView(int(n)), pageView(1)))
	}
	cancel()
	for range readers {
		if err := <-failures; !errors.Is(err, context.Canceled) {
			t.Errorf("a reader ended with %v", err)
		}
	}
	if n := count(t, s); n != 29 {
		t.Errorf("%d events, want 29", n)
	}
}

// A replay is received once: it moves its rejection.
func TestBooksOfReplays(t *testing.T) {
	s := closed(t, open(t, duckdb.Options{}))
	write(t, s, frame(1, refusal(1, "a"), refusal(2, "b"), refusal(3, "c"), refusal(4, "d"), pageView(2), pageView(3)))
	replay := func(n, index int, change func(*event.Event)) event.Record {
		r := pageView(n)
		change(r.Event)
		r.Event.Position, r.Event.CarriedBy = event.Position{Frame: 1, Index: uint32(index)}, 2
		return r
	}
	same := func(*event.Event) {}
	write(t, s, store.Batch{First: 2, Last: 2, Records: []event.Record{
		replay(1, 0, same), replay(2, 1, same), replay(3, 2, func(e *event.Event) { e.Name = "other" }),
	}})
	b, err := s.Books(t.Context(), nil)
	want := []store.Account{{App: "shop", Received: 6, Stored: 3, Rejected: 2, Duplicate: 1}}
	if diff := cmp.Diff(want, b.Accounts); err != nil || diff != "" {
		t.Errorf("books, %v (-want +got):\n%s", err, diff)
	}
}
