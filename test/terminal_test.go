package test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/sys/unix"
)

// screen is a terminal of a command's own.
type screen struct {
	keyboard *os.File // what is written here is typed
	terminal *os.File
	text     safeBuffer
	read     chan struct{} // closed when nobody has the terminal open
}

// onTerminal makes a command's standard streams a terminal that controls it.
func onTerminal(t *testing.T, cmd *exec.Cmd) *screen {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: 200}); err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	s := &screen{keyboard: master, terminal: terminal, read: make(chan struct{})}
	go func() {
		defer close(s.read)
		_, _ = io.Copy(&s.text, master) // ends with EIO when nobody has the terminal open
	}()
	return s
}

// shown returns what the command has shown. The command must have ended.
func (s *screen) shown() string {
	_ = s.terminal.Close()
	<-s.read
	return s.text.String()
}

// No command writes control characters from events to a terminal. Output to a file or a pipe is
// unchanged.
func TestNothingControlsATerminal(t *testing.T) {
	t.Parallel()
	s := start(t)
	evil := "\x1b]0;owned\x07\x1b[2J\r\u009b31m\u007f\u202e\u2066\b"
	escaped, err := json.Marshal(evil)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Trim(string(escaped), `"`)
	id := "01980c00-0000-7000-8000-000000000001"
	event := func(id, at string) string {
		return strings.NewReplacer("EVIL", text, "ID", id, "AT", at).Replace(
			`{"id":"ID","session_id":"sEVIL","category":"cEVIL","name":"nEVIL","sender":"EVIL","data":{"kEVIL":"vEVIL"},"timestamp":"AT"}`)
	}
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, event(id, "2026-01-01T00:00:00Z")), 201)
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, event("x"+text, "never"+text)), 422)
	s.must(s.call("POST", "/v1/events", "k", "x", "User-Agent", "\u009b31m", "Content-Type", "\u009b31m"), 401)
	rejection := s.call("GET", "/v1/rejections", s.read, "").json()["rejections"].([]any)[0].(map[string]any)["id"].(string)
	file := filepath.Join(t.TempDir(), "evil.json")
	if err := os.WriteFile(file, []byte(event("y", "never"+text)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"events"}, {"events", "--json"}, {"events", id}, {"events", id, "--json"}, {"sessions"}, {"sessions", "--json"}, {"session", "s" + evil}, {"session", "s" + evil, "--json"},
		{"export"}, {"export", "--format", "csv"}, {"rejections"}, {"rejections", "--json"}, {"rejections", rejection}, {"rejections", "summary"},
		{"feed", "--once", "--after", filepath.Join(t.TempDir(), "position")}, {"receipt", id, "--json"}, {"unreadable"}, {"unreadable", "--json"}, {"values" + evil}, {"session", "none" + evil}, {"send", "--app", "shop", file},
		{"events", "--where", "data." + evil}, {"types", "get", evil, evil}, {"keys", "revoke", evil}, {"apps", "create", evil}, {"backup", "verify", evil}, {"serve", "--listen", evil}, {"serve", "--data", file + "/" + evil},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, binary(t, ""), args...)
		cmd.Env = append(os.Environ(), "EYE_URL="+s.url, "EYE_KEY="+s.admin)
		screen := onTerminal(t, cmd)
		_ = cmd.Run() // some are meant to fail
		out := screen.shown()
		if strings.TrimSpace(out) == "" {
			t.Errorf("eye %q shows nothing", args)
		}
		for at, r := range strings.NewReplacer("\r\r\n", "\n", "\r\n", "\n").Replace(out) {
			if r != '\n' && r != '\t' && (r < 0x20 || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0xfffd) {
				t.Errorf("eye %q shows %q at %d of %q", args, r, at, out)
				break
			}
		}
	}
	out, err := exec.CommandContext(t.Context(), binary(t, ""), "export", "--format", "csv", "--url", s.url, "--key", s.admin).Output()
	if err != nil || !strings.Contains(string(out), "s"+evil) {
		t.Errorf("an export into a pipe: %v: %q", err, out)
	}
}
