package test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// lostSegment is a server that was backed up twice before its first segment was damaged, for good.
// It returns the segment's file in one of the two backups.
func lostSegment(t *testing.T, dir string) (s *server, kept string) {
	t.Helper()
	s = twoSegments(t)
	s.launch()
	s.backup(dir)
	s.shutDown()
	flipBit(t, s.segments()[0], 5000)
	if err := os.RemoveAll(filepath.Join(s.data, "queue")); err != nil {
		t.Fatal(err)
	}
	s.launch()
	s.beside(1, "store", "verify")
	s.call("GET", "/v1/events", s.read, "") // finds the damage
	s.eventually("readyz to tell of the damage", func() bool { return strings.Contains(s.reasons(), "is damaged") })
	names, err := filepath.Glob(filepath.Join(dir, "files", "seg-00000001.duckdb.*"))
	if err != nil || len(names) != 1 {
		t.Fatalf("the backup has %v, %v", names, err)
	}
	return s, names[0]
}

// A backup keeps the last good copy of a segment that is damaged on the server, and says so. What
// is restored has its rows.
func TestBackupKeepsWhatIsDamaged(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "backup")
	s, kept := lostSegment(t, dir)
	for range 2 { // the second time it is kept from a backup that kept it
		out := s.beside(0, "backup", dir)
		if !strings.Contains(out, "eye: 1 segment is damaged on the server, kept from an earlier backup: seg-00000001.duckdb (100 events); copy "+dir+"/files/seg-00000001.duckdb.* ") {
			t.Errorf("it says %s", out)
		}
		if _, err := os.Stat(kept); err != nil {
			t.Fatal(err)
		}
	}
	if code, out := runEye(t, nil, "backup", "verify", dir); code != 0 || !strings.Contains(out, "kept from an earlier backup: seg-00000001.duckdb") {
		t.Errorf("eye backup verify ended with %d: %s", code, out)
	}
	r := s.restored(dir)
	r.eventually("the segment to be taken back", func() bool { return r.account()["lost"] == 0.0 })
	r.sums(200, 200, 0)
	r.counts(200)

	content, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	back := filepath.Join(s.data, "store", "quarantine", filepath.Base(kept))
	if err := os.WriteFile(back, content, 0o600); err != nil {
		t.Fatal(err)
	}
	s.beside(0, "store", "readmit")
	s.sums(200, 200, 0)
	if out := s.beside(0, "backup", dir); strings.Contains(out, "damaged") {
		t.Errorf("it says %s", out)
	}
	if _, err := os.Stat(kept); err == nil {
		t.Error("the file is kept although nothing names it")
	}
}

// A damaged segment that no earlier backup has is told with exit code 1, until it is acknowledged.
func TestBackupTellsWhatItLacks(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "backup")
	s, kept := lostSegment(t, dir)
	if err := os.WriteFile(kept, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	const want = "eye: 1 segment is damaged on the server and not in this backup: seg-00000001.duckdb (100 events)"
	if out := s.beside(1, "backup", dir); !strings.Contains(out, want) || !strings.Contains(out, "\nbackup of ") && !strings.HasPrefix(out, "backup of ") {
		t.Errorf("it says %s", out)
	}
	if code, out := runEye(t, nil, "backup", "verify", dir); code != 1 || !strings.Contains(out, want) {
		t.Errorf("eye backup verify ended with %d: %s", code, out)
	}
	s.beside(0, "store", "acknowledge")
	if out := s.beside(0, "backup", dir); !strings.Contains(out, want+", acknowledged") {
		t.Errorf("it says %s", out)
	}
	if code, out := runEye(t, nil, "backup", "verify", dir); code != 0 {
		t.Errorf("eye backup verify ended with %d: %s", code, out)
	}
}

// A backup does not take the place of one that holds what the server does not have: of another data
// directory, of one that was begun anew, or that went on from an earlier moment.
func TestBackupOfAnotherServerIsRefused(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "backup")
	s := start(t)
	s.post(numbered(0, 50))
	s.backup(dir)
	old := filepath.Join(t.TempDir(), "old")
	copyDir(t, dir, old)
	s.post(numbered(50, 100))
	s.backup(dir)
	refused := func(s *server, want string) {
		t.Helper()
		before := listed(t, dir)
		if out := s.beside(1, "backup", dir); !strings.Contains(out, want) || !strings.Contains(out, "it was not changed: use another folder") {
			t.Errorf("it says %s", out)
		}
		if code, out := runEye(t, nil, "backup", "verify", dir); code != 0 {
			t.Errorf("eye backup verify ended with %d: %s", code, out)
		}
		for name := range strings.Lines(before) {
			if !strings.Contains(listed(t, dir), name) {
				t.Errorf("%s is gone", name)
			}
		}
	}
	other := start(t)
	other.post(numbered(0, 50))
	refused(other, "belongs to another data directory")
	r := s.restored(old)
	r.post(numbered(100, 110))
	refused(r, "goes up to frame 2, but the server, which has been restored or recovered since, only has frames up to 1;")
	r.beside(0, "backup", old)
	again := s.restored(dir)
	again.post(numbered(100, 110))
	again.beside(0, "backup", dir)
}

// A segment that goes while the server runs does not keep a backup from its end, which says what it
// lacks.
func TestBackupOfASegmentThatIsGone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "backup")
	s := twoSegments(t)
	if err := os.RemoveAll(filepath.Join(s.data, "queue")); err != nil { // else it is made again
		t.Fatal(err)
	}
	s.launch()
	if err := os.Remove(s.segments()[0]); err != nil {
		t.Fatal(err)
	}
	out := s.beside(1, "backup", dir)
	if !strings.Contains(out, "eye: 1 segment is damaged on the server and not in this backup: seg-00000001.duckdb (100 events)") || strings.Contains(out, "lease") {
		t.Errorf("it says %s", out)
	}
	s.eventually("readyz to tell of the damage", func() bool { return strings.Contains(s.reasons(), "segment seg-00000001.duckdb is damaged") })
}

// A backup whose index is missing or damaged is not replaced by that of another server, and is by
// one of its own.
func TestBackupWithoutItsIndex(t *testing.T) {
	t.Parallel()
	s, other := start(t), start(t)
	s.post(numbered(0, 20))
	other.post(numbered(0, 5))
	dir := filepath.Join(t.TempDir(), "bk")
	s.beside(0, "backup", dir)
	index := filepath.Join(dir, "backup.json")
	for name, spoil := range map[string]func() error{
		"missing": func() error { return os.Remove(index) },
		"empty":   func() error { return os.Truncate(index, 0) },
		"flipped": func() error { flipBit(t, index, 100); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			if err := spoil(); err != nil {
				t.Fatal(err)
			}
			before := fileNames(t, filepath.Join(dir, "files"))
			if out := other.beside(1, "backup", dir); !strings.Contains(out, "belongs to another data directory") {
				t.Errorf("it says %s", out)
			}
			if after := fileNames(t, filepath.Join(dir, "files")); !slices.Equal(before, after) {
				t.Errorf("files %v became %v", before, after)
			}
			s.beside(0, "backup", dir)
			s.beside(0, "backup", "verify", dir)
		})
	}
	if err := os.Remove(index); err != nil {
		t.Fatal(err)
	}
	manifests, err := filepath.Glob(filepath.Join(dir, "files", "MANIFEST.json.*"))
	if err != nil || len(manifests) != 1 {
		t.Fatal(manifests, err)
	}
	if err := os.Remove(manifests[0]); err != nil {
		t.Fatal(err)
	}
	if out := other.beside(1, "backup", dir); !strings.Contains(out, "of an unknown server") {
		t.Errorf("it says %s", out)
	}
}
