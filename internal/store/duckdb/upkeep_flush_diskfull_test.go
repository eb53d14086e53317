package duckdb_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theeye/internal/event"
	"theeye/internal/store"
	"theeye/internal/store/duckdb"
)

// smallDisk mounts a file system of so many bytes.
func smallDisk(t *testing.T, bytes string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+bytes); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("a small file system cannot be mounted:", err)
		}
		t.Skip("a small file system cannot be mounted: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error("unmount:", err)
		}
	})
	return dir
}

// leave fills a file system until so many bytes are left, or frees it for 0.
func leave(t *testing.T, dir string, room int64) {
	t.Helper()
	name := filepath.Join(dir, "filler")
	_ = os.Remove(name)
	if room == 0 {
		return
	}
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		t.Fatal(err)
	}
	free := int64(stat.Bavail) * stat.Bsize
	if err := os.WriteFile(name, make([]byte, max(free-room, 0)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// files lists the names in the store's folder.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != "filler" {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// Wherever a flush meets the end of the disk, it leaves nothing behind, what is hot
// is served meanwhile, and the same store goes on when there is room again.
func TestDiskFull(t *testing.T) {
	const rows = 2000
	dir := smallDisk(t, "16m")
	fillAt := ""
	s := open(t, duckdb.Options{Dir: dir, Step: func(step string) error {
		if step == fillAt {
			leave(t, dir, 1)
		}
		return nil
	}})
	number, failed := 0, 0
	next := func() store.Batch {
		var records []event.Record
		for i := range rows {
			records = append(records, pageView(number*rows+i))
		}
		number++
		return frame(uint64(number), append(records, refusal(number, "bad"), pageView(0))...)
	}
	write(t, s, next())
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	segment := size(t, segmentFile(dir, 1, "duckdb"))
	for room := int64(4096); room < segment+100_000; room += 40_000 {
		write(t, s, next())
		before, want := files(t, dir), books(t, s)
		leave(t, dir, room)
		for range 2 { // it stays so
			err := s.Flush(t.Context())
			if err == nil {
				break
			}
			failed++
			if diff := cmp.Diff(before, files(t, dir)); diff != "" {
				t.Errorf("%d bytes left: a flush that failed with %v left (-before +after):\n%s", room, err, diff)
			}
			if diff := cmp.Diff(want, books(t, s)); diff != "" {
				t.Errorf("%d bytes left (-before +after):\n%s", room, diff)
			}
		}
		leave(t, dir, 0)
		if err := s.Flush(t.Context()); err != nil {
			t.Fatalf("there is room again: %v", err)
		}
	}
	for _, fillAt = range []string{"segment filled", "before manifest"} {
		write(t, s, next())
		before := files(t, dir)
		if err := s.Flush(t.Context()); err == nil {
			t.Errorf("a disk that is full at %q is no error", fillAt)
		}
		if diff := cmp.Diff(before, files(t, dir)); diff != "" {
			t.Errorf("full at %q (-before +after):\n%s", fillAt, diff)
		}
		leave(t, dir, 0)
	}
	fillAt = ""
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d flushes failed; a segment has %d bytes", failed, segment)
	if failed < 6 {
		t.Errorf("only %d flushes met the end of the disk", failed)
	}
	want := everyAnswer(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, duckdb.Options{Dir: dir})
	if diff := cmp.Diff(want, everyAnswer(t, again)); diff != "" {
		t.Errorf("opened again (-want +got):\n%s", diff)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
