package theeye_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// eye is a server that takes every event and keeps the requests.
type eye struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
}

func newEye(t *testing.T) *eye {
	e := &eye{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Authorization") != "Bearer eye_w_x" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		e.mu.Lock()
		e.bodies = append(e.bodies, string(body))
		e.mu.Unlock()
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"received":1,"accepted":1,"rejected":0,"duplicates":0,"events":[]}`)
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *eye) received() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.bodies, "\n")
}

// program builds a Go program in this module and returns its path.
func program(t *testing.T, source string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "program")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", name, source)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return name
}

// guidePrograms returns the programs in the guide, built.
func guidePrograms(t *testing.T, replace ...string) (programs []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/guides/client-go.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		source := filepath.Join(t.TempDir(), "main.go")
		if err := os.WriteFile(source, []byte(strings.NewReplacer(replace...).Replace(block[1])), 0o600); err != nil {
			t.Fatal(err)
		}
		programs = append(programs, program(t, source))
	}
	return programs
}

// run starts a program in a folder of its own.
func run(t *testing.T, server *eye, name string) (process *exec.Cmd, output *strings.Builder) {
	t.Helper()
	process = exec.CommandContext(t.Context(), name)
	output = &strings.Builder{}
	process.Dir, process.Stdout, process.Stderr = t.TempDir(), output, output
	process.Env = append(os.Environ(), "EYE_URL="+server.URL, "EYE_KEY=eye_w_x", "TMPDIR="+process.Dir)
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	return process, output
}

func wait(t *testing.T, process *exec.Cmd, output *strings.Builder) {
	t.Helper()
	if err := process.Wait(); err != nil {
		t.Errorf("%v: %s", err, output)
	}
}

// freeAddress returns an address at which nothing listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// get asks for a page until there is an answer, and returns its cookie.
func get(t *testing.T, address string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err == nil {
			_ = answer.Body.Close()
			return answer.Cookies()[0].Value
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

func TestGuide(t *testing.T) {
	address := freeAddress(t)
	programs := guidePrograms(t, "127.0.0.1:8081", address)
	if len(programs) != 3 {
		t.Fatalf("the guide has %d programs", len(programs))
	}
	server := newEye(t)
	first, output := run(t, server, programs[0])
	wait(t, first, output)
	web, output := run(t, server, programs[1])
	session := get(t, address)
	if err := web.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	wait(t, web, output)
	logs, output := run(t, server, programs[2])
	wait(t, logs, output)
	for _, text := range []string{`"session_id":"a7"`, `"session_id":"` + session + `"`, `"session_id":"import 2026-11-24","category":"log","name":"info"`} {
		if !strings.Contains(server.received(), text) {
			t.Errorf("%s was not received:\n%s", text, server.received())
		}
	}
}

func TestExampleLog(t *testing.T) {
	server := newEye(t)
	process, output := run(t, server, program(t, "./examples/log"))
	wait(t, process, output)
	if !strings.Contains(server.received(), `"msg":"stock is low"`) {
		t.Errorf("received %s", server.received())
	}
}

func TestExampleHTTP(t *testing.T) {
	server, address := newEye(t), freeAddress(t)
	t.Setenv("ADDRESS", address)
	process, output := run(t, server, program(t, "./examples/http"))
	session := get(t, address)
	if err := process.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	wait(t, process, output)
	if !strings.Contains(server.received(), `"session_id":"`+session+`"`) {
		t.Errorf("received %s", server.received())
	}
}

func TestDriver(t *testing.T) {
	server := newEye(t)
	name := program(t, "./contract/driver")
	process := exec.CommandContext(t.Context(), name, "3", "2")
	process.Env = append(os.Environ(), "EYE_URL="+server.URL, "EYE_KEY=eye_w_x", "PREFIX=d")
	if out, err := process.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%v: %s", err, out)
	}
	for _, text := range []string{`"session_id":"d0","category":"test","name":"driver","data":{"n":2}`, `"session_id":"d1","category":"test","name":"driver","data":{"n":1}`} {
		if !strings.Contains(server.received(), text) {
			t.Errorf("%s was not received:\n%s", text, server.received())
		}
	}
	refused := exec.CommandContext(t.Context(), name, "3", "2")
	refused.Env = append(os.Environ(), "EYE_URL="+server.URL, "EYE_KEY=eye_w_other")
	out, err := refused.CombinedOutput()
	if err == nil || !strings.Contains(string(out), `"error":"unauthorized"`) || strings.Contains(string(out), "eye_w_other") {
		t.Errorf("%v: %s", err, out)
	}
}
