package durable_test

import (
	"errors"
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
	outside, within := filepath.Join(t.TempDir(), "outside"), filepath.Join(dir, "within", "deeper")
	if err := errors.Join(os.MkdirAll(within, 0o700), os.WriteFile(filepath.Join(within, "c"), []byte("x"), 0o600),
		os.WriteFile(outside, []byte("xyz"), 0o600), os.Symlink(outside, filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	if u, err := durable.UsageOf(dir); u != (durable.Usage{Files: 4, Bytes: 7}) || err != nil {
		t.Errorf("three files and a link: %+v, %v", u, err)
	}
	if err := durable.Empty(dir); err != nil {
		t.Fatal(err)
	}
	if u, err := durable.UsageOf(dir); u != (durable.Usage{}) || err != nil {
		t.Errorf("emptied: %+v, %v", u, err)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Errorf("what a link leads to: %v", err)
	}
}
