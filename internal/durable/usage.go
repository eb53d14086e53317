package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Usage is what a folder takes, without the folders in it.
type Usage struct {
	Files int
	Bytes int64
}

// UsageOf returns what a folder takes; nothing when it does not exist. Files that go meanwhile are
// passed over.
func UsageOf(dir string) (u Usage, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return u, nil
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			u.Files++
			u.Bytes += info.Size()
		}
	}
	return u, err
}

// Empty deletes the files in a folder, durably. One that does not exist is empty.
func Empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
	}
	return errors.Join(err, SyncDir(dir))
}
