package test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A segment that this user may not read is not damaged: the start is refused, and nothing is
// changed; with the right to read it everything is there (H3).
func TestUnreadableSegmentIsNotDamaged(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("this test needs root, to run a server as another user")
		}
		t.Skip("this test needs root, to run a server as another user")
	}
	s := twoSegments(t)
	const nobody = 65534
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
	segment := s.segments()[0]
	if err := os.Chown(segment, 0, 0); err != nil {
		t.Fatal(err)
	}
	output := &safeBuffer{}
	cmd := exec.CommandContext(t.Context(), program, "serve", "--data", s.data, "--listen", "127.0.0.1:0")
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the server ended without an error")
		}
	case <-time.After(time.Minute):
		_ = cmd.Process.Kill()
		t.Fatalf("the server goes on:\n%s", output)
	}
	if out := output.String(); !strings.Contains(out, "nothing was changed") || !strings.Contains(out, "the right to read") {
		t.Errorf("it says %s", out)
	}
	if _, err := os.Stat(segment); err != nil {
		t.Errorf("the segment is not where it was: %v", err)
	}
	s.launch() // as root
	s.sums(200, 200, 0)
	s.counts(200)
}
