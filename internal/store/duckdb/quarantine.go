package duckdb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"theeye/internal/durable"
)

// Quarantined is how much lies in a folder of what was put aside.
type Quarantined struct {
	Files int
	Bytes int64
}

// Quarantined tells what the store has put aside. It is not read by anything, is never emptied by
// itself, and is not searched by an erasure.
func (s *Store) Quarantined() (Quarantined, error) { return quarantinedIn(s.quarantineDir()) }

func quarantinedIn(dir string) (q Quarantined, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return q, nil
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			q.Files++
			q.Bytes += info.Size()
		}
	}
	return q, err
}

// EmptyQuarantine deletes what the store has put aside. What it held stays counted as lost.
func (s *Store) EmptyQuarantine() error {
	s.upkeep.Lock()
	defer s.upkeep.Unlock()
	dir := s.quarantineDir()
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		err = errors.Join(err, os.Remove(dir+string(os.PathSeparator)+e.Name()))
	}
	if err = errors.Join(err, durable.SyncDir(dir)); err != nil {
		return fmt.Errorf("empty the quarantine: %w", err)
	}
	return nil
}
