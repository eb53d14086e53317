package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// errInside is returned for a folder within a data directory or another backup.
var errInside = errors.New("give a folder outside of it")

// checkPlace rejects a folder that is, or is within, a data directory or, unless backups is false,
// a backup: files that are written there would be mistaken for a part of it, and be deleted with
// it.
func checkPlace(dir string, backups bool) error {
	at, err := resolved(dir)
	if err != nil {
		return err
	}
	for {
		switch {
		case has(at, "queue", "store"):
			return fmt.Errorf("%s lies in the data directory %s: %w", dir, at, errInside)
		case backups && has(at, lockName, filesDir):
			return fmt.Errorf("%s lies in the backup %s: %w", dir, at, errInside)
		}
		up := filepath.Dir(at)
		if up == at {
			return nil
		}
		at = up
	}
}

// resolved returns the absolute path of a folder, without links. The folder need not exist.
func resolved(dir string) (string, error) {
	at, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	var missing []string
	for {
		whole, err := filepath.EvalSymlinks(at)
		if err == nil {
			slices.Reverse(missing)
			return filepath.Join(append([]string{whole}, missing...)...), nil
		}
		if !errors.Is(err, fs.ErrNotExist) || filepath.Dir(at) == at {
			return "", err
		}
		missing, at = append(missing, filepath.Base(at)), filepath.Dir(at)
	}
}

// has reports whether a folder contains files with all of the names.
func has(dir string, names ...string) bool {
	return !slices.ContainsFunc(names, func(name string) bool {
		_, err := os.Lstat(filepath.Join(dir, name))
		return err != nil
	})
}
