package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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
