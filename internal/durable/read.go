package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// ReadFile is [os.ReadFile]. If the user may not read the file, its error says what to do.
func ReadFile(name string) ([]byte, error) {
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w; give this user the right to read it", err)
	}
	return b, err
}

// Denied reports whether an error of the file system does not imply damage, such as a missing
// permission or a lack of file descriptors. A missing file, or one that its disk cannot read, is
// damage.
func Denied(err error) bool {
	_, system := errors.AsType[*fs.PathError](err)
	return system && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.EIO)
}
