package test

import (
	"bytes"
	"errors"
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
	t.Parallel()
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
	t.Parallel()
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
		t.Error("the acknowledgement is not in the audit log")
	}
}

// The way to an empty store says what that leaves out. What it leaves out cannot be taken back, and
// readmit says so.
func TestRecoverEmptyTellsWhatItLeavesOut(t *testing.T) {
	t.Parallel()
	s := twoSegments(t)
	if err := os.Remove(filepath.Join(s.data, "store", "MANIFEST.json")); err != nil {
		t.Fatal(err)
	}
	out := s.beside(0, "store", "recover", "--empty")
	for _, want := range []string{"comes back      0 segments, 0 events", "left out        2 segments, 200 events", filepath.Join(s.data, "store", "MANIFEST.json.1")} {
		if !strings.Contains(out, want) {
			t.Errorf("want %s; it says %s", want, out)
		}
	}
	s.beside(0, "store", "recover", "--empty", "--yes")
	s.launch()
	if out := s.beside(0, "store", "readmit"); !strings.Contains(out, "no segment is damaged\nnot used        4 files in store/quarantine") {
		t.Errorf("it says %s", out)
	}
}

// Without its tombstones a store is refused, with the way out and what that costs.
func TestForgottenTombstones(t *testing.T) {
	t.Parallel()
	for _, missing := range []bool{false, true} {
		t.Run(map[bool]string{false: "damaged", true: "missing"}[missing], func(t *testing.T) {
			s := start(t)
			s.post(numbered(0, 50))
			s.must(s.call("DELETE", "/v1/sessions/nobody", s.admin, ""), 200)
			s.shutDown()
			file := filepath.Join(s.data, "tombstones")
			if missing {
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
			} else {
				flipBit(t, file, 30)
			}
			if s.launched() {
				t.Fatal("the server started")
			}
			want := "`eye store recover --forget-tombstones --data " + s.data + "`"
			if out := s.output.String(); !strings.Contains(out, want) || !strings.Contains(out, "can then come back") {
				t.Errorf("want %s; it says %s", want, out)
			}
			if out := s.beside(1, "store", "recover"); !strings.Contains(out, want) {
				t.Errorf("want %s; it says %s", want, out)
			}
			out := s.beside(0, "store", "recover", "--forget-tombstones", "--yes")
			if !strings.Contains(out, "FORGOTTEN") || !strings.Contains(out, "WARNING") {
				t.Errorf("it says %s", out)
			}
			s.launch()
			s.sums(50, 50, 0)
			s.must(s.call("DELETE", "/v1/sessions/nobody", s.admin, ""), 200)
		})
	}
}

// threeErasures is a server that has ended after three erasures and a backup that has the first
// two. The events that were erased are sent again by again.
func threeErasures(t *testing.T, dir string) (s *server, again func(*server)) {
	t.Helper()
	s = start(t)
	s.post(numbered(0, 50))
	for n, session := range []string{"a", "b", "c"} {
		s.post(inSession(session))
		s.must(s.call("DELETE", "/v1/sessions/"+session, s.admin, ""), 200)
		if n == 1 {
			s.backup(dir)
		}
	}
	s.shutDown()
	return s, func(s *server) { // with other ids: those that were erased stay so, whatever is known of the erasure
		for _, session := range []string{"a", "b", "c"} {
			s.post(strings.Replace(inSession(session), `"id":"`, `"id":"again `, 1))
		}
	}
}

func inSession(session string) string {
	return `{"id":"` + session + `","session_id":"` + session + `","category":"c","name":"n","data":{},"timestamp":"2021-01-01T00:00:00Z"}`
}

// stays checks which sessions the erasures cover.
func (s *server) stays(erased map[string]bool) {
	s.t.Helper()
	for _, session := range []string{"a", "b", "c"} {
		want := map[bool]int{true: 404, false: 200}[erased[session]]
		if a := s.call("GET", "/v1/sessions/"+session, s.read, ""); a.status != want {
			s.t.Errorf("session %s: %d, want %d", session, a.status, want)
		}
	}
}

// damageLine changes the line of a file of tombstones that begins the nth erasure, 0 for the key.
func damageLine(t *testing.T, file string, n int) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for range n {
		at += bytes.Index(b[at+1:], []byte(`{"begun"`)) + 1
	}
	flipBit(t, file, int64(at)+20)
}

// What is whole of a damaged file of tombstones goes on to hold, alone and with the copy of a
// backup that is older. What is missing is told before.
func TestKeptTombstones(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "backup")
	built, again := threeErasures(t, dir)
	copies, err := filepath.Glob(filepath.Join(dir, "files", "tombstones.*"))
	if err != nil || len(copies) != 1 {
		t.Fatalf("%v, %v", copies, err)
	}
	for name, c := range map[string]struct {
		damage func(file string)
		args   []string
		says   string
		erased map[string]bool
	}{
		"a damaged line": {
			func(file string) { damageLine(t, file, 1) }, nil,
			"2 erasures, applied again; 1 OF 7 lines MISSING", map[string]bool{"b": true, "c": true},
		},
		"a damaged line, with a copy": {
			func(file string) { damageLine(t, file, 1) }, []string{"--tombstones", copies[0]},
			"3 erasures, applied again; no line is missing", map[string]bool{"a": true, "b": true, "c": true},
		},
		"a damaged key, with a copy": {
			func(file string) { damageLine(t, file, 0) }, []string{"--tombstones", copies[0]},
			"3 erasures, applied again; no line is missing", map[string]bool{"a": true, "b": true, "c": true},
		},
		"a missing file, with a copy": {
			func(file string) { _ = os.Remove(file) }, []string{"--tombstones", copies[0]},
			"2 erasures, applied again; 2 OF 7 lines MISSING", map[string]bool{"a": true, "b": true},
		},
		"the copy in its place": {
			func(file string) {
				b, err := os.ReadFile(copies[0])
				if err == nil {
					err = os.WriteFile(file, b, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}, nil, "2 erasures, applied again; 2 OF 7 lines MISSING", map[string]bool{"a": true, "b": true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &server{t: t, data: filepath.Join(t.TempDir(), "data"), args: built.args, write: built.write, read: built.read, admin: built.admin}
			copyDir(t, built.data, s.data)
			c.damage(filepath.Join(s.data, "tombstones"))
			if s.launched() {
				t.Fatal("the server started")
			}
			out := s.output.String()
			keep, forget := strings.Index(out, "`eye store recover --keep-tombstones --data "), strings.Index(out, "`eye store recover --forget-tombstones --data ")
			if keep < 0 || forget < keep {
				t.Errorf("it says %s", out)
			}
			args := append([]string{"store", "recover", "--keep-tombstones"}, c.args...)
			if out := s.beside(0, args...); !strings.Contains(out, c.says) || !strings.Contains(out, "nothing was changed") {
				t.Errorf("it says %s", out)
			}
			if s.launched() {
				t.Fatal("the server started")
			}
			s.beside(0, append(args, "--yes")...)
			s.launch()
			again(s)
			s.stays(c.erased)
			if files, err := filepath.Glob(filepath.Join(s.data, "store", "quarantine", "tombstones")); err != nil || name != "a missing file, with a copy" && len(files) != 1 {
				t.Errorf("in quarantine: %v, %v", files, err)
			}
		})
	}
}

// A recovery that is killed in the middle is done again.
func TestRecoveryIsKilled(t *testing.T) {
	t.Parallel()
	built, again := threeErasures(t, filepath.Join(t.TempDir(), "backup"))
	for _, way := range []string{"--forget-tombstones", "--keep-tombstones"} {
		for _, step := range []string{"segments moved", "manifest kept", "tombstones kept", "tombstones moved"} {
			t.Run(way+" "+step, func(t *testing.T) {
				s := &server{t: t, data: filepath.Join(t.TempDir(), "data"), args: built.args, write: built.write, read: built.read, admin: built.admin}
				copyDir(t, built.data, s.data)
				damageLine(t, filepath.Join(s.data, "tombstones"), 1)
				args := []string{"store", "recover", way, "--yes", "--data", s.data}
				if code, out := runProgram(t, binary(t, "eyefault"), []string{"EYE_FAULT_KILL=recovery " + step + ":1"}, args...); code != -1 {
					t.Fatalf("it ended with %d: %s", code, out)
				}
				if s.launched() {
					t.Fatal("the server started")
				}
				if out := s.output.String(); !strings.Contains(out, "`eye store recover "+way+" --data ") {
					t.Errorf("it says %s", out)
				}
				s.beside(0, "store", "recover", way, "--yes")
				s.launch()
				again(s)
				kept := way == "--keep-tombstones"
				s.stays(map[string]bool{"b": kept, "c": kept})
			})
		}
	}
}

// A damaged segment is a reason of /readyz that names the next step, until it is acknowledged; it
// stays lost in the books, and is known to be damaged.
func TestDamagedSegmentIsAcknowledged(t *testing.T) {
	t.Parallel()
	s := twoSegments(t)
	for _, name := range []string{s.segments()[0], filepath.Join(s.data, "queue")} {
		if err := os.RemoveAll(name); err != nil {
			t.Fatal(err)
		}
	}
	s.launch()
	s.eventually("readyz to name the next steps", func() bool {
		got := s.reasons()
		return strings.Contains(got, "`eye store readmit`") && strings.Contains(got, "`eye store acknowledge`")
	})
	if out := s.beside(0, "health"); !strings.Contains(out, "`eye store readmit --data "+s.data+"`") {
		t.Errorf("eye health says %s", out)
	}
	if out := s.beside(0, "store", "acknowledge"); !strings.Contains(out, "segment seg-00000001.duckdb is damaged") || strings.Contains(out, "eye store") {
		t.Errorf("it says %s", out)
	}
	if got := s.reasons(); got != "[]" { // at once
		t.Errorf("after that readyz tells %s", got)
	}
	s.kill()
	s.launch()
	if got := s.reasons(); got != "[]" {
		t.Errorf("after a kill readyz tells %s", got)
	}
	s.sums(200, 100, 100)
	if out := s.beside(1, "store", "readmit"); !strings.Contains(out, "still damaged   segment seg-00000001.duckdb is damaged (its file is neither in store/segments nor in store/quarantine): 100 events") {
		t.Errorf("it says %s", out)
	}
}

// A file of a segment that nothing names is quarantined by an erasure, which reports it, and goes
// when that is asked for.
func TestErasureTellsOfStrays(t *testing.T) {
	t.Parallel()
	s := twoSegments(t)
	s.launch()
	stray := filepath.Join(s.data, "store", "segments", "seg-00000777.duckdb")
	put := func() {
		if err := os.WriteFile(stray, []byte("stray"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put()
	a := s.call("DELETE", "/v1/sessions/nobody", s.admin, "")
	s.must(a, 200)
	if !strings.Contains(string(a.body), `"unsearched":[{"where":"store/quarantine","files":1,"bytes":5}]`) {
		t.Errorf("the report says %s", a.body)
	}
	put()
	if out := s.beside(0, "erase", "--session", "other", "--quarantine", "--yes"); strings.Contains(out, "not searched") {
		t.Errorf("it says %s", out)
	}
	for _, dir := range []string{"segments", "quarantine"} {
		if left, err := filepath.Glob(filepath.Join(s.data, "store", dir, "seg-00000777*")); err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	}
	s.sums(200, 200, 0)
	s.counts(200)
}

// A segment's file that is put back is taken back, beside a server and without one.
func TestReadmit(t *testing.T) {
	t.Parallel()
	for name, where := range map[string]struct {
		beside bool
		folder string
	}{
		"without a server": {false, "segments"}, "beside a server": {true, "quarantine"}, "beside a server, in its place": {true, "segments"},
	} {
		t.Run(name, func(t *testing.T) {
			beside := where.beside
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
			if out := s.beside(1, "store", "verify"); !strings.Contains(out, "are not available; an intact copy of the file in store/quarantine and `eye store readmit --data ") || strings.Contains(out, "accounted for") {
				t.Errorf("eye store verify says %s", out)
			}
			back := filepath.Join(s.data, "store", where.folder, filepath.Base(file))
			if !beside {
				s.shutDown()
			}
			if err := os.MkdirAll(filepath.Dir(back), 0o700); err != nil {
				t.Fatal(err)
			}
			wrong := filepath.Join(s.data, "store", "quarantine", filepath.Base(file)+".2")
			if err := errors.Join(os.MkdirAll(filepath.Dir(wrong), 0o700), os.WriteFile(wrong, []byte("another"), 0o600)); err != nil {
				t.Fatal(err)
			}
			want := "still damaged   segment seg-00000001.duckdb is damaged (store/quarantine/seg-00000001.duckdb.2: it has 7 bytes instead of "
			if out := s.beside(1, "store", "readmit"); !strings.Contains(out, want) {
				t.Errorf("of another file it says %s", out)
			}
			if err := os.Rename(away, back); err != nil {
				t.Fatal(err)
			}
			if out := s.beside(0, "store", "readmit"); !strings.Contains(out, "readmitted      seg-00000001.duckdb: 100 events") {
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

// A store that is lost is told as such by the commands that look into it, and a start that refuses
// makes no folder in its place.
func TestLostStoreIsNotSound(t *testing.T) {
	t.Parallel()
	s := twoSegments(t)
	s.launch()
	s.must(s.call("DELETE", "/v1/sessions/nobody", s.admin, ""), 200) // trims the queue
	s.shutDown()
	dir, away := filepath.Join(s.data, "store"), filepath.Join(s.data, "away")
	manifest := filepath.Join(dir, "MANIFEST.json")
	if err := os.Rename(manifest, away); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"segments", "verify", "compact"} {
		if out := s.beside(1, "store", command); !strings.Contains(out, "no MANIFEST.json") || !strings.Contains(out, "`eye store recover --data ") {
			t.Errorf("eye store %s says %s", command, out)
		}
	}
	if err := errors.Join(os.Rename(away, manifest), os.Rename(dir, away)); err != nil {
		t.Fatal(err)
	}
	if s.launched() {
		t.Fatal("the server started")
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the start that was refused made the folder")
	}
	if out := s.beside(0, "store", "recover", "--empty"); !strings.Contains(out, "left out        whatever the store held") {
		t.Errorf("eye store recover --empty says %s", out)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"segments", "verify", "compact", "readmit"} {
		if out := s.beside(1, "store", command); !strings.Contains(out, "has no MANIFEST.json") {
			t.Errorf("of an empty folder eye store %s says %s", command, out)
		}
	}
	if err := errors.Join(os.Remove(dir), os.Rename(away, dir)); err != nil {
		t.Fatal(err)
	}
	if out := s.beside(1, "store", "recover", "--empty"); !strings.Contains(out, "nothing to recover") {
		t.Errorf("of a whole store eye store recover --empty says %s", out)
	}
	s.launch()
	s.counts(200)
}

// Without any manifest the preview does not say that nothing is missing.
func TestRecoverEmptyWithoutAnyManifest(t *testing.T) {
	t.Parallel()
	s := twoSegments(t)
	for _, name := range []string{"MANIFEST.json", "MANIFEST.json.1"} {
		if err := os.Remove(filepath.Join(s.data, "store", name)); err != nil {
			t.Fatal(err)
		}
	}
	out := s.beside(0, "store", "recover", "--empty")
	if !strings.Contains(out, "left out        4 files of segments") || strings.Contains(out, "missing") {
		t.Errorf("it says %s", out)
	}
}

// A data directory that is not there is not made.
func TestRecoverMakesNoDataDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "typo")
	code, out := runEye(t, nil, "store", "recover", "--data", dir)
	if _, err := os.Stat(dir); code != 1 || err == nil || !strings.Contains(out, "does not exist") {
		t.Errorf("%d, %v: %s", code, err, out)
	}
}

// Damage beside a running server: verify names the next step, and that finds it.
func TestDamageBesideAServer(t *testing.T) {
	t.Parallel()
	s := twoSegments(t)
	if err := os.RemoveAll(filepath.Join(s.data, "queue")); err != nil { // it is not rebuilt
		t.Fatal(err)
	}
	s.launch()
	for _, dir := range []string{"store", "queue"} {
		if info, err := os.Stat(filepath.Join(s.data, dir, "quarantine")); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("quarantine: %v, %v", info, err)
		}
	}
	file := s.segments()[0]
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	flipBit(t, file, info.Size()/2)
	if out := s.beside(1, "store", "verify"); !strings.Contains(out, "`eye store readmit --data ") {
		t.Errorf("eye store verify says %s", out)
	}
	if out := s.beside(1, "store", "readmit"); !strings.Contains(out, "still damaged   segment seg-00000001.duckdb") {
		t.Errorf("eye store readmit says %s", out)
	}
	s.sums(200, 100, 100)
	if out := s.beside(0, "store", "segments"); !strings.Contains(out, "segment seg-00000001.duckdb is damaged") {
		t.Errorf("eye store segments says %s", out)
	}
}

// The manifest of a backup does for one that is lost without its copy, as far as the queue still
// holds what came since.
func TestManifestOfABackup(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.post(numbered(0, 100))
	s.shutDown()
	s.launch()
	dir := filepath.Join(t.TempDir(), "backup")
	s.beside(0, "backup", dir)
	s.post(numbered(100, 150))
	s.shutDown()
	kept, err := filepath.Glob(filepath.Join(dir, "files", "MANIFEST.json.*"))
	if err != nil || len(kept) != 1 {
		t.Fatal(kept, err)
	}
	manifest := filepath.Join(s.data, "store", "MANIFEST.json")
	b, err := os.ReadFile(kept[0])
	if err := errors.Join(err, os.Remove(manifest+".1"), os.WriteFile(manifest, b, 0o600)); err != nil {
		t.Fatal(err)
	}
	s.launch()
	s.sums(150, 150, 0)
	s.counts(150)
}
