package cli

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// exportTo runs `eye export` against a server and returns what it left behind.
func exportTo(t *testing.T, answer http.HandlerFunc, line ...string) (code int, stdout, stderr string) {
	t.Helper()
	server := httptest.NewServer(answer)
	defer server.Close()
	var out, errOut bytes.Buffer
	code = run(append([]string{"export", "--url", server.URL, "--key", "k"}, line...), strings.NewReader(""), &out, &errOut)
	return code, out.String(), errOut.String()
}

func lines(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}\n{}\n") }

// torn begins an answer and aborts it, like a server that cannot continue.
func torn(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("format") == "parquet" {
		w.Header().Set("Content-Length", "1000")
	}
	_, _ = io.WriteString(w, "{}\n")
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func busy(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = io.WriteString(w, `{"title":"Service Unavailable","detail":"several exports wait already"}`)
}

func TestExportToAFile(t *testing.T) {
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		file   string
		code   int
		stderr string
		want   string // empty for no file
	}{
		"whole":        {lines, "events.ndjson", 0, "6 bytes", "{}\n{}\n"},
		"torn":         {torn, "events.ndjson", 1, "cut off", ""},
		"torn parquet": {torn, "events.parquet", 1, "cut off", ""},
		"refused":      {busy, "events.csv", 1, "several exports wait", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, tc.file)
			code, stdout, stderr := exportTo(t, tc.answer, "--output", file)
			if code != tc.code || stdout != "" || !strings.Contains(stderr, tc.stderr) {
				t.Errorf("code %d, %q, %q", code, stdout, stderr)
			}
			got, _ := os.ReadFile(file)
			if string(got) != tc.want {
				t.Errorf("got %q", got)
			}
			entries, err := os.ReadDir(dir)
			if want := min(len(tc.want), 1); err != nil || len(entries) != want {
				t.Errorf("%d files are left, %v", len(entries), err)
			}
		})
	}
}

func TestExportToStandardOutput(t *testing.T) {
	var asked []string
	code, stdout, stderr := exportTo(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RequestURI())
		lines(w, r)
	}, "--app", "shop", "--order", "desc", "--format", "csv")
	if code != 0 || stdout != "{}\n{}\n" || stderr != "" {
		t.Errorf("code %d, %q, %q", code, stdout, stderr)
	}
	if want := "/v1/export?app=shop&format=csv&order=desc"; len(asked) != 1 || asked[0] != want {
		t.Errorf("asked for %v, want %s", asked, want)
	}
	if code, stdout, _ := exportTo(t, torn); code != exitFailed || stdout != "{}\n" {
		t.Errorf("torn: code %d, %q", code, stdout)
	}
	if code, stdout, _ := exportTo(t, torn, "--output", os.DevNull); code != exitFailed || stdout != "" {
		t.Errorf("torn, to a device: code %d, %q", code, stdout)
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Errorf("the device is no device any more: %v, %v", info, err)
	}
}
