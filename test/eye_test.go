// Package test drives the real binary from outside, as its users do.
package test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

func TestMain(m *testing.M) {
	// A signal that these tests were started to ignore, as by nohup, would be ignored by servers
	// too.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	dir, err := os.MkdirTemp("", "eye-test-")
	if err != nil {
		panic(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the test of the image runs it as another user
		panic(err)
	}
	binaries.dir = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// binaries are built once for all tests, each with its build tags.
var binaries struct {
	dir   string
	mu    sync.Mutex // guards built
	built map[string]error
}

// binary returns the path of the command, built with tags ("" for none).
func binary(t *testing.T, tags string) string {
	t.Helper()
	binaries.mu.Lock()
	defer binaries.mu.Unlock()
	name := filepath.Join(binaries.dir, "eye-"+tags)
	err, done := binaries.built[tags]
	if !done {
		lookAtSources(t)
		out, buildErr := exec.Command("go", "build", "-tags", tags, "-o", name, "theeye/cmd/eye").CombinedOutput()
		if buildErr != nil {
			err = fmt.Errorf("%w: %s", buildErr, out)
		}
		if binaries.built == nil {
			binaries.built = map[string]error{}
		}
		binaries.built[tags] = err
	}
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// lookAtSources looks at what the binary is built from. The cache of go test
// goes by what tests have looked at; without this it would answer for a binary of
// yesterday.
func lookAtSources(t *testing.T) {
	t.Helper()
	for _, dir := range []string{"../go.sum", "../cmd", "../internal", "../examples"} {
		if err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
			if err == nil {
				_, err = os.Stat(name)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// server is a running `eye serve`.
type server struct {
	t    *testing.T
	tags string
	// program is a binary that is there already; "" for the one built with tags.
	program string
	data    string
	args    []string
	env     []string // besides this process's own
	wrap    []string // a command that runs the server; nil for none
	// limit bounds the process's file descriptors, as ulimit takes it; empty for
	// what the test itself may have.
	limit string
	url   string
	// client verifies the server's certificate; nil for plain HTTP.
	client *http.Client
	// Keys: admin from the data directory, the others made for the application "shop".
	admin, write, read string

	cmd    *exec.Cmd
	exited chan struct{} // closed when the process has ended
	output fmt.Stringer
}

// start runs a server on a new data directory and makes the application "shop".
func start(t *testing.T, args ...string) *server {
	t.Helper()
	return startIn(t, t.TempDir(), args...)
}

// startIn does so in a given folder.
func startIn(t *testing.T, data string, args ...string) *server {
	t.Helper()
	s := &server{t: t, data: data, args: args}
	s.launch()
	s.prepare()
	return s
}

// prepare makes the application "shop" and its keys.
func (s *server) prepare() {
	s.t.Helper()
	s.must(s.call("POST", "/v1/apps", s.admin, `{"app":"shop"}`), 201)
	s.write, s.read = s.key("shop", "write"), s.key("shop", "read")
}

// run starts the process.
func (s *server) run() {
	s.t.Helper()
	log := newTranscript(s.t)
	s.output = log
	program := s.program
	if program == "" {
		program = binary(s.t, s.tags)
	}
	line := append(append(slices.Clone(s.wrap), program, "serve", "--data", s.data, "--listen", "127.0.0.1:0"), s.args...)
	s.cmd = exec.Command(line[0], line[1:]...)
	if s.limit != "" {
		s.cmd = exec.Command("bash", append([]string{"-c", "ulimit " + s.limit + ` && exec "$@"`, "bash"}, s.cmd.Args...)...)
	}
	s.cmd.Stdout, s.cmd.Stderr = log.file, log.file
	s.cmd.Env = append(os.Environ(), s.env...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	exited := make(chan struct{})
	s.exited = exited
	cmd := s.cmd
	go func() { _ = cmd.Wait(); close(exited) }()
	output := s.output
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
		for line := range strings.Lines(output.String()) {
			if strings.Contains(line, `"error":null`) {
				s.t.Errorf("a line of the log tells of an error that is none: %s", line)
			}
		}
	})
}

// launch starts the process and returns when it answers.
func (s *server) launch() {
	s.t.Helper()
	if !s.launched() {
		s.t.Fatalf("the server ended:\n%s", s.output)
	}
}

// launched starts the process and reports when it answers, or that it has ended.
func (s *server) launched() (answers bool) {
	s.t.Helper()
	if !s.listening() {
		return false
	}
	s.eventually("reading to work", func() bool {
		if !s.runs() {
			return true
		}
		a, err := s.try("GET", "/readyz", "", nil)
		return err == nil && a.text("read") == "true"
	})
	return s.runs()
}

// listening starts the process and reports when it listens, or that it has ended. Reading may not
// work yet.
func (s *server) listening() bool {
	s.t.Helper()
	_ = os.Remove(filepath.Join(s.data, "address"))
	s.run()
	s.eventually("the server to write its address", func() bool {
		if !s.runs() {
			return true
		}
		b, err := os.ReadFile(filepath.Join(s.data, "address"))
		s.url = "http://" + strings.TrimSpace(string(b))
		if s.client != nil {
			s.url = "https://" + strings.TrimSpace(string(b))
		}
		return err == nil
	})
	if !s.runs() {
		return false
	}
	b, err := os.ReadFile(filepath.Join(s.data, "admin.key"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.admin = strings.TrimSpace(string(b))
	return true
}

// kill ends the process as a power cut would end it.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.exited
}

// shutDown ends the process cleanly.
func (s *server) shutDown() {
	s.t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	<-s.exited
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		s.t.Fatalf("the server ended with %d:\n%s", code, s.output)
	}
}

// eventually polls until a condition holds, for at most a minute.
func (s *server) eventually(what string, holds func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			s.t.Fatalf("waited in vain for %s:\n%s", what, s.output)
		case <-tick.C:
		}
	}
}

func (s *server) key(app, kind string) string {
	s.t.Helper()
	a := s.call("POST", "/v1/apps/"+app+"/keys", s.admin, `{"kind":"`+kind+`"}`)
	s.must(a, 201)
	return a.text("key")
}

// reply is an answer with its body read.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (s *server) must(a reply, status int) {
	s.t.Helper()
	if a.status != status {
		s.t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
}

// json returns the body as a JSON object.
func (a reply) json() map[string]any {
	var v map[string]any
	if err := json.Unmarshal(a.body, &v); err != nil {
		return map[string]any{"not JSON": string(a.body)}
	}
	return v
}

func (a reply) text(field string) string { return fmt.Sprint(a.json()[field]) }

// call sends a request with a key ("" for none); header pairs follow the body.
func (s *server) call(method, path, key, body string, header ...string) reply {
	s.t.Helper()
	a, err := s.try(method, path, key, []byte(body), header...)
	if err != nil {
		s.t.Fatal(err)
	}
	if what := undeclared(method, path, a); what != "" {
		s.t.Errorf("%s %s: api/openapi.yaml does not declare %s", method, path, what)
	}
	return a
}

func (s *server) try(method, path, key string, body []byte, header ...string) (reply, error) {
	req, err := http.NewRequest(method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := s.client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, b}, err
}

// transcript is a file to which a process writes by itself: what it wrote before it did anything
// else can be read.
type transcript struct {
	t    *testing.T
	file *os.File
}

func newTranscript(t *testing.T) transcript {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "output-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return transcript{t, f}
}

func (x transcript) String() string {
	b, err := os.ReadFile(x.file.Name())
	if err != nil {
		x.t.Error(err)
	}
	return string(b)
}

// safeBuffer is written by the process and read by the test.
type safeBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// runEye runs a command to its end.
func runEye(t *testing.T, env []string, args ...string) (code int, output string) {
	t.Helper()
	return runProgram(t, binary(t, ""), env, args...)
}

func runProgram(t *testing.T, program string, env []string, args ...string) (code int, output string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func basic(user string) string { return base64.StdEncoding.EncodeToString([]byte(user + ":")) }

// memory returns the resident set of the process, in bytes.
func (s *server) memory() int64 {
	s.t.Helper()
	return s.memoryLine("VmRSS:")
}

// memoryLine returns a line of what Linux tells of the process's memory, in bytes.
func (s *server) memoryLine(name string) int64 {
	s.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), name)
	var kib int64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		s.t.Fatal(err)
	}
	return kib << 10
}

// eye returns a command that was not started, and what it prints.
func (s *server) eye(args ...string) (*exec.Cmd, *safeBuffer) {
	s.t.Helper()
	cmd, output := exec.CommandContext(s.t.Context(), binary(s.t, ""), args...), &safeBuffer{}
	cmd.Stdout, cmd.Stderr = output, output
	return cmd, output
}

// dialSocket returns a dialer that connects to a socket, whatever it is asked for.
func dialSocket(name string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", name)
	}
}
