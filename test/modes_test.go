package test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Nothing in a data directory can be read by others, wherever a file of it is copied
// to: what was just written, and the segments of a program that left them readable.
func TestOnlyTheOwnerReadsADataDirectory(t *testing.T) {
	t.Parallel()
	s := twoSegments(t)
	old := s.segments()[0]
	if err := os.Chmod(old, 0o644); err != nil {
		t.Fatal(err)
	}
	s.launch()
	s.post(numbered(200, 300))
	s.shutDown()
	seen := map[string]int{}
	err := filepath.WalkDir(s.data, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == s.data { // the test has made that one
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		seen[filepath.Ext(path)]++
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil || seen[".duckdb"] < 2 || seen[".blk"] == 0 {
		t.Errorf("seen %v, %v", seen, err)
	}
}
