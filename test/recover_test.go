package test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// beside runs a command on the data directory, which must end with a code.
func (s *server) beside(want int, args ...string) string {
	s.t.Helper()
	code, out := runEye(s.t, nil, append(args, "--data", s.data)...)
	if code != want {
		s.t.Fatalf("eye %s ended with %d, want %d: %s", strings.Join(args, " "), code, want, out)
	}
	return out
}

// A store whose manifest is damaged comes back from its copy, and what that does not know
// from the queue; erasures since are applied, and nothing is deleted.
func TestRecover(t *testing.T) {
	for _, missing := range []bool{false, true} {
		t.Run(map[bool]string{false: "damaged", true: "missing"}[missing], func(t *testing.T) {
			s := start(t)
			s.post(numbered(0, 100))
			s.shutDown()
			s.launch()
			s.post(numbered(100, 150))
			s.post(about(mary, "2021-01-01T00:00:00Z", 1))
			s.shutDown()
			if out := s.beside(1, "store", "recover"); !strings.Contains(out, "nothing to recover") {
				t.Errorf("of a whole store it says %s", out)
			}
			manifest := filepath.Join(s.data, "store", "MANIFEST.json")
			if missing {
				if err := os.Remove(manifest); err != nil {
					t.Fatal(err)
				}
			} else {
				flipBit(t, manifest, 200)
			}
			if s.launched() {
				t.Fatal("the server started")
			}
			before := listed(t, s.data)
			out := s.beside(0, "store", "recover")
			if !strings.Contains(out, "comes back      2 segments, 151 events") || !strings.Contains(out, "nothing was changed") {
				t.Errorf("it says %s", out)
			}
			if after := listed(t, s.data); before != after {
				t.Errorf("looking changed files:\n%s\n%s", before, after)
			}
			s.beside(0, "store", "recover", "--yes")
			s.launch()
			s.sums(151, 151, 0)
			s.counts(151)
		})
	}
}

// listed names the files of a data directory that matter.
func listed(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	for _, name := range fileNames(t, dir) {
		if filepath.Base(name) != "lock" {
			b.WriteString(name + "\n")
		}
	}
	return b.String()
}

// With nothing to come back from, an empty store takes what the queue holds; the rest is lost, and
// told until it is acknowledged.
func TestRecoverEmpty(t *testing.T) {
	s := start(t)
	s.post(numbered(0, 60))
	s.must(s.call("DELETE", "/v1/sessions/nobody", s.admin, ""), 200) // trims the queue
	s.post(numbered(60, 100))
	s.shutDown()
	if err := os.RemoveAll(filepath.Join(s.data, "store")); err != nil {
		t.Fatal(err)
	}
	if s.launched() {
		t.Fatal("the server started")
	}
	if out := s.beside(1, "store", "recover"); !strings.Contains(out, "--empty") {
		t.Errorf("it says %s", out)
	}
	s.beside(0, "store", "recover", "--empty", "--yes")
	s.launch()
	a := s.account()
	if a["received"] != 100.0 || a["lost"].(float64)+a["stored"].(float64) != 100 || a["lost"] == 0.0 || a["balanced"] != true {
		t.Errorf("the books say %v", a)
	}
	s.eventually("readyz to tell of the loss", func() bool { return strings.Contains(s.reasons(), "are lost") })
	s.must(s.call("POST", "/v1/store/acknowledge", s.read, ""), 403)
	if out := s.beside(0, "store", "acknowledge"); !strings.Contains(out, "acknowledged events") {
		t.Errorf("it says %s", out)
	}
	s.eventually("readyz to tell nothing", func() bool { return s.reasons() == "[]" }) // it may be a second old
	if got := s.account(); got["lost"] != a["lost"] {
		t.Errorf("the books say %v", got)
	}
	s.kill()
	s.launch()
	if s.reasons() != "[]" {
		t.Errorf("after a kill readyz tells %s", s.reasons())
	}
	if b := s.call("GET", "/v1/audit", s.admin, "").body; !bytes.Contains(b, []byte("acknowledgeLosses")) {
		t.Error("the acknowledgement is not in the audit trail")
	}
}

// A segment's file that is put back is taken back, beside a server and without one.
func TestReadmit(t *testing.T) {
	for _, beside := range []bool{false, true} {
		t.Run(map[bool]string{false: "without a server", true: "beside a server"}[beside], func(t *testing.T) {
			s := twoSegments(t)
			file, away := s.segments()[0], filepath.Join(t.TempDir(), "away")
			if err := os.Rename(file, away); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(filepath.Join(s.data, "queue")); err != nil { // it is not rebuilt
				t.Fatal(err)
			}
			s.launch()
			s.sums(200, 100, 100)
			if out := s.beside(1, "store", "verify"); !strings.Contains(out, "is damaged (its file is missing): 100 events") || strings.Contains(out, "accounted for") {
				t.Errorf("eye store verify says %s", out)
			}
			back := filepath.Join(s.data, "store", "quarantine", filepath.Base(file))
			if !beside {
				s.shutDown()
				back = file
			}
			if err := os.MkdirAll(filepath.Dir(back), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(away, back); err != nil {
				t.Fatal(err)
			}
			if out := s.beside(0, "store", "readmit"); !strings.Contains(out, "taken back      seg-00000001.duckdb: 100 events") {
				t.Errorf("it says %s", out)
			}
			if !beside {
				s.launch()
			}
			s.sums(200, 200, 0)
			s.counts(200)
		})
	}
}
