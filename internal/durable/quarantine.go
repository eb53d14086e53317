package durable

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// quarantineName is the name of the folder into which damaged files are moved.
const quarantineName = "quarantine"

// Quarantine is QuarantineIn for the folder of the file.
func Quarantine(name string) (moved string, err error) { return QuarantineIn(filepath.Dir(name), name) }

// QuarantineIn durably moves a file or a folder into the folder quarantine of dir, which it creates
// if necessary. It returns the new path, whose name contains the time of the move.
func QuarantineIn(dir, name string) (moved string, err error) {
	dir = filepath.Join(dir, quarantineName)
	if err := MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	ending := filepath.Ext(name)
	base := strings.TrimSuffix(filepath.Base(name), ending)
	moved = filepath.Join(dir, base+"-"+time.Now().UTC().Format("20060102T150405.000000000")+ending)
	if err := os.Rename(name, moved); err != nil {
		return "", err
	}
	return moved, errors.Join(SyncDir(dir), SyncDir(filepath.Dir(name)))
}
