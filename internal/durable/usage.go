package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Usage is the number and size of the files in a folder and its subfolders. A link counts as a file
// without a size.
type Usage struct {
	Files int
	Bytes int64
}

// UsageOf returns the usage of a folder, which is zero if it does not exist. It skips files that
// are removed in the meantime.
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
			return nil //nolint:nilerr // removed in the meantime
		}
		u.Files++
		if info.Mode().IsRegular() {
			u.Bytes += info.Size()
		}
		return nil
	})
	return u, err
}

// Empty durably deletes the contents of a folder. It does not follow links. A folder that does not
// exist is empty.
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
