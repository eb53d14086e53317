package duckdb_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"theeye/internal/event"
	"theeye/internal/store/duckdb"
)

// remembering makes a store of three segments that has erased something, closed.
func remembering(t *testing.T) (dir, tombstones string) {
	t.Helper()
	dir, tombstones = filepath.Join(t.TempDir(), "store"), filepath.Join(t.TempDir(), "tombstones")
	threeSegments(t, dir)
	s := open(t, duckdb.Options{Dir: dir, Tombstones: tombstones})
	if _, err := s.AddTombstones([]string{"shop"}, "nobody", event.Now(), upTo(6)); err != nil {
		t.Fatal(err)
	}
	if _, err := eraseOpen(t, s); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, tombstones
}

// A crash at any step of a recovery leaves a folder that opens, or that refuses and can be
// recovered.
func TestRecoveryCanBeDoneAgain(t *testing.T) {
	for name, c := range map[string]struct {
		opts   duckdb.RecoverOptions
		damage func(t *testing.T, dir, tombstones string)
		events int64
	}{
		"manifest": {damage: func(t *testing.T, dir, _ string) { flip(t, filepath.Join(dir, "MANIFEST.json"), 300) }, events: 303},
		"tombstones": {
			opts:   duckdb.RecoverOptions{ForgetTombstones: true},
			damage: func(t *testing.T, _, tombstones string) { flip(t, tombstones, 30) }, events: 303,
		},
		"tombstones that are kept": {
			opts:   duckdb.RecoverOptions{KeepTombstones: true},
			damage: func(t *testing.T, _, tombstones string) { truncate(t, tombstones, 3) }, events: 303,
		},
		"no copy of the manifest": {
			opts: duckdb.RecoverOptions{ForgetTombstones: true}, events: 303,
			damage: func(t *testing.T, dir, tombstones string) {
				if err := errors.Join(os.Remove(tombstones), os.Remove(filepath.Join(dir, "MANIFEST.json.1"))); err != nil {
					t.Fatal(err)
				}
			},
		},
	} {
		for _, at := range []string{"segments moved", "manifest kept", "tombstones kept", "tombstones moved", ""} {
			t.Run(name+" "+at, func(t *testing.T) {
				dir, tombstones := remembering(t)
				c.damage(t, dir, tombstones)
				opts := c.opts
				opts.Dir, opts.Tombstones = dir, tombstones
				broken := errors.New("the process ends here")
				opts.Step = func(step string) error {
					if step == "recovery "+at {
						return broken
					}
					return nil
				}
				r, err := duckdb.PlanRecovery(opts)
				if err != nil {
					t.Fatal(err)
				}
				if err := r.Apply(); err != nil && !errors.Is(err, broken) {
					t.Fatal(err)
				}
				if s, err := duckdb.Open(t.Context(), duckdb.Options{Dir: dir, Tombstones: tombstones}); err == nil {
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
				} else if !strings.Contains(err.Error(), "`eye store recover") {
					t.Errorf("after the crash a start says %v", err)
				}
				opts.Step = nil
				if r, err = duckdb.PlanRecovery(opts); err == nil {
					err = r.Apply()
				}
				if err != nil && !errors.Is(err, duckdb.ErrNothingToRecover) {
					t.Fatal(err)
				}
				s := closed(t, open(t, duckdb.Options{Dir: dir, Tombstones: tombstones}))
				if n := count(t, s); n != c.events {
					t.Errorf("%d events", n)
				}
			})
		}
	}
}

// truncate takes bytes off the end of a file.
func truncate(t *testing.T, path string, n int64) {
	t.Helper()
	info, err := os.Stat(path)
	if err == nil {
		err = os.Truncate(path, info.Size()-n)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// What cannot be read for want of a right is not forgotten, and neither is what is whole.
func TestTombstonesAreForgottenOnlyWhenDamaged(t *testing.T) {
	dir, tombstones := remembering(t)
	opts := duckdb.RecoverOptions{Dir: dir, Tombstones: tombstones, ForgetTombstones: true}
	if _, err := duckdb.PlanRecovery(opts); !errors.Is(err, duckdb.ErrNothingToRecover) {
		t.Errorf("whole tombstones: %v", err)
	}
	if err := os.Remove(tombstones); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(tombstones, tombstones); err != nil { // ELOOP, for root too
		t.Fatal(err)
	}
	var path *fs.PathError
	if _, err := duckdb.PlanRecovery(opts); !errors.As(err, &path) {
		t.Errorf("tombstones that cannot be read: %v", err)
	}
	_, err := duckdb.Open(t.Context(), duckdb.Options{Dir: dir, Tombstones: tombstones})
	if err == nil || strings.Contains(err.Error(), "forget-tombstones") {
		t.Errorf("a start says %v", err)
	}
}

// A file that may not be read is neither missing nor damaged: what it holds is not known, so
// nothing is planned without it.
func TestRecoveryNeedsWhatMayNotBeRead(t *testing.T) {
	for name, c := range map[string]struct {
		file  string
		empty bool
	}{
		"the copy": {"MANIFEST.json.1", false}, "the copy, to begin empty": {"MANIFEST.json.1", true},
		"a segment": {"segments/*.duckdb", false}, "a segment, to begin empty": {"segments/*.duckdb", true},
	} {
		t.Run(name, func(t *testing.T) {
			dir, tombstones := remembering(t)
			files, err := filepath.Glob(filepath.Join(dir, c.file))
			if err != nil || len(files) == 0 {
				t.Fatal(files, err)
			}
			// ELOOP, for root too
			if err := errors.Join(os.Remove(filepath.Join(dir, "MANIFEST.json")), os.Remove(files[0]), os.Symlink(files[0], files[0])); err != nil {
				t.Fatal(err)
			}
			r, err := duckdb.PlanRecovery(duckdb.RecoverOptions{Dir: dir, Tombstones: tombstones, Empty: c.empty})
			if !errors.Is(err, syscall.ELOOP) {
				t.Errorf("planned %+v, %v", r, err)
			}
		})
	}
}

// An empty store leaves out what the copy of the manifest names, and says so; the manifests are kept.
func TestEmptyStoreTellsWhatItLeavesOut(t *testing.T) {
	dir, tombstones := remembering(t)
	if err := os.Remove(filepath.Join(dir, "MANIFEST.json")); err != nil {
		t.Fatal(err)
	}
	r, err := duckdb.PlanRecovery(duckdb.RecoverOptions{Dir: dir, Tombstones: tombstones, Empty: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.LeftOut) != 3 || r.LeftOutBy != filepath.Join(dir, "MANIFEST.json.1") || len(r.Segments)+len(r.Missing) != 0 {
		t.Errorf("left out %v by %s", r.LeftOut, r.LeftOutBy)
	}
	if err := r.Apply(); err != nil {
		t.Fatal(err)
	}
	s := closed(t, open(t, duckdb.Options{Dir: dir, Tombstones: tombstones}))
	if n := count(t, s); n != 0 {
		t.Errorf("%d events", n)
	}
	if back, left, err := s.Readmit(t.Context()); err != nil || len(back)+len(left) != 0 {
		t.Errorf("readmitted %v, left %v, %v", back, left, err)
	}
	if got := s.UnnamedFiles(); len(got) != 6 {
		t.Errorf("in quarantine: %v", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "quarantine", "MANIFEST.json.1")); err != nil {
		t.Error(err)
	}
}

// An earlier manifest names segments that are no more: it is not taken for the present one.
func TestEarlierManifest(t *testing.T) {
	dir, tombstones := remembering(t)
	opts := duckdb.Options{Dir: dir, Tombstones: tombstones}
	manifest := filepath.Join(dir, "MANIFEST.json")
	earlier, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, opts)
	write(t, s, frame(7, pageView(9000), pageView(9001)))
	if err := errors.Join(s.Flush(t.Context()), s.Close()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(manifest, earlier, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := duckdb.Open(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "it is an earlier manifest") || !strings.Contains(err.Error(), "`eye store recover`") {
		t.Fatalf("a start says %v", err)
	}
	if _, err := duckdb.PresentManifest(dir); err == nil {
		t.Error("it is the present one")
	}
	r, err := duckdb.PlanRecovery(duckdb.RecoverOptions{Dir: dir, Tombstones: tombstones, Empty: true})
	if err != nil || len(r.LeftOut) != 4 {
		t.Errorf("to begin empty leaves out %v, %v", r.LeftOut, err)
	}
	if r, err = duckdb.PlanRecovery(duckdb.RecoverOptions{Dir: dir, Tombstones: tombstones}); err == nil {
		err = r.Apply()
	}
	if err != nil {
		t.Fatal(err)
	}
	if n := count(t, closed(t, open(t, opts))); n != 305 {
		t.Errorf("%d events", n)
	}
}

// When the copy is damaged too, the advice does not lead back to it.
func TestNoCopyThatCanBeUsed(t *testing.T) {
	dir, tombstones := remembering(t)
	flip(t, filepath.Join(dir, "MANIFEST.json"), 300)
	flip(t, filepath.Join(dir, "MANIFEST.json.1"), 300)
	_, err := duckdb.PlanRecovery(duckdb.RecoverOptions{Dir: dir, Tombstones: tombstones})
	if err == nil || !strings.Contains(err.Error(), "`eye backup extract BACKUP MANIFEST.json FILE`") || strings.Contains(err.Error(), "`eye store recover`") {
		t.Errorf("it says %v", err)
	}
}

// Advice has the options that were given already.
func TestAdviceOfRecovery(t *testing.T) {
	dir := t.TempDir()
	plan := func(opts duckdb.RecoverOptions) error {
		t.Helper()
		opts.Dir, opts.Tombstones = filepath.Join(dir, "store"), filepath.Join(dir, "tombstones")
		_, err := duckdb.PlanRecovery(opts)
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "tombstones"), []byte("no tombstones\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		opts duckdb.RecoverOptions
		want string
	}{
		{duckdb.RecoverOptions{}, "`eye store recover --empty`"},
		{duckdb.RecoverOptions{Empty: true}, "`eye store recover --empty --keep-tombstones`"},
		{duckdb.RecoverOptions{KeepTombstones: true}, "`eye store recover --keep-tombstones --empty`"},
		{duckdb.RecoverOptions{Empty: true, KeepTombstones: true}, "`eye store recover --empty --forget-tombstones`"},
	} {
		if err := plan(tc.opts); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v, want %s", tc.opts, err, tc.want)
		}
	}
	if err := plan(duckdb.RecoverOptions{Empty: true, ForgetTombstones: true}); err != nil {
		t.Error(err)
	}
}

// A copy of the tombstones that is empty is none.
func TestEmptyCopyOfTombstones(t *testing.T) {
	dir, tombstones := remembering(t)
	truncate(t, tombstones, 3)
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := duckdb.PlanRecovery(duckdb.RecoverOptions{Dir: dir, Tombstones: tombstones, KeepTombstones: true, TombstonesCopy: empty})
	if err == nil || !strings.Contains(err.Error(), empty+" cannot be used: it is empty") {
		t.Errorf("got %v", err)
	}
}
