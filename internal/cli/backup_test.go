package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"theeye/internal/backup"
	"theeye/internal/envelope"
)

// fickle is a server whose leases end and whose answers are cut off.
type fickle struct {
	leases int
	served []string // names of files that were sent completely
	cut    map[string]int
	gone   map[string]bool // a lease and a name: requesting it ends the lease
	wrong  string          // a name whose content is wrong
	// preparing is how often it says that a backup is being prepared.
	preparing int
	frames    string // a name that is listed as frames
	timeline  string // of the manifest
	flushed   int    // of the manifest
}

func (s *fickle) contents() map[string]string {
	manifest := envelope.Seal(3, "manifest", fmt.Appendf(nil, `{"timeline":%q,"flushed":%d}`, s.timeline, s.flushed))
	return map[string]string{"a": strings.Repeat("a", 5000), "b": "b" + s.timeline, "metadata.json": "{}", "MANIFEST.json": string(manifest)}
}

func (s *fickle) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, ok := strings.CutPrefix(r.URL.Path, "/v1/backup/files/")
	if !ok && s.preparing > 0 {
		s.preparing--
		w.Header().Set("Retry-After", "1")
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = fmt.Fprintf(w, `{"detail":"step %d"}`, s.preparing/10)
		return
	}
	if !ok {
		s.leases++
		x := backup.Index{Version: 1, TakenAt: time.Unix(0, 0).UTC(), Lease: fmt.Sprint(s.leases)}
		for name, kind := range map[string]backup.Kind{"a": backup.Segment, "b": backup.Segment, "metadata.json": backup.Metadata, "MANIFEST.json": backup.Manifest} {
			if name == s.frames {
				kind = backup.Frames
			}
			sum := sha256.Sum256([]byte(s.contents()[name]))
			x.Files = append(x.Files, backup.File{Kind: kind, Name: name, Bytes: int64(len(s.contents()[name])), SHA256: hex.EncodeToString(sum[:])})
		}
		slices.SortFunc(x.Files, func(a, b backup.File) int { return -strings.Compare(a.Name, b.Name) })
		_ = json.MarshalWrite(w, x)
		return
	}
	content := s.contents()[name]
	switch {
	case s.gone[r.URL.Query().Get("lease")+name]:
		w.WriteHeader(http.StatusGone)
	case s.cut[name] > 0:
		s.cut[name]--
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		_, _ = io.WriteString(w, content[:len(content)/2])
	case s.wrong == name:
		_, _ = io.WriteString(w, strings.Repeat("x", len(content)))
	default:
		s.served = append(s.served, name)
		_, _ = io.WriteString(w, content)
	}
}

func (s *fickle) backup(t *testing.T, dir string, flags ...func(*backupFlags)) (string, error) {
	t.Helper()
	server := httptest.NewServer(s)
	defer server.Close()
	var out, errOut bytes.Buffer
	f := &backupFlags{
		clientFlags: newClientFlags(&cobra.Command{}, stdio{nil, &out, &errOut}),
		pause:       func(context.Context, time.Duration) error { return nil },
	}
	if err := f.cmd.PersistentFlags().Set("url", server.URL); err != nil {
		t.Fatal(err)
	}
	for _, set := range flags {
		set(f)
	}
	err := f.run(t.Context(), dir)
	return out.String() + errOut.String(), err
}

func TestBackupGoesOnAfterFaults(t *testing.T) {
	s := &fickle{cut: map[string]int{"a": 2, "MANIFEST.json": 1}, gone: map[string]bool{"1a": true, "2metadata.json": true}}
	dir := filepath.Join(t.TempDir(), "b")
	out, err := s.backup(t, dir)
	if err != nil || s.leases != 2 || strings.Count(out, "starting again") != 1 {
		t.Fatalf("%d leases, %v:\n%s", s.leases, err, out)
	}
	slices.Sort(s.served)
	if want := []string{"MANIFEST.json", "a", "b", "metadata.json"}; !slices.Equal(s.served, want) {
		t.Errorf("copied %v, want each once", s.served)
	}
	if _, faults, err := backup.Verify(dir, nil); err != nil || faults != nil {
		t.Errorf("%v, %v", faults, err)
	}
}

// filesOf returns the names of what a backup's folder keeps.
func filesOf(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "files"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// A backup that is refused leaves the folder as it was.
func TestRefusedBackupLeavesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "b")
	if _, err := (&fickle{frames: "b", timeline: "one"}).backup(t, dir); err != nil {
		t.Fatal(err)
	}
	before := filesOf(t, dir)
	if _, err := (&fickle{frames: "b", timeline: "two"}).backup(t, dir); err == nil || !strings.Contains(err.Error(), "belongs to another data directory") {
		t.Fatalf("it ended with %v", err)
	}
	if after := filesOf(t, dir); !slices.Equal(before, after) {
		t.Errorf("there are %v, there were %v", after, before)
	}
}

// A file of a finished backup can be extracted even if an interrupted backup left a file of the
// same name. Nothing is overwritten.
func TestExtract(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "b")
	first := &fickle{timeline: "one"}
	if _, err := first.backup(t, dir); err != nil {
		t.Fatal(err)
	}
	later := &fickle{timeline: "one", flushed: 1, gone: map[string]bool{}}
	if err := os.Remove(filepath.Join(dir, "files", filesOf(t, dir)[1])); err != nil { // a, which must then be copied again
		t.Fatal(err)
	}
	for lease := range backupTries {
		later.gone[fmt.Sprint(lease+1)+"a"] = true
	}
	if _, err := later.backup(t, dir); err == nil {
		t.Fatal("it was not interrupted")
	}
	if both, err := filepath.Glob(filepath.Join(dir, "files", "MANIFEST.json.*")); err != nil || len(both) != 2 {
		t.Fatalf("there are %v, %v", both, err)
	}
	to := filepath.Join(t.TempDir(), "MANIFEST.json")
	extract := func(name, to string) (string, error) {
		var out bytes.Buffer
		cmd := newBackupCommand(stdio{out: &out, err: &out})
		cmd.SetArgs([]string{"extract", dir, name, to})
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		return out.String(), cmd.ExecuteContext(t.Context())
	}
	if out, err := extract("MANIFEST.json", to); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, err := os.ReadFile(to); err != nil || string(got) != first.contents()["MANIFEST.json"] {
		t.Errorf("it gave %q, %v", got, err)
	}
	if _, err := extract("metadata.json", to); err == nil || !strings.Contains(err.Error(), to+" is there already") {
		t.Errorf("over another file: %v", err)
	}
	if _, err := extract("c", to+"2"); err == nil || !strings.Contains(err.Error(), `has no file "c"`) {
		t.Errorf("of a name that it does not have: %v", err)
	}
	damaged, err := filepath.Glob(filepath.Join(dir, "files", "b.*"))
	if err != nil || len(damaged) != 1 {
		t.Fatalf("%v, %v", damaged, err)
	}
	if err := os.WriteFile(damaged[0], []byte("oops"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := extract("b", to+"2"); !errors.Is(err, backup.ErrContent) {
		t.Errorf("of a damaged file: %v", err)
	}
	if _, err := os.Stat(to + "2"); err == nil {
		t.Error("a file was left")
	}
}

// A file whose bytes have changed on the disk keeps its size. With --verify it is reported and
// copied again, and no other file is.
func TestBackupVerifiesWhatItKeeps(t *testing.T) {
	s := &fickle{}
	dir := filepath.Join(t.TempDir(), "b")
	if _, err := s.backup(t, dir); err != nil {
		t.Fatal(err)
	}
	kept, err := filepath.Glob(filepath.Join(dir, "files", "a.*"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("%v, %v", kept, err)
	}
	if err := os.WriteFile(kept[0], bytes.Repeat([]byte("b"), 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "files", "torn.tmp"), []byte("to"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.served = nil
	out, err := s.backup(t, dir, func(f *backupFlags) { f.verify, f.json = true, true })
	if err != nil || !strings.Contains(out, filepath.Base(kept[0])+" has changed since it was copied") || !strings.Contains(out, `"rotten_files":1`) {
		t.Errorf("%v:\n%s", err, out)
	}
	if want := []string{"a"}; !slices.Equal(s.served, want) {
		t.Errorf("copied %v, want %v", s.served, want)
	}
	if _, faults, err := backup.Verify(dir, nil); err != nil || faults != nil {
		t.Errorf("%v, %v", faults, err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "files")); err != nil || len(left) != 4 {
		t.Errorf("left are %v, %v", left, err)
	}
}

// A backup waits for its server to prepare it, however often it must ask, and reports each step
// once. Frames are fetched first, wherever they are in the list.
func TestBackupWaits(t *testing.T) {
	s := &fickle{preparing: 25, frames: "b"}
	out, err := s.backup(t, filepath.Join(t.TempDir(), "b"))
	if err != nil || s.leases != 1 {
		t.Fatalf("%d leases, %v", s.leases, err)
	}
	if want := "eye: step 2\neye: step 1\neye: step 0\n"; !strings.HasSuffix(out, want) {
		t.Errorf("it said %q", out)
	}
	if s.served[0] != "b" {
		t.Errorf("copied %v", s.served)
	}
	s.preparing = 1_000_000
	if _, err := s.backup(t, filepath.Join(t.TempDir(), "b")); err == nil || !strings.Contains(err.Error(), "step 99") {
		t.Errorf("of a server that is never ready: %v", err)
	}
}

func TestBackupGivesUp(t *testing.T) {
	for name, c := range map[string]struct {
		server fickle
		want   string
	}{
		"lease that always ends": {fickle{gone: map[string]bool{"1a": true, "2a": true, "3a": true, "4a": true, "5a": true}}, "410 Gone"},
		"server that breaks off": {fickle{cut: map[string]int{"a": 1000}}, "no answer from"},
		"damaged file":           {fickle{wrong: "a"}, "the content is not what the index says: its checksum does not match; run `eye store verify`"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "b")
			if _, err := c.server.backup(t, dir); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
			if _, err := backup.ReadIndex(dir); err == nil {
				t.Error("taken for a whole backup")
			}
		})
	}
}

func TestSizeText(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536 << 10: "1.5 MiB", 3 << 30: "3.0 GiB", 5 << 50: "5120.0 TiB"} {
		if got := sizeText(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

// A server that does not answer is reported immediately, and what was created for the backup is
// removed.
func TestBackupOfADeadServer(t *testing.T) {
	var out, errOut bytes.Buffer
	told := ""
	f := &backupFlags{
		clientFlags: newClientFlags(&cobra.Command{}, stdio{nil, &out, &errOut}),
		pause: func(context.Context, time.Duration) error {
			if told == "" {
				told = errOut.String()
			}
			return nil
		},
	}
	data := t.TempDir()
	if err := f.cmd.PersistentFlags().Set("data", data); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "backup")
	if err := f.run(t.Context(), dir); err == nil {
		t.Error("a backup without a server")
	}
	if !strings.Contains(told, "no server is running on "+data) || !strings.HasSuffix(told, "; trying again\n") {
		t.Errorf("before the first pause it says %q", told)
	}
	if n := strings.Count(errOut.String(), "\n"); n != 1 {
		t.Errorf("%d lines:\n%s", n, errOut.String())
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder is left: %v", err)
	}
}
