package durable

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// quarantineName is the folder beside a damaged file into which it is moved.
const quarantineName = "quarantine"

// Quarantine moves a file into the folder quarantine beside it, as QuarantineIn does.
func Quarantine(name string) (moved string, err error) { return QuarantineIn(filepath.Dir(name), name) }

// QuarantineIn moves a file or a folder into the folder quarantine of dir, durably, and returns its
// name there, which has the time of the move. The quarantine is made when it is missing.
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
