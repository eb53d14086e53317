package node

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theeye/internal/envelope"
)

func TestRunningIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	r, err := beginRunning(dir, false, log)
	if err != nil || r.unclean {
		t.Fatal(r, err)
	}
	if err := errors.Join(r.mark(), r.note("one"), r.note("two"), r.note("one")); err != nil {
		t.Fatal(err)
	}
	if r, err = beginRunning(dir, false, log); err != nil || !r.unclean || cmp.Diff([]string{"one", "two"}, r.list()) != "" {
		t.Fatal(r, err)
	}
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	if r, err = beginRunning(dir, false, log); err != nil || r.unclean || len(r.list()) != 0 {
		t.Fatal(r, err)
	}
}

// A file of an earlier version is read, a file of a newer version is left unchanged, and a damaged
// file is quarantined and reported. In each case the shutdown counts as unclean.
func TestRunningOfOtherVersions(t *testing.T) {
	sealed := func(version int, text string) string { return string(envelope.Seal(version, "running", []byte(text))) }
	const whole = `{"since":"2026-01-01T00:00:00Z","notes":["one"]}`
	for name, test := range map[string]struct {
		content string
		note    string // the beginning of the only note
		err     error
	}{
		"without an envelope": {whole, "one", nil},
		"whole":               {sealed(1, whole), "one", nil},
		"a newer version":     {sealed(2, whole), "", envelope.ErrNewer},
		"a newer member":      {sealed(1, `{"since":"2026-01-01T00:00:00Z","notes":[],"until":1}`), "", envelope.ErrNewer},
		"a bit flipped":       {strings.Replace(sealed(1, whole), "one", "ond", 1), "DIR/running was damaged", nil},
		"cut":                 {whole[:20], "DIR/running was damaged", nil},
		"empty":               {"", "DIR/running was damaged", nil},
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "running")
		if err := os.WriteFile(file, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		r, err := beginRunning(dir, false, slog.New(slog.NewTextHandler(&log, nil)))
		if !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err != nil {
			if b, err := os.ReadFile(file); err != nil || string(b) != test.content {
				t.Errorf("%s: it was changed", name)
			}
			continue
		}
		notes := r.list()
		if !r.unclean || len(notes) != 1 || !strings.HasPrefix(strings.ReplaceAll(notes[0], dir, "DIR"), test.note) {
			t.Errorf("%s: unclean %v, notes %q", name, r.unclean, notes)
		}
		if test.note == "one" {
			continue
		}
		kept, err := filepath.Glob(filepath.Join(dir, "quarantine", "running-*"))
		if err != nil || len(kept) != 1 || !strings.Contains(log.String(), "level=ERROR") {
			t.Errorf("%s: quarantined are %v, logged %s", name, kept, log.String())
		}
		if again, err := beginRunning(dir, false, slog.New(slog.DiscardHandler)); err != nil || !again.unclean || len(again.list()) != 1 {
			t.Errorf("%s: at the next start: %+v, %v", name, again, err)
		}
	}
}
