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

// Lock takes a data directory for this process (S14) and creates it when it is missing. The lock
// ends with the process, however that ends.
func Lock(dir string) (release func(), err error) {
	release, _, err = lockAfter(dir)
	return release, err
}

// lockAfter is lockDir that tells whether the process that had the directory before ended without
// giving it back.
func lockAfter(dir string) (release func(), killed bool, err error) {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, false, fmt.Errorf("the data directory cannot be made: %w; choose another with --data", err)
	}
	name := filepath.Join(dir, lockName)
	inUse := func() error {
		holder, _ := os.ReadFile(name)
		return fmt.Errorf("the data directory %s is in use by %s; stop that server, or choose another with --data", dir, orUnknown(holder))
	}
	// The folder itself is locked too: the file may be removed by who takes it for a leftover.
	folder, err := os.Open(dir)
	if err != nil {
		return nil, false, fmt.Errorf("the data directory cannot be read: %w; give this user the right to, or choose another with --data", err)
	}
	if err := flock(folder); errors.Is(err, syscall.EWOULDBLOCK) { // some file systems cannot lock a folder
		_ = folder.Close()
		return nil, false, inUse()
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		_ = folder.Close()
		return nil, false, fmt.Errorf("the data directory cannot be written: %w; give this user the right to, or choose another with --data", err)
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
		_ = f.Truncate(0) // it names nobody after an ordered end
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
