package durable

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every folder that is made is named in a synced folder before the next one is made.
func TestMkdirAllSyncsEachFolderAbove(t *testing.T) {
	root := t.TempDir()
	made := func() (there []string) {
		for _, name := range []string{"a", "a/b", "a/b/c"} {
			if _, err := os.Stat(filepath.Join(root, name)); err == nil {
				there = append(there, name)
			}
		}
		return there
	}
	type step struct {
		Synced string
		There  []string // when it was synced
	}
	var got []step
	record := func(dir string) error {
		name, err := filepath.Rel(root, dir)
		got = append(got, step{name, made()})
		return err
	}
	if err := mkdirAll(filepath.Join(root, "a", "b", "c")+"/", 0o700, record); err != nil {
		t.Fatal(err)
	}
	want := []step{
		{"..", nil}, // the folder that was there may not have been synced by who made it
		{".", []string{"a"}},
		{"a", []string{"a", "a/b"}},
		{"a/b", []string{"a", "a/b", "a/b/c"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("synced (-want +got):\n%s", diff)
	}
	got = nil
	if err := mkdirAll(filepath.Join(root, "a", "b", "c"), 0o700, record); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]step{{"a/b", made()}}, got); diff != "" {
		t.Errorf("of folders that are there (-want +got):\n%s", diff)
	}
	if info, err := os.Stat(filepath.Join(root, "a", "b")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestMkdirAllFails(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fails := func(err error) func(string) error { return func(string) error { return err } }
	for name, tc := range map[string]struct {
		dir  string
		sync func(string) error
		want error // nil for none
	}{
		"a failing disk under a new folder":          {filepath.Join(root, "new"), fails(syscall.EIO), syscall.EIO},
		"a failing disk under one that is there":     {root, fails(syscall.EIO), syscall.EIO},
		"one that is there in one that cannot sync":  {root, fails(syscall.EINVAL), nil},
		"one that is there in one not to be read":    {root, fails(syscall.EACCES), nil},
		"a new folder where it cannot be synced":     {filepath.Join(root, "unsynced"), fails(syscall.EINVAL), syscall.EINVAL},
		"a new folder below a file":                  {filepath.Join(file, "below"), SyncDir, syscall.ENOTDIR},
		"a folder with the name of a file":           {file, SyncDir, errFile},
		"a new folder in one that is not synced yet": {filepath.Join(root, "x", "y"), fails(syscall.EIO), syscall.EIO},
	} {
		if err := mkdirAll(tc.dir, 0o700, tc.sync); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
	}
	if _, err := os.Stat(filepath.Join(root, "x", "y")); err == nil {
		t.Error("a folder was made in one whose name is not durable")
	}
}

// A new name counts when its folder is synced, and only then.
func TestRenameSyncsTheFolder(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	if err := os.WriteFile(from, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	var synced []string
	err := rename(from, to, func(folder string) error {
		if b, err := os.ReadFile(to); err != nil || string(b) != "text" {
			t.Errorf("synced before it was renamed: %q, %v", b, err)
		}
		synced = append(synced, folder)
		return syscall.EIO
	})
	if !errors.Is(err, ErrUncertain) || !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]string{dir}, synced); diff != "" {
		t.Errorf("synced (-want +got):\n%s", diff)
	}
	if err := Rename(from, to); !errors.Is(err, os.ErrNotExist) || errors.Is(err, ErrUncertain) {
		t.Errorf("a file that is not there: %v", err)
	}
}
