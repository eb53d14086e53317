package node

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"

	"theeye/internal/durable"
	"theeye/internal/envelope"
)

// running is a file in the data directory as long as a server uses it. When a start finds it,
// the server before did not end in order. It also keeps what operators have to know until such an
// end, or until they acknowledge it.
type running struct {
	path    string
	unclean bool // the server before did not end in order
	// unrecorded: there is a queue and no record of what was acknowledged, as in a directory of an
	// earlier version. Such a version left no mark, and what its queue has lost is not counted: its
	// files are looked through, so that what is damaged is copied before it is cut off, and told.
	unrecorded bool

	mu    sync.Mutex // guards notes and the file
	notes []string
}

// runningFile is what the file holds, in an envelope. Before version 1 there was none.
type runningFile struct {
	Since time.Time `json:"since"`
	Notes []string  `json:"notes"`
}

const (
	runningName    = "running"
	runningVersion = 1
	runningMember  = "running" // of the envelope
)

func parseRunning(b []byte) (f runningFile, err error) {
	_, text, err := envelope.Open(b, runningMember, 0, runningVersion)
	if err != nil {
		return f, err
	}
	if text == nil {
		text = b
	}
	return f, envelope.Decode(text, &f)
}

// maxNotes bounds what is kept; the oldest go first. The log and the books have all.
const maxNotes = 100

// beginRunning looks whether the server before ended in order, and takes over its notes. killed
// tells that it did not, also when the file is gone. A file that is damaged is moved to the
// quarantine, and told. The error wraps envelope.ErrNewer for one of a newer version.
func beginRunning(dir string, killed bool, log *slog.Logger) (*running, error) {
	r := &running{path: filepath.Join(dir, runningName), unrecorded: unrecorded(dir)}
	b, err := durable.ReadFile(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		r.unclean = killed || r.unrecorded
		return r, nil
	}
	r.unclean = true
	var before runningFile
	if err == nil {
		before, err = parseRunning(b)
	}
	switch {
	case err == nil:
		r.notes = before.Notes
		return r, nil
	case !errors.Is(err, envelope.ErrDamaged) && !errors.Is(err, syscall.EIO):
		return nil, fmt.Errorf("read %s, which says whether the server before ended in order: %w", r.path, err)
	}
	moved, moveErr := durable.Quarantine(r.path)
	if moveErr != nil {
		return nil, fmt.Errorf("%s cannot be read (%w) and cannot be moved away: %w", r.path, err, moveErr)
	}
	log.Error("earlier reports of losses may be gone: their file is damaged and was moved to the quarantine", "file", r.path, "moved_to", moved, "error", err)
	r.notes = []string{r.path + " was damaged: reports of earlier losses may be gone with it; see the log and `eye books`"}
	if err := r.mark(); err != nil { // as in open; without the file, the next start would take the last shutdown for a clean one
		log.Warn("the data directory could not be marked as used; after an unclean shutdown, the next start may not look for damage", "error", err)
	}
	return r, nil
}

func unrecorded(dir string) bool {
	_, queue := os.Stat(filepath.Join(dir, "queue", "jetstream"))
	_, record := os.Stat(filepath.Join(dir, ConfirmedDir))
	return queue == nil && errors.Is(record, fs.ErrNotExist)
}

// mark writes the file.
func (r *running) mark() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.writeLocked()
}

func (r *running) writeLocked() error {
	b, err := json.Marshal(runningFile{Since: time.Now().UTC().Truncate(time.Second), Notes: r.notes})
	if err == nil {
		err = durable.Replace(r.path, bytes.NewReader(envelope.Seal(runningVersion, runningMember, b)))
	}
	if err != nil {
		return fmt.Errorf("mark the data directory as used: %w", err)
	}
	return nil
}

// note keeps a text once.
func (r *running) note(text string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Contains(r.notes, text) {
		return nil
	}
	r.notes = append(r.notes, text)
	if len(r.notes) > maxNotes {
		r.notes = r.notes[len(r.notes)-maxNotes:]
	}
	return r.writeLocked()
}

// acknowledge drops the notes and returns them.
func (r *running) acknowledge() ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	notes := r.notes
	r.notes = nil
	if err := r.writeLocked(); err != nil {
		r.notes = notes
		return nil, err
	}
	return notes, nil
}

// list returns the notes, oldest first.
func (r *running) list() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.notes)
}

// end removes the file: the server ended in order.
func (r *running) end() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := os.Remove(r.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return durable.SyncDir(filepath.Dir(r.path))
}
