package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"theeye/internal/durable"
)

// running is a file in the data directory as long as a server uses it. When a start finds it,
// the server before did not end in order. It also keeps what operators have to know until such an
// end, or until they acknowledge it.
type running struct {
	path    string
	unclean bool // the server before did not end in order

	mu    sync.Mutex // guards notes and the file
	notes []string
}

type runningFile struct {
	Since time.Time `json:"since"`
	Notes []string  `json:"notes"`
}

// maxNotes bounds what is kept; the oldest go first. The log and the books have all.
const maxNotes = 100

// beginRunning marks a data directory as used. Notes of a server that did not end in order are
// kept.
func beginRunning(dir string) (*running, error) {
	r := &running{path: filepath.Join(dir, "running")}
	b, err := os.ReadFile(r.path)
	if err == nil {
		r.unclean = true
		var before runningFile
		if json.Unmarshal(b, &before) == nil { // one that cannot be read is a mark all the same
			r.notes = before.Notes
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read whether the server before ended in order: %w", err)
	}
	return r, nil
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
		err = durable.Replace(r.path, bytes.NewReader(b))
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
