package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// After a clean shutdown, the lock file names no process.
func TestReleasedLockNamesNoProcess(t *testing.T) {
	dir := t.TempDir()
	release, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(dir); err == nil || !strings.Contains(err.Error(), "is in use by process ") {
		t.Errorf("a second one: %v", err)
	}
	release()
	if b, err := os.ReadFile(filepath.Join(dir, lockName)); err != nil || len(b) > 0 {
		t.Errorf("%q, %v", b, err)
	}
}

// A data directory stays locked when its lock file is removed or replaced.
func TestLockOfAFileThatIsGone(t *testing.T) {
	dir := t.TempDir()
	release, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, lockName)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := Lock(dir); err == nil || !strings.Contains(err.Error(), "is in use by another process") {
			t.Errorf("a second one: %v", err)
		}
		if err := os.WriteFile(filepath.Join(dir, lockName), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	release()
	if release, err = Lock(dir); err != nil {
		t.Fatal(err)
	}
	release()
}
