package registry

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"theeye/internal/durable"
	"theeye/internal/envelope"
)

// ErrNothingToForget reports that the metadata can be rebuilt from its copy.
var ErrNothingToForget = errors.New("the copy of the metadata can be used; start the server: it rebuilds the metadata from the copy if necessary")

// Forgetting lets a data directory that no server uses begin without applications and keys, because
// its metadata can no longer be read.
type Forgetting struct {
	dir string
	// Moves lists the files that go to the quarantine of the directory. It is empty if the metadata
	// is already forgotten.
	Moves []string
}

// PlanForgetting determines which files are to be moved. It changes nothing. Errors:
// ErrNothingToForget, envelope.ErrNewer.
func PlanForgetting(dir string) (*Forgetting, error) {
	f := &Forgetting{dir: dir}
	name := filepath.Join(dir, metadataName)
	file, there, err := readCopy(dir)
	switch {
	case err != nil && !errors.Is(err, envelope.ErrDamaged):
		return nil, fmt.Errorf("the copy of the metadata %s cannot be used: %w", name, err)
	case file.forgotten():
		return f, nil
	case err == nil && there:
		return nil, ErrNothingToForget
	}
	logs, _ := filepath.Glob(filepath.Join(dir, logPattern)) // the pattern is valid
	for _, name := range append([]string{bucketDir(dir), name}, logs...) {
		if _, err := os.Lstat(name); err == nil {
			f.Moves = append(f.Moves, name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return f, nil
}

// Apply quarantines the metadata and writes a copy without records, from which the next start knows
// that the metadata was given up. If it is interrupted before that, a start is still refused, and
// another plan completes the work. step injects faults in tests: it is called after each step, and
// its error ends Apply. It is nil in production.
func (f *Forgetting) Apply(step func(string) error) error {
	if step == nil {
		step = func(string) error { return nil }
	}
	for _, name := range f.Moves {
		if _, err := durable.QuarantineIn(f.dir, name); err != nil {
			return fmt.Errorf("quarantine the metadata: %w", err)
		}
		what := "copy"
		if name == bucketDir(f.dir) {
			what = "bucket"
		}
		if err := step("forget metadata " + what + " moved"); err != nil {
			return err
		}
	}
	b := newSnapshot().document(nil, "")
	if err := durable.Replace(filepath.Join(f.dir, metadataName), bytes.NewReader(b)); err != nil {
		return fmt.Errorf("write an empty copy of the metadata: %w", err)
	}
	return nil
}
