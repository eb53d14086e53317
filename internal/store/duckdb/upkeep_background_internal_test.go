package duckdb

import (
	"context"
	"errors"
	"strings"
	"testing"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// Heavy instances are used again and hold no segment between: there are never more
// than three. One whose work failed is replaced.
func TestHeavyInstancesAreUsedAgain(t *testing.T) {
	s, err := Open(t.Context(), Options{Dir: t.TempDir(), MemoryLimit: 256 << 20, FlushRows: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	position := uint64(0)
	segments := func(n int) {
		t.Helper()
		for range n {
			position++
			e := event.Event{App: "shop", ID: event.NewID(), SessionID: "s", Category: "c", Name: "n", Data: []byte("{}"), Timestamp: `"x"`, OccurredAt: 1, ReceivedAt: 1, Seq: event.NoSeq, CarriedBy: position}
			e.Position.Frame = position
			batch := store.Batch{First: position, Last: position, Records: []event.Record{{Event: &e}}, Arrivals: map[string]store.Arrivals{"shop": {Received: 1}}}
			if _, err := s.Write(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
			if err := s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	attached := func(in *instance) (names string) {
		t.Helper()
		if in == nil {
			t.Fatal("an instance was not kept")
		}
		if err := in.db.QueryRowContext(t.Context(), "SELECT coalesce(string_agg(database_name, ' '), '') FROM duckdb_databases() WHERE NOT internal AND database_name <> 'memory'").Scan(&names); err != nil {
			t.Fatal(err)
		}
		return names
	}
	export := func(ctx context.Context) (n int, err error) {
		return n, s.Export(ctx, query.Query{}, func(*event.Event) error { n++; return nil })
	}

	var mergers []*instance
	exporters := map[*instance]bool{}
	for round := 1; round <= 3; round++ {
		segments(mergeFan)
		if err := s.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
		mergers = append(mergers, s.merger.in)
		for range 3 {
			if n, err := export(t.Context()); err != nil || n != int(position) {
				t.Fatalf("an export gives %d events of %d, %v", n, position, err)
			}
		}
		for range MaxExports {
			b := <-s.exporters
			s.exporters <- b
			exporters[b.in] = true
			if left := attached(b.in); left != "" {
				t.Errorf("an export leaves %s attached", left)
			}
		}
	}
	if mergers[0] == nil || mergers[0] != mergers[1] || mergers[0] != mergers[2] {
		t.Errorf("merges used the instances %v", mergers)
	}
	if left := attached(s.merger.in); left != "" {
		t.Errorf("merges leave %s attached", left)
	}
	if len(exporters) != MaxExports {
		t.Errorf("9 exports used %d instances", len(exporters))
	}

	stop := errors.New("stop")
	if err := s.Export(t.Context(), query.Query{}, func(*event.Event) error { return stop }); !errors.Is(err, stop) {
		t.Fatalf("an export that is stopped: %v", err)
	}
	for range MaxExports + 1 {
		if n, err := export(t.Context()); err != nil || n != int(position) {
			t.Fatalf("after one that was stopped, an export gives %d events, %v", n, err)
		}
	}
}

// While two exports run, a third waits as long as its caller does.
func TestExportsWait(t *testing.T) {
	s, err := Open(t.Context(), Options{Dir: t.TempDir(), MemoryLimit: 256 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range MaxExports {
		e, err := s.beginExport(t.Context(), query.Query{})
		if err != nil {
			t.Fatal(err)
		}
		defer e.close()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.beginExport(ctx, query.Query{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a third export: %v", err)
	}
}

// DuckDB is not asked for what takes descriptors that are not there.
func TestDescriptorsToSpare(t *testing.T) {
	err := needDescriptors(1 << 30)
	if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "file descriptors") {
		t.Errorf("a billion descriptors: %v", err)
	}
	if err := needDescriptors(1); err != nil {
		t.Errorf("one descriptor: %v", err)
	}
}
