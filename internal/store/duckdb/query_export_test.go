package duckdb_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	_ "github.com/duckdb/duckdb-go/v2"
	"github.com/google/go-cmp/cmp"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
	"theeye/internal/store/duckdb"
)

// left returns what stands in a store's export folder.
func left(t testing.TB, dir string) []os.DirEntry {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "export"))
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func TestExportTakesBoundedMemory(t *testing.T) {
	const events = 300_000
	dir := t.TempDir()
	s := open(t, duckdb.Options{Dir: dir, MemoryLimit: 1 << 30})
	defer s.Close()
	fill(t, s, events)
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n, most := 0, uint64(0)
	if err := s.Export(t.Context(), query.Query{}, func(*event.Event) error {
		if n++; n%50_000 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc)
		}
		return nil
	}); err != nil || n != events {
		t.Fatalf("%d events, %v", n, err)
	}
	if grown := int64(most) - int64(before.HeapAlloc); grown > 64<<20 {
		t.Errorf("the heap grew by %d MiB for %d events", grown>>20, events)
	}
	if entries := left(t, dir); len(entries) > 0 {
		t.Errorf("left in the export folder: %v", entries)
	}
}

// Large events do not fit into an export's memory all at once, and come all the
// same.
func TestExportOfLargeEvents(t *testing.T) {
	s := open(t, duckdb.Options{Dir: t.TempDir(), MemoryLimit: 512 << 20})
	defer s.Close()
	random := rand.NewChaCha8([32]byte{})
	const batches, perBatch = 10, 100
	for number := range batches {
		var records []event.Record
		for i := range perBatch {
			r := pageView(number*perBatch + i)
			noise := make([]byte, 100<<10)
			_, _ = random.Read(noise)
			r.Event.Data = fmt.Appendf(nil, `{"noise":"%x"}`, noise)
			records = append(records, r)
		}
		if _, err := s.Write(t.Context(), frame(uint64(number+1), records...)); err != nil {
			t.Fatal(err)
		}
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	if err := s.Export(t.Context(), query.Query{Descending: true}, func(e *event.Event) error {
		n++
		if want := batches*perBatch - n; e.ID != numbered(want) || len(e.Data) < 200<<10 {
			return fmt.Errorf("event %s of %d bytes, want %d", e.ID, len(e.Data), want)
		}
		return nil
	}); err != nil || n != batches*perBatch {
		t.Fatalf("%d events, %v", n, err)
	}
	file, err := s.Parquet(t.Context(), query.Query{})
	if err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
}

// odd returns an event with everything that a format may stumble over.
func odd(n int) event.Record {
	r := pageView(n)
	e := r.Event
	e.SessionID, e.Category, e.Name = "it's \"the\", session", "línea\nnueva", "=SUM(A1)"
	e.Data = []byte(`{"big":123456789012345678901234567890,"small":1.50,"e":1e1,"text":"a\n\"b\",c","é":[null,true]}`)
	e.ClientID, e.Sender, e.Seq, e.SentAt = "order-1", "web", 1<<53-1, e.OccurredAt+7
	return r
}

// plain returns an event with nothing but what it must have.
func plain(n int) event.Record {
	r := pageView(n)
	r.Event.ClientID, r.Event.Sender, r.Event.Seq, r.Event.SentAt, r.Event.SchemaVersion = "", "", event.NoSeq, 0, 0
	r.Event.Timestamp = "1700000000.000001"
	return r
}

func TestParquetReadsBack(t *testing.T) {
	dir := t.TempDir()
	s := open(t, duckdb.Options{Dir: dir, MemoryLimit: 512 << 20})
	defer s.Close()
	if _, err := s.Write(t.Context(), frame(1, odd(1), pageView(3))); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(t.Context(), frame(2, plain(2))); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		q    query.Query
		want []event.Record
	}{
		"segments and hot rows": {query.Query{}, []event.Record{odd(1), plain(2), pageView(3)}},
		"a filter":              {query.Query{Names: []string{"=SUM(A1)"}}, []event.Record{odd(1)}},
		"nothing":               {query.Query{Apps: []string{}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			file, err := s.Parquet(t.Context(), tc.q)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			if entries := left(t, dir); len(entries) > 0 {
				t.Errorf("left in the export folder: %v", entries)
			}
			var want [][]any
			for _, r := range tc.want {
				want = append(want, parquetRow(r.Event))
			}
			if diff := cmp.Diff(want, readParquet(t, file)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// parquetRow is an event as a row of a Parquet file.
func parquetRow(e *event.Event) []any {
	row := []any{e.App, e.ID.String(), nil, e.SessionID, e.Category, e.Name, string(e.Data), e.Timestamp,
		e.OccurredAt.Time(), e.ReceivedAt.Time(), nil, nil, nil, e.SchemaVersion}
	if e.ClientID != "" {
		row[2] = e.ClientID
	}
	if e.SentAt != 0 {
		row[10] = e.SentAt.Time()
	}
	if e.Seq != event.NoSeq {
		row[11] = e.Seq
	}
	if e.Sender != "" {
		row[12] = e.Sender
	}
	return row
}

// readParquet reads a file with a DuckDB that knows nothing of the store.
func readParquet(t *testing.T, file *os.File) (all [][]any) {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "copy.parquet")
	var content bytes.Buffer
	if _, err := content.ReadFrom(file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copied, content.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), `SELECT app, id, client_id, session_id, category, name, data, "timestamp",
		occurred_at, received_at, sent_at, seq, sender, schema_version FROM read_parquet(?) ORDER BY occurred_at`, copied)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		row := make([]any, 14)
		into := make([]any, len(row))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		for i := range row {
			if at, ok := row[i].(time.Time); ok {
				row[i] = at.UTC()
			}
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// An export that is cancelled leaves nothing, at whatever step it is.
func TestCancelledExportLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, duckdb.Options{Dir: dir, MemoryLimit: 512 << 20})
	defer s.Close()
	fill(t, s, 100_000)
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	err := s.Export(ctx, query.Query{}, func(*event.Event) error {
		if n++; n == 20_000 {
			if len(left(t, dir)) == 0 {
				t.Error("an export has no folder")
			}
			cancel()
		}
		return ctx.Err()
	})
	if !errors.Is(err, context.Canceled) || n != 20_000 {
		t.Errorf("%d events, %v", n, err)
	}
	for wait := time.Microsecond; wait < 200*time.Millisecond; wait *= 3 {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		if file, err := s.Parquet(ctx, query.Query{}); err == nil {
			_ = file.Close()
		} else if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after %s: %v", wait, err)
		}
		cancel()
		if entries := left(t, dir); len(entries) > 0 {
			t.Fatalf("left in the export folder after %s: %v", wait, entries)
		}
	}
	if got, err := s.Count(t.Context(), query.Query{}); err != nil || got != 100_000 {
		t.Errorf("and then: %d, %v", got, err)
	}
}

func TestExportFolderIsEmptiedAtStart(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "export", "export-1"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "export", "export-1", "hot.parquet"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, duckdb.Options{Dir: dir, MemoryLimit: 512 << 20})
	defer s.Close()
	if entries := left(t, dir); len(entries) > 0 {
		t.Errorf("left in the export folder: %v", entries)
	}
}

func TestNoParquetWithoutAFolder(t *testing.T) {
	s := open(t, duckdb.Options{MemoryLimit: 512 << 20})
	defer s.Close()
	if _, err := s.Parquet(t.Context(), query.Query{}); !errors.Is(err, store.ErrUnavailable) {
		t.Error(err)
	}
}

// A folder may have any name: what SQL, its arguments and file patterns mean by a character does
// not matter.
func TestExportInAnyFolder(t *testing.T) {
	for _, name := range []string{"a $1 $$ ${x}", "it's", "[x]", "*", `back\slash`} {
		t.Run(name, func(t *testing.T) {
			s := closed(t, open(t, duckdb.Options{Dir: filepath.Join(t.TempDir(), name)}))
			write(t, s, frame(1, pageView(1), pageView(2)))
			if err := s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			write(t, s, frame(2, pageView(3)))
			n := 0
			if err := s.Export(t.Context(), query.Query{}, func(*event.Event) error { n++; return nil }); err != nil || n != 3 {
				t.Errorf("%d of 3 events were exported: %v", n, err)
			}
			file, err := s.Parquet(t.Context(), query.Query{})
			if err != nil {
				t.Fatal(err)
			}
			if err := file.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	if _, err := duckdb.Open(t.Context(), duckdb.Options{Dir: filepath.Join(t.TempDir(), "why?")}); err == nil || !strings.Contains(err.Error(), "use another data directory") {
		t.Errorf("a folder with a question mark: %v", err)
	}
}
