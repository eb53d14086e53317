package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Usage is what a folder takes, with the folders in it. A link counts as a file without a size.
type Usage struct {
	Files int
	Bytes int64
}

// UsageOf returns what a folder takes; nothing when it does not exist. Files that go meanwhile are
// passed over.
func UsageOf(dir string) (u Usage, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil || e.IsDir():
			return err
		}
		info, err := e.Info()
		if err != nil {
			return nil //nolint:nilerr // it went meanwhile
		}
		u.Files++
		if info.Mode().IsRegular() {
			u.Bytes += info.Size()
		}
		return nil
	})
	return u, err
}

// Empty deletes what is in a folder, durably, and follows no links. One that does not exist is
// empty.
func Empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return errors.Join(err, SyncDir(dir))
}
