//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package theeye

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// lockFile makes a file and locks it until it is closed or the process ends.
func lockFile(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = errSpoolInUse
		}
		return nil, err
	}
	return f, nil
}

// syncFolder makes the names in a folder outlive a power cut.
func syncFolder(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
