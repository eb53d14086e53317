package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

func TestReachable(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:8080": "127.0.0.1:8080",
		"0.0.0.0:8080":   "127.0.0.1:8080",
		"[::]:8080":      "127.0.0.1:8080", // what listening on 0.0.0.0 is called
		":8080":          "127.0.0.1:8080",
		"[::1]:8080":     "[::1]:8080",
		"eye.local:80":   "eye.local:80",
		"no address":     "no address",
	} {
		if got := reachable(listen); got != want {
			t.Errorf("%q: got %q, want %q", listen, got, want)
		}
	}
}

func TestWhichServerAndKey(t *testing.T) {
	type target struct{ Server, Key string }
	dir := t.TempDir()
	for name, text := range map[string]string{"address": "[::]:9\n", "admin.key": "eye_a_own\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	own := filepath.Join(dir, "eye.sock")
	for _, tc := range []struct {
		name string
		line []string
		env  map[string]string
		want target
	}{
		{"the directory", []string{"--data", dir}, nil, target{own, "eye_a_own"}},
		{"the directory of the environment", nil, map[string]string{"EYE_DATA": dir}, target{own, "eye_a_own"}},
		{"another key", []string{"--data", dir, "--key", "k"}, nil, target{own, "k"}},
		{"another key by the environment", []string{"--data", dir}, map[string]string{"EYE_KEY": "k"}, target{own, "k"}},
		{"the environment before a directory of the environment", nil, map[string]string{"EYE_DATA": dir, "EYE_URL": "http://b", "EYE_KEY": "k"}, target{"http://b", "k"}},
		{"the flag before the environment", []string{"--url", "http://a/"}, map[string]string{"EYE_URL": "http://b"}, target{"http://a", ""}},
		{"the key of a directory goes to its server alone", []string{"--url", "http://a", "--data", dir}, nil, target{"http://a", ""}},
		{"a directory before the environment's server and its key", []string{"--data", dir}, map[string]string{"EYE_URL": "http://b", "EYE_KEY": "k"}, target{own, "eye_a_own"}},
		{"no scheme", []string{"--url", "a:1"}, nil, target{"http://a:1", ""}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cmd := &cobra.Command{}
			f := newClientFlags(cmd, streams{})
			f.getenv = func(name string) string { return tc.env[name] }
			if err := cmd.ParseFlags(tc.line); err != nil {
				t.Fatal(err)
			}
			c, err := f.client()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, target{c.shown, c.key}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A web page is no answer, whatever its status: it is not printed, and the message says what it is.
func TestPageIsNoAnswer(t *testing.T) {
	for _, status := range []int{200, 404, 502} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "<html><body>welcome</body></html>")
		}))
		var out, errOut bytes.Buffer
		code := run([]string{"apps", "list", "--json", "--url", server.URL, "--key", "x"}, nil, &out, &errOut)
		server.Close()
		got := errOut.String()
		if code != exitFailed || out.Len() > 0 || strings.Contains(got, "<html>") || !strings.Contains(got, "is not The Eye's API") || !strings.Contains(got, strconv.Itoa(status)) {
			t.Errorf("%d: %d %q %q", status, code, out.String(), got)
		}
	}
}

// A redirect never changes something else.
func TestRedirectOfAChange(t *testing.T) {
	for _, status := range []int{301, 302, 307, 308} {
		var asked []string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, r.Method+" "+r.URL.Path)
			if r.URL.Path != "/elsewhere" {
				http.Redirect(w, r, "/elsewhere", status)
			}
		}))
		var out, errOut bytes.Buffer
		code := run([]string{"keys", "revoke", "key_1", "--app", "shop", "--url", server.URL, "--key", "x"}, nil, &out, &errOut)
		server.Close()
		if code != exitFailed || !slices.Equal(asked, []string{"DELETE /v1/apps/shop/keys/key_1"}) || !strings.Contains(errOut.String(), strconv.Itoa(status)) {
			t.Errorf("%d: %d, asked %q, said %q", status, code, asked, errOut.String())
		}
	}
}

// Without the admin key of its directory a command says what to do.
func TestMissingAdminKey(t *testing.T) {
	f := newClientFlags(&cobra.Command{}, streams{})
	data := t.TempDir()
	if err := f.cmd.PersistentFlags().Set("data", data); err != nil {
		t.Fatal(err)
	}
	c, err := f.client()
	if err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	answer.WriteHeader(http.StatusUnauthorized)
	got := c.readProblem(answer.Result()).Error()
	if !strings.Contains(got, filepath.Join(data, "admin.key")+" cannot be read") || !strings.Contains(got, "start the server again") {
		t.Error(got)
	}
}

// What a problem advises to those who call over HTTP is told in flags and commands.
func TestProblemsAdviseCommands(t *testing.T) {
	for detail, want := range map[string]string{
		"no stored event has this id; GET /v1/receipts/{id} shows what became of it":     "no stored event has this id; `eye receipt ID` shows what became of it",
		"kind write belongs to one application; make the key under /v1/apps/{app}/keys":  "kind write belongs to one application; give that with --app",
		"kind admin belongs to all applications; make the key under /v1/keys":            "kind admin belongs to all applications; leave out --app",
		"application \"shop\" has events or rejections: erase=1 erases them too, or not": "application \"shop\" has events or rejections: --erase erases them too, or not",
	} {
		body := `{"title":"Conflict","detail":` + strconv.Quote(detail) + `}`
		answer := &http.Response{StatusCode: http.StatusConflict, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
		if got := new(client).readProblem(answer).Detail; got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
}

// An erasure during which the server ends goes on, and the command says so.
func TestErasureGoesOn(t *testing.T) {
	if err := goesOn(&unreachableError{"here", io.EOF}); !strings.Contains(err.Error(), "goes on when it is started again") {
		t.Error(err)
	}
	if err := goesOn(nil); err != nil {
		t.Error(err)
	}
}

// After an ordered end the lock names nobody.
func TestLockNamesNobodyAfterwards(t *testing.T) {
	dir := t.TempDir()
	release, err := lockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockDir(dir); err == nil || !strings.Contains(err.Error(), "is in use by process ") {
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
	release, err := lockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, lockName)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := lockDir(dir); err == nil || !strings.Contains(err.Error(), "is in use by another process") {
			t.Errorf("a second one: %v", err)
		}
		if err := os.WriteFile(filepath.Join(dir, lockName), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	release()
	if release, err = lockDir(dir); err != nil {
		t.Fatal(err)
	}
	release()
}
