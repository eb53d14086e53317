package test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const nobody = 65534

// asNobody gives a data directory to another user, and returns how that one runs a command on it.
// The command must end by itself.
func (s *server) asNobody() (run func(args ...string) (code int, output string)) {
	t := s.t
	t.Helper()
	if os.Getuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("this test needs root, to run a server as another user")
		}
		t.Skip("this test needs root, to run a server as another user")
	}
	// Folders above, and the program, must be open to the other user.
	for dir := s.data; dir != "/"; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o001 == 0 && dir != s.data {
			if err := os.Chmod(dir, info.Mode().Perm()|0o011); err != nil {
				t.Fatal(err)
			}
		}
	}
	err := filepath.WalkDir(s.data, func(name string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = os.Chown(name, nobody, nobody)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "eye")
	b, err := os.ReadFile(binary(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, b, 0o755); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(program); dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return func(args ...string) (int, string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, program, append(args, "--data", s.data)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		out, _ := cmd.CombinedOutput()
		if ctx.Err() != nil {
			t.Fatalf("eye %v goes on:\n%s", args, out)
		}
		return cmd.ProcessState.ExitCode(), string(out)
	}
}

// A segment that this user may not read is not damaged: the start is refused, and nothing is
// changed; with the right to read it everything is there.
func TestUnreadableSegmentIsNotDamaged(t *testing.T) {
	t.Parallel()
	s := twoSegments(t)
	run := s.asNobody()
	segment := s.segments()[0]
	if err := os.Chown(segment, 0, 0); err != nil {
		t.Fatal(err)
	}
	code, out := run("serve", "--listen", "127.0.0.1:0")
	if code != 1 || !strings.Contains(out, "nothing was changed") || !strings.Contains(out, "the right to read") {
		t.Errorf("it says %s", out)
	}
	if _, err := os.Stat(segment); err != nil {
		t.Errorf("the segment is not where it was: %v", err)
	}
	s.launch() // as root
	s.sums(200, 200, 0)
	s.counts(200)
}

// What this user may not read or write is told at once, with its path and what to do. It is not
// damaged: nothing takes its place, and nothing is brought back from a copy of it.
func TestUnreadableFilesAreNotDamaged(t *testing.T) {
	t.Parallel()
	s := twoSegments(t)
	s.launch()
	s.must(s.call("DELETE", "/v1/sessions/nobody", s.admin, ""), 200) // makes the file of erasures
	s.shutDown()
	if err := os.WriteFile(filepath.Join(s.data, "running"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := s.asNobody()
	refused := func(name, want string, args ...string) {
		t.Helper()
		before := listed(t, s.data)
		code, out := run(args...)
		if code != 1 || !strings.Contains(out, filepath.Join(s.data, name)) || !strings.Contains(out, want) || strings.Contains(out, "recover") {
			t.Errorf("%s: eye %v ended with %d: %s", name, args, code, out)
		}
		if after := listed(t, s.data); after != before {
			t.Errorf("%s: eye %v changed the directory:\n%s\nbefore:\n%s", name, args, after, before)
		}
	}
	serve := []string{"serve", "--listen", "127.0.0.1:0"}
	own := func(name string, user int) {
		t.Helper()
		if err := os.Chown(filepath.Join(s.data, name), user, user); err != nil {
			t.Fatal(err)
		}
	}
	const right = "permission denied; give this user the right to read it"
	for _, name := range []string{"store/MANIFEST.json", "tombstones", "metadata.json", "running", "clock", "admin.key"} {
		own(name, 0)
		refused(name, right, serve...)
		own(name, nobody)
	}
	own("store/MANIFEST.json", 0)
	refused("store/MANIFEST.json", right, "store", "segments")
	for _, flags := range [][]string{{}, {"--empty"}} {
		args := append([]string{"store", "recover", "--yes"}, flags...)
		code, out := run(args...)
		if code != 1 || !strings.Contains(out, right) {
			t.Errorf("eye %v ended with %d: %s", args, code, out)
		}
	}
	own("store/MANIFEST.json", nobody)
	queue := filepath.Join(s.data, "queue")
	moved := filepath.Join(s.data, "moved")
	if err := os.Rename(queue, moved); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("gone", queue); err != nil {
		t.Fatal(err)
	}
	refused("queue", "no such file or directory", serve...)
	if err := errors.Join(os.Remove(queue), os.Mkdir(queue, 0o500), os.Chown(queue, 0, 0)); err != nil {
		t.Fatal(err)
	}
	refused("queue", "permission denied", serve...)
	if err := errors.Join(os.Remove(queue), os.Rename(moved, queue)); err != nil {
		t.Fatal(err)
	}
	s.launch() // as root
	s.sums(200, 200, 0)
}
