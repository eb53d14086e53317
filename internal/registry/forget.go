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

// ErrNothingToForget means that the metadata can be made again from its copy, or was made.
var ErrNothingToForget = errors.New("the copy of the metadata can be used; start the server: it makes the metadata again from it when it must")

// Forgetting lets a data directory, which nobody uses, begin without applications and keys, because
// its metadata cannot be read any more.
type Forgetting struct {
	dir string
	// Moves names what goes to the quarantine of the directory; nothing when it is forgotten
	// already.
	Moves []string
}

// PlanForgetting finds out what there is to be moved. It changes nothing. Errors:
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

// Do moves the metadata away and leaves a copy without records, by which the next start knows that
// it was given up. Until that is there a start is refused as before, and another plan does the
// rest. step injects faults in tests: it is called after each step, and its error ends the work
// there. It is nil in production.
func (f *Forgetting) Do(step func(string) error) error {
	if step == nil {
		step = func(string) error { return nil }
	}
	for _, name := range f.Moves {
		if _, err := durable.QuarantineIn(f.dir, name); err != nil {
			return fmt.Errorf("move the metadata away: %w", err)
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
