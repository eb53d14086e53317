package duckdb_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"theeye/internal/store/duckdb"
)

// A store without any of its segments does not start as if all were damaged.
func TestMissingFolder(t *testing.T) {
	opts := duckdb.Options{Dir: t.TempDir(), MemoryLimit: 256 << 20}
	s := open(t, opts)
	for n := range 2 {
		write(t, s, frame(uint64(n+1), pageView(n)))
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	away := filepath.Join(t.TempDir(), "away")
	if err := os.Rename(filepath.Join(opts.Dir, "segments"), away); err != nil {
		t.Fatal(err)
	}
	if _, err := duckdb.Open(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "mounted") {
		t.Fatalf("opened without segments: %v", err)
	}
	if _, err := os.Stat(filepath.Join(opts.Dir, "segments")); !errors.Is(err, fs.ErrNotExist) { // the folder can be put back
		t.Errorf("a start that was refused left a folder: %v", err)
	}
	if err := os.Rename(away, filepath.Join(opts.Dir, "segments")); err != nil {
		t.Fatal(err)
	}
	s = closed(t, open(t, opts))
	if n := count(t, s); n != 2 {
		t.Errorf("%d events", n)
	}
}
