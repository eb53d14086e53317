package durable_test

import (
	"os"
	"path/filepath"
	"testing"

	"theeye/internal/durable"
)

func TestUsageAndEmpty(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "folder")
	if u, err := durable.UsageOf(dir); u != (durable.Usage{}) || err != nil {
		t.Errorf("no folder: %+v, %v", u, err)
	}
	if err := durable.Empty(dir); err != nil {
		t.Errorf("no folder: %v", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("xyz"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if u, err := durable.UsageOf(dir); u != (durable.Usage{Files: 2, Bytes: 6}) || err != nil {
		t.Errorf("two files: %+v, %v", u, err)
	}
	if err := durable.Empty(dir); err != nil {
		t.Fatal(err)
	}
	if u, err := durable.UsageOf(dir); u != (durable.Usage{}) || err != nil {
		t.Errorf("emptied: %+v, %v", u, err)
	}
}
