//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package theeye

import (
	"errors"
	"io"
)

func lockFile(string) (io.Closer, error) {
	return nil, errors.New("a spool is not supported on this system")
}

func syncFolder(string) error { return nil }
