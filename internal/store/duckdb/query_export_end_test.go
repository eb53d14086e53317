package duckdb_test

import (
	"errors"
	"io"
	"testing"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
	"theeye/internal/store/duckdb"
)

// Exports that began before an erasure end with it, also while their caller takes
// nothing, and leave nothing on disk. Later ones are not touched.
func TestEndExportsRace(t *testing.T) {
	const events = 20_000
	dir := t.TempDir()
	s := open(t, duckdb.Options{Dir: dir, MemoryLimit: 512 << 20})
	defer s.Close()
	fill(t, s, events)
	told := s.ExportsEnded()

	held, release := make(chan struct{}), make(chan struct{})
	given := 0
	result := make(chan error, 1)
	go func() {
		result <- s.Export(t.Context(), query.Query{}, func(*event.Event) error {
			if given++; given == 10 {
				close(held)
				<-release
			}
			return nil
		})
	}()
	<-held
	file, err := s.Parquet(t.Context(), query.Query{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(file, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	if len(left(t, dir)) == 0 {
		t.Fatal("an export that runs has nothing on disk: this test shows nothing")
	}

	s.EndExports()
	if entries := left(t, dir); len(entries) > 0 {
		t.Errorf("left in the export folder: %v", entries)
	}
	if n, err := file.Read(make([]byte, 4)); err == nil {
		t.Errorf("a Parquet file gives %d bytes after its end", n)
	}
	select {
	case <-told:
	default:
		t.Error("nobody is told")
	}
	close(release)
	if err := <-result; !errors.Is(err, store.ErrExportEnded) || given != 10 {
		t.Errorf("an export gave %d events, %v; 10 before its end", given, err)
	}

	n := 0
	if err := s.Export(t.Context(), query.Query{}, func(*event.Event) error { n++; return nil }); err != nil || n != events {
		t.Errorf("an export that begins later gives %d events of %d, %v", n, events, err)
	}
	file, err = s.Parquet(t.Context(), query.Query{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(file, make([]byte, 4)); err != nil {
		t.Errorf("a Parquet file that is made later: %v", err)
	}
}
