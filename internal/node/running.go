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

// runningMarker is a file that the data directory has while a server uses it. If a start finds the
// file, the previous server did not shut down cleanly. The file also keeps notices for operators,
// until they acknowledge them or a server that has none shuts down.
type runningMarker struct {
	path    string
	unclean bool // the previous server did not shut down cleanly
	// unrecorded reports that the directory has a queue but no confirmed record. The shutdown then
	// counts as unclean, and lost events cannot be counted.
	unrecorded bool

	mu    sync.Mutex // guards notes and the file
	notes []string
}

// runningContent is the content of the file, in an envelope. Before version 1 there was no
// envelope.
type runningContent struct {
	Since time.Time `json:"since"`
	Notes []string  `json:"notes"`
}

const (
	runningName    = "running"
	runningVersion = 1
	runningMember  = "running" // in the envelope
)

func parseRunning(b []byte) (f runningContent, err error) {
	_, text, err := envelope.Open(b, runningMember, 0, runningVersion)
	if err != nil {
		return f, err
	}
	if text == nil {
		text = b
	}
	return f, envelope.Decode(text, &f)
}

// maxNotes is the maximum number of notes; the oldest are dropped. The log and the books have all
// losses.
const maxNotes = 100

// beginRunning determines whether the previous server shut down cleanly, and takes over its notes.
// If killed is true, it did not, even without the file. A damaged file is quarantined, which is
// logged and noted. The error wraps envelope.ErrNewer when a newer version wrote the file.
func beginRunning(dir string, killed bool, log *slog.Logger) (*runningMarker, error) {
	r := &runningMarker{path: filepath.Join(dir, runningName), unrecorded: unrecorded(dir)}
	b, err := durable.ReadFile(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		r.unclean = killed || r.unrecorded
		return r, nil
	}
	r.unclean = true
	var previous runningContent
	if err == nil {
		previous, err = parseRunning(b)
	}
	switch {
	case err == nil:
		r.notes = previous.Notes
		return r, nil
	case !errors.Is(err, envelope.ErrDamaged) && !errors.Is(err, syscall.EIO):
		return nil, fmt.Errorf("read %s, which says whether the previous server shut down cleanly: %w", r.path, err)
	}
	moved, moveErr := durable.Quarantine(r.path)
	if moveErr != nil {
		return nil, fmt.Errorf("%s cannot be read (%w) and cannot be quarantined: %w", r.path, err, moveErr)
	}
	log.Error("earlier reports of losses may be gone: their file is damaged and was quarantined", "file", r.path, "moved_to", moved, "error", err)
	r.notes = []string{r.path + " was damaged: reports of earlier losses may be gone with it; see the log and `eye books`"}
	if err := r.mark(); err != nil { // as in open; without the file, the next start would consider this shutdown clean
		log.Warn("the data directory could not be marked as used; after an unclean shutdown, the next start may not look for damage", "error", err)
	}
	return r, nil
}

// unrecorded reports whether a data directory has a queue but no confirmed record.
func unrecorded(dir string) bool {
	_, queue := os.Stat(filepath.Join(dir, "queue", "jetstream"))
	_, record := os.Stat(filepath.Join(dir, ConfirmedDir))
	return queue == nil && errors.Is(record, fs.ErrNotExist)
}

// mark writes the file.
func (r *runningMarker) mark() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.writeLocked()
}

func (r *runningMarker) writeLocked() error {
	b, err := json.Marshal(runningContent{Since: time.Now().UTC().Truncate(time.Second), Notes: r.notes})
	if err == nil {
		err = durable.Replace(r.path, bytes.NewReader(envelope.Seal(runningVersion, runningMember, b)))
	}
	if err != nil {
		return fmt.Errorf("mark the data directory as used: %w", err)
	}
	return nil
}

// note keeps a text, unless it is already kept.
func (r *runningMarker) note(text string) error {
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
func (r *runningMarker) acknowledge() ([]string, error) {
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
func (r *runningMarker) list() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.notes)
}

// end removes the file, because the server has shut down cleanly.
func (r *runningMarker) end() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := os.Remove(r.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return durable.SyncDir(filepath.Dir(r.path))
}
