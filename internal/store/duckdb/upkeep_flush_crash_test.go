package duckdb_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theeye/internal/store/duckdb"
)

// What each step of a flush leaves for the next start, as docs/format.md says: the
// folder is copied at the step, as a power cut would leave it, and the copy opened.
func TestCrashPoints(t *testing.T) {
	const one, two = "seg-00000001", "seg-00000002"
	before := []string{one + ".duckdb", one + ".filter"}
	after := append(slices.Clone(before), two+".duckdb", two+".filter")
	points := []struct {
		step    string
		left    []string // in the folder of segments, besides the first one
		flushed uint64
		kept    []string
	}{
		{"segment filled", []string{two + ".duckdb.tmp", two + ".duckdb.tmp.wal"}, 2, before},
		{"segment written", []string{two + ".duckdb.tmp", two + ".filter.tmp"}, 2, before},
		{"segment named", []string{two + ".duckdb", two + ".filter"}, 2, before},
		{"before manifest", []string{two + ".duckdb", two + ".filter"}, 2, before},
		{"manifest written", []string{two + ".duckdb", two + ".filter"}, 4, after},
	}
	frames := manyFrames(5)
	dir, copies := t.TempDir(), t.TempDir()
	second := false
	s := open(t, duckdb.Options{Dir: dir, Step: func(step string) error {
		if !second {
			return nil
		}
		return os.CopyFS(filepath.Join(copies, step), os.DirFS(dir))
	}})
	writeAll(t, s, frames[:2])
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	second = true
	writeAll(t, s, frames[:4])
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	writeAll(t, s, frames)
	want := everyAnswer(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, p := range points {
		t.Run(p.step, func(t *testing.T) {
			dir := filepath.Join(copies, p.step)
			if diff := cmp.Diff(append(slices.Clone(before), p.left...), inSegments(t, dir)); diff != "" {
				t.Errorf("the crash left (-want +got):\n%s", diff)
			}
			// What writing was interrupted may have any length.
			if err := os.WriteFile(filepath.Join(dir, "MANIFEST.json.tmp"), []byte(`{"version":`), 0o600); err != nil {
				t.Fatal(err)
			}
			s := closed(t, open(t, duckdb.Options{Dir: dir}))
			if n, _ := s.Position(t.Context()); n != p.flushed {
				t.Errorf("position %d, want %d", n, p.flushed)
			}
			if diff := cmp.Diff(p.kept, inSegments(t, dir)); diff != "" {
				t.Errorf("the start left (-want +got):\n%s", diff)
			}
			writeAll(t, s, frames)
			if diff := cmp.Diff(want, everyAnswer(t, s)); diff != "" {
				t.Errorf("answers (-want +got):\n%s", diff)
			}
			if err := s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, everyAnswer(t, s)); diff != "" {
				t.Errorf("answers behind another flush (-want +got):\n%s", diff)
			}
		})
	}
}

func inSegments(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "segments"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
