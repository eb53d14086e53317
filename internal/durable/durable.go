// Package durable writes files that are there, whole, after a crash.
//
// It does not know what they hold.
package durable

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// ErrUncertain tells that it is not known whether a crash would leave the file of
// before or the new one: its name was changed, and its folder could not be synced.
var ErrUncertain = errors.New("the folder of the file could not be synced")

const temporary = ".tmp"

// Replace makes content the file of a name, for its owner alone, at once and durably:
// fsync, rename, fsync of the folder. After an error that is not ErrUncertain the
// file of before is there, if there was one, and nothing else is left. One at a
// time may replace a file.
func Replace(name string, content io.Reader) error {
	err := Write(name+temporary, content)
	if err == nil {
		err = os.Rename(name+temporary, name)
	}
	if err != nil {
		_ = os.Remove(name + temporary) // it takes room, which may be what is missing
		return err
	}
	if err := SyncDir(filepath.Dir(name)); err != nil {
		return fmt.Errorf("%w: %w", ErrUncertain, err)
	}
	return nil
}

// Write writes a file whose content is on disk when it returns nil.
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

// SyncFile makes what was written into a file durable.
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
