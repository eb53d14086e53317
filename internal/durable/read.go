package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// ReadFile is [os.ReadFile] with an error that says what to do when this user may not read the
// file.
func ReadFile(name string) ([]byte, error) {
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w; give this user the right to read it", err)
	}
	return b, err
}

// Denied reports whether an error of the file system tells nothing about what a file holds, such as
// that of a right or a descriptor that is wanting. That a file is gone, or that its disk cannot
// read it, is damage.
func Denied(err error) bool {
	_, system := errors.AsType[*fs.PathError](err)
	return system && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.EIO)
}
