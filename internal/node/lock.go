package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"theeye/internal/durable"
)

const lockName = "lock"

// Lock locks a data directory for this process, so that no two servers write to it, and creates it
// if it is missing. The lock is released when the process ends, however it ends.
func Lock(dir string) (release func(), err error) {
	release, _, err = lockAfter(dir)
	return release, err
}

// lockAfter is Lock, and also reports whether the previous process with that directory ended
// without releasing it.
func lockAfter(dir string) (release func(), killed bool, err error) {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, false, fmt.Errorf("the data directory cannot be created: %w; choose another with --data", err)
	}
	name := filepath.Join(dir, lockName)
	inUse := func() error {
		holder, _ := os.ReadFile(name)
		return fmt.Errorf("the data directory %s is in use by %s; stop that server, or choose another with --data", dir, orUnknown(holder))
	}
	// The folder itself is locked as well: someone may take the file for a leftover and remove it.
	folder, err := os.Open(dir)
	if err != nil {
		return nil, false, fmt.Errorf("the data directory cannot be read: %w; give this user the right to read it, or choose another with --data", err)
	}
	if err := flock(folder); errors.Is(err, syscall.EWOULDBLOCK) { // some file systems cannot lock a folder
		_ = folder.Close()
		return nil, false, inUse()
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		_ = folder.Close()
		return nil, false, fmt.Errorf("the data directory cannot be written: %w; give this user the right to write it, or choose another with --data", err)
	}
	if err := flock(f); err != nil {
		_, _ = f.Close(), folder.Close()
		return nil, false, inUse()
	}
	before, _ := os.ReadFile(name)
	host, _ := os.Hostname()
	holder := fmt.Sprintf("process %d on %s since %s\n", os.Getpid(), host, time.Now().UTC().Format(time.RFC3339))
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(holder), 0)
	}
	return func() {
		_ = f.Truncate(0) // after a clean shutdown, the file names no process
		_, _ = f.Close(), folder.Close()
	}, len(before) > 0, nil
}

func flock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

func orUnknown(holder []byte) string {
	if text := strings.TrimSpace(string(holder)); text != "" {
		return text
	}
	return "another process"
}
