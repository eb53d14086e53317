package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"theeye/internal/durable"
)

// Quarantined is how much lies in a folder of what was put aside.
type Quarantined struct {
	Files int
	Bytes int64
}

// Quarantined tells what the queue has put aside. It is never emptied by itself, and is not
// searched by an erasure.
func (q *Queue) Quarantined() (found Quarantined, err error) {
	entries, err := os.ReadDir(q.QuarantineDir())
	if errors.Is(err, fs.ErrNotExist) {
		return found, nil
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			found.Files++
			found.Bytes += info.Size()
		}
	}
	return found, err
}

// EmptyQuarantine deletes what the queue has put aside. What it held stays counted as lost.
func (q *Queue) EmptyQuarantine() error {
	dir := q.QuarantineDir()
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
	}
	if err = errors.Join(err, durable.SyncDir(dir)); err != nil {
		return fmt.Errorf("empty the quarantine: %w", err)
	}
	return nil
}
