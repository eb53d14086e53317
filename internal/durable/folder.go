package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// MkdirAll makes a folder and those above it that are missing, as [os.MkdirAll] does.
// Each is durable, by an fsync of the folder above it, before the next one is made.
// So what a crash leaves is a shorter path, never one whose upper part is gone. When
// the folder is there already, the folder above it is synced too: the process that
// made it may have ended before its own fsync. It may be called concurrently.
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
		// The folder may be a mount point, or lie in one that may not be read or cannot be
		// synced. Only a disk that fails counts.
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
	if err := os.Mkdir(dir, perm); errors.Is(err, fs.ErrExist) { // somebody else made it, or it is a link to nothing
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

// Rename gives a file another name in the same folder, taking the place of what had
// that name, and syncs the folder. The file's content must have been synced before.
// After an error that is not ErrUncertain nothing has changed.
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
