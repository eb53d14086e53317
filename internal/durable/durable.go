// Package durable writes files that exist and are complete after a crash.
//
// It does not know what they contain.
package durable

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// ErrUncertain reports that a crash may leave the previous file or the new one: the file was
// renamed, but its folder could not be synced.
var ErrUncertain = errors.New("the folder of the file could not be synced")

const temporary = ".tmp"

// Replace replaces a file, or creates it, atomically and durably: fsync, rename, fsync of the
// folder. Only the owner may read it. After an error other than ErrUncertain, the previous file, if
// any, is unchanged, and nothing else is left. Replace must not be called concurrently for the same
// file.
func Replace(name string, content io.Reader) error {
	err := Write(name+temporary, content)
	if err == nil {
		err = os.Rename(name+temporary, name)
	}
	if err != nil {
		_ = os.Remove(name + temporary) // the disk may be full
		return err
	}
	if err := SyncDir(filepath.Dir(name)); err != nil {
		return fmt.Errorf("%w: %w", ErrUncertain, err)
	}
	return nil
}

// Write writes a file, whose content is durable when Write returns nil.
func Write(name string, content io.Reader) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// SyncFile makes the content of a file durable.
func SyncFile(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// SyncDir makes the names in a folder durable.
func SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
