package cli

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
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"theeye/internal/client"
	"theeye/internal/discovery"
)

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
			f := newClientFlags(cmd, stdio{})
			f.getenv = func(name string) string { return tc.env[name] }
			if err := cmd.ParseFlags(tc.line); err != nil {
				t.Fatal(err)
			}
			c, err := f.client()
			if err != nil {
				t.Fatal(err)
			}
			key, err := c.Secret(t.Context())
			if diff := cmp.Diff(tc.want, target{c.Server(), key}); diff != "" || err != nil {
				t.Error(diff, err)
			}
		})
	}
}

// Without the admin key of its directory, a command says what to do.
func TestMissingAdminKey(t *testing.T) {
	f := newClientFlags(&cobra.Command{}, stdio{})
	data := t.TempDir()
	if err := f.cmd.PersistentFlags().Set("data", data); err != nil {
		t.Fatal(err)
	}
	socket, err := discovery.Listen(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: socket, Config: &http.Server{
		ReadHeaderTimeout: time.Minute,
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }),
	}}
	server.Start()
	defer server.Close()
	c, err := f.client()
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Do(t.Context(), client.Request{Method: http.MethodGet, Path: "/v1/apps"})
	if err == nil {
		t.Fatal("no error")
	}
	got := err.Error()
	if !strings.Contains(got, filepath.Join(data, "admin.key")+" cannot be read") || !strings.Contains(got, "restart the server") {
		t.Error(got)
	}
}

// An erasure continues after the server has ended during it, and the command says so.
func TestErasureGoesOn(t *testing.T) {
	if err := erasureError(&client.UnreachableError{Server: "here", Err: io.EOF}); !strings.Contains(err.Error(), "continues when the server starts again") {
		t.Error(err)
	}
	if err := erasureError(nil); err != nil {
		t.Error(err)
	}
}

// A web page is not an answer, whatever its status: it is not printed, and the message says what it
// is.
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

// A request that changes something does not follow a redirect.
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
