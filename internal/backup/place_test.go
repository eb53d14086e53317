package backup_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"theeye/internal/backup"
)

// A backup does not lie in a data directory, and a data directory neither in another one nor in a
// backup, by whatever path.
func TestPlaces(t *testing.T) {
	root := t.TempDir()
	data, copied := filepath.Join(root, "data"), filepath.Join(root, "backup")
	if err := errors.Join(os.MkdirAll(filepath.Join(data, "store", "segments"), 0o700), os.MkdirAll(filepath.Join(data, "queue"), 0o700),
		os.WriteFile(filepath.Join(data, "lock"), nil, 0o600), os.Symlink(data, filepath.Join(root, "link"))); err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	r.add(1)
	r.backup(copied)
	for _, dir := range []string{data, filepath.Join(data, "backup"), filepath.Join(data, "store", "segments", "a", "b"), filepath.Join(root, "link", "backup")} {
		before := tree(t, root)
		f, err := backup.OpenFolder(dir)
		if err == nil || !strings.Contains(err.Error(), "lies in the data directory "+data) {
			t.Errorf("a backup into %s: %v", dir, err)
		}
		if err == nil {
			_ = f.Close()
		}
		if _, err := backup.Restore(t.Context(), backup.RestoreOptions{From: copied, To: dir}); err == nil || dir != data && !strings.Contains(err.Error(), "lies in the data directory "+data) {
			t.Errorf("a restore into %s: %v", dir, err)
		}
		if after := tree(t, root); after != before {
			t.Errorf("there is now\n%s, before\n%s", after, before)
		}
	}
	for _, dir := range []string{filepath.Join(copied, "new"), filepath.Join(copied, "files", "new")} {
		if _, err := backup.Restore(t.Context(), backup.RestoreOptions{From: copied, To: dir}); err == nil || !strings.Contains(err.Error(), "lies in the backup "+copied) {
			t.Errorf("a restore into %s: %v", dir, err)
		}
	}
	if _, err := backup.Restore(t.Context(), backup.RestoreOptions{From: copied, To: filepath.Join(root, "new")}); err != nil {
		t.Error(err)
	}
	r.backup(copied) // again
}

// tree lists what a folder holds.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		list = append(list, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(list, "\n")
}
