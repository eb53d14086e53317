package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// MkdirAll creates a folder and its missing parents, like [os.MkdirAll]. It makes each durable, by
// an fsync of its parent, before it creates the next. So a crash leaves a shorter path, never one
// whose upper part is missing. If the folder already exists, its parent is synced, too: the process
// that created it may have ended before its own fsync. MkdirAll may be called concurrently.
func MkdirAll(dir string, perm fs.FileMode) error { return mkdirAll(dir, perm, SyncDir) }

var errFile = errors.New("a file has this name")

func mkdirAll(dir string, perm fs.FileMode, sync func(dir string) error) error {
	dir = filepath.Clean(dir)
	above := filepath.Dir(dir)
	info, err := os.Stat(dir)
	switch {
	case err == nil && !info.IsDir():
		return &fs.PathError{Op: "mkdir", Path: dir, Err: errFile}
	case err == nil:
		// The folder may be a mount point, or its parent may be unreadable or not support a sync.
		// Only a failing disk counts.
		if err := sync(above); errors.Is(err, syscall.EIO) {
			return fmt.Errorf("sync %s: %w", above, err)
		}
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if above == dir { // the root, or the working directory after its removal
		return err
	}
	if err := mkdirAll(above, perm, sync); err != nil {
		return err
	}
	if err := os.Mkdir(dir, perm); errors.Is(err, fs.ErrExist) { // another process created it, or it is a broken link
		if _, err := os.Stat(dir); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	if err := sync(above); err != nil {
		return fmt.Errorf("sync %s: %w", above, err)
	}
	return nil
}

// Rename renames a file within its folder, replaces a file of the new name, and syncs the folder.
// The content of the file must have been synced before. After an error other than ErrUncertain,
// nothing has changed.
func Rename(from, to string) error { return rename(from, to, SyncDir) }

func rename(from, to string, sync func(dir string) error) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	if err := sync(filepath.Dir(to)); err != nil {
		return fmt.Errorf("%w: %w", ErrUncertain, err)
	}
	return nil
}
