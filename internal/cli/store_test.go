package cli

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"theeye/internal/store"
	"theeye/internal/store/duckdb"
)

// `eye store compact` says when there was nothing to merge, and --json prints a document.
func TestCompactOfNothing(t *testing.T) {
	data := t.TempDir()
	st, err := duckdb.Open(t.Context(), duckdb.Options{Dir: filepath.Join(data, "store"), Tombstones: filepath.Join(data, "tombstones")})
	if err != nil {
		t.Fatal(err)
	}
	b := store.Batch{First: 1, Last: 1, Arrivals: map[string]store.Arrivals{"shop": {Received: 1, Lost: 1}}}
	if _, err := st.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(st.Flush(t.Context()), st.Close()); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		want  string
		flags []string
	}{
		{"nothing to merge: 0 segments\n", nil},
		{`{"segments_before":0,"segments_after":0}` + "\n", []string{"--json"}},
	} {
		var out, errOut bytes.Buffer
		code := run(append([]string{"store", "compact", "--data", data}, tc.flags...), strings.NewReader(""), &out, &errOut)
		if code != 0 || out.String() != tc.want || errOut.Len() > 0 {
			t.Errorf("got %d, %q, %q; want %q", code, out.String(), errOut.String(), tc.want)
		}
	}
}

// Without a queue, a rescue says so and creates nothing.
func TestRescueMakesNoFolder(t *testing.T) {
	data := filepath.Join(t.TempDir(), "none")
	var out, errOut bytes.Buffer
	code := run([]string{"store", "rescue", "x", "--data", data}, strings.NewReader(""), &out, &errOut)
	if _, err := os.Stat(data); code != 1 || !errors.Is(err, fs.ErrNotExist) || !strings.Contains(errOut.String(), "there is no queue in "+data) {
		t.Errorf("got %d, %q; the folder: %v", code, errOut.String(), err)
	}
}

// A folder that cannot be examined is not reported as missing.
func TestFolderThatMayNotBeLookedAt(t *testing.T) {
	for _, name := range []string{"store", "queue"} {
		data := t.TempDir()
		path := filepath.Join(data, name)
		if err := os.Symlink(path, path); err != nil { // ELOOP, for root too
			t.Fatal(err)
		}
		args := map[string][]string{"store": {"store", "verify"}, "queue": {"store", "rescue", "block-EYE_FRAMES-1-found.blk"}}[name]
		var out, errOut bytes.Buffer
		if code := run(append(args, "--data", data), nil, &out, &errOut); code != exitFailed || !strings.Contains(errOut.String(), "too many levels of symbolic links") {
			t.Errorf("%s: %d %q", name, code, errOut.String())
		}
	}
}
