package test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// backupSummary is what `eye backup --json` prints.
type backupSummary struct {
	Files       int   `json:"files"`
	CopiedFiles int   `json:"copied_files"`
	Bytes       int64 `json:"bytes"`
	CopiedBytes int64 `json:"copied_bytes"`
}

func (s *server) backup(dir string) (b backupSummary) {
	s.t.Helper()
	code, out := runEye(s.t, nil, "backup", dir, "--data", s.data, "--json")
	if err := json.Unmarshal([]byte(out[strings.LastIndex(out, "\n{")+1:]), &b); code != 0 || err != nil {
		s.t.Fatalf("backup ended with %d, %v:\n%s", code, err, out)
	}
	return b
}

// restored runs a server on what a backup restores to, with the given flags; keys are those of s.
func (s *server) restored(dir string, flags ...string) *server {
	s.t.Helper()
	data := filepath.Join(s.t.TempDir(), "new")
	if code, out := runEye(s.t, nil, append([]string{"restore", dir, "--data", data}, flags...)...); code != 0 {
		s.t.Fatalf("restore ended with %d:\n%s", code, out)
	}
	r := &server{t: s.t, data: data, args: s.args, write: s.write, read: s.read}
	r.launch()
	if r.admin == s.admin {
		s.t.Error("the admin key of the backed-up server was restored")
	}
	return r
}

// kept checks what a server restored from a backup has: all that was acknowledged
// before it began, exactly once, and of each sender a beginning of what it sent.
func (l *ledger) kept(t *testing.T, before map[uuid.UUID]bool, sent [][]batch) (events int) {
	t.Helper()
	lost, repeated := 0, 0
	for id, e := range l.entries {
		if found := e.stored + e.rejected; found > 1 {
			repeated++
		} else if found == 0 && before[id] {
			lost++
		}
		events += e.stored + e.rejected
	}
	if lost > 0 || repeated > 0 {
		t.Errorf("of %d events that were acknowledged before the backup %d are lost; %d are there more than once", len(before), lost, repeated)
	}
	for sender, batches := range sent {
		missing := false
		for i, b := range batches {
			there := 0
			for _, id := range b.ids {
				there += l.entries[id].stored + l.entries[id].rejected
			}
			if there != 0 && (there != len(b.ids) || missing) {
				t.Errorf("sender %d: of batch %d %d of %d events are there, and one before it was missing: %v", sender, i, there, len(b.ids), missing)
			}
			missing = there == 0
		}
	}
	return events
}

func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	s := start(t, "--flush-rows", "5000")
	l := &ledger{entries: map[uuid.UUID]*entry{}, pause: 100 * time.Millisecond}
	var stop atomic.Bool
	var wg sync.WaitGroup
	sent := make([][]batch, crashSenders)
	for sender := range crashSenders {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(7, uint64(sender)))
			for !stop.Load() {
				b := l.newBatch(r, sender)
				sent[sender] = append(sent[sender], b)
				if !l.send(s, b) {
					t.Error("a request failed")
					return
				}
				time.Sleep(l.pause)
			}
		})
	}
	acked := func() map[uuid.UUID]bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		ids := map[uuid.UUID]bool{}
		for id, e := range l.entries {
			if e.acked > 0 {
				ids[id] = true
			}
		}
		return ids
	}
	dir := filepath.Join(t.TempDir(), "backup")
	var befores []map[uuid.UUID]bool
	for i, until := range []int64{40_000, 80_000} {
		s.eventually("some load", func() bool { return l.acked.Load() > until })
		befores = append(befores, acked())
		began := l.acked.Load()
		b := s.backup(dir)
		t.Logf("backup %d: %+v, while %d events were acknowledged", i+1, b, l.acked.Load()-began)
		copyDir(t, dir, fmt.Sprint(dir, i+1))
		if fresh := newFiles(t, fmt.Sprint(dir, i), dir); b.CopiedFiles != fresh {
			t.Errorf("backup %d copied %d files, %d are new", i+1, b.CopiedFiles, fresh)
		}
	}
	s.eventually("more load", func() bool { return l.acked.Load() > 120_000 })
	stop.Store(true)
	wg.Wait()
	for i, before := range befores {
		for _, e := range l.entries {
			e.stored, e.rejected = 0, 0
		}
		from := fmt.Sprint(dir, i+1)
		if code, out := runEye(t, nil, "backup", "verify", from); code != 0 {
			t.Errorf("verify ended with %d:\n%s", code, out)
		}
		r := s.restored(from)
		l.find(r)
		n := l.kept(t, before, sent)
		t.Logf("backup %d: %d events restored, %d acknowledged before it began, %d in all", i+1, n, len(before), len(l.entries))
		a := r.call("GET", "/v1/books", r.read, "")
		if a.text("balanced") != "true" || !strings.Contains(string(a.body), fmt.Sprintf(`"received":%d,`, n)) {
			t.Errorf("the books of %d events: %s", n, a.body)
		}
		// It takes what was sent again, and goes on behind its frames.
		lost := sent[0][len(sent[0])-1]
		r.must(r.call("POST", "/v1/events?wait=stored", r.write, string(lost.body), "Content-Type", "application/x-ndjson"), 201)
		r.kill()
		if code, out := runEye(t, nil, "store", "verify", "--data", r.data); code != 0 {
			t.Errorf("store verify ended with %d:\n%s", code, out)
		}
	}
	s.noSecrets(dir)
}

func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// newFiles counts the files of a backup that are not in the one before.
func newFiles(t *testing.T, before, dir string) (n int) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "files"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, err := os.Stat(filepath.Join(before, "files", e.Name())); err != nil {
			n++
		}
	}
	return n
}

// noSecrets looks for the keys in all files of a folder.
func (s *server) noSecrets(dir string) {
	s.t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(name)
		for what, secret := range map[string]string{"admin": s.admin, "write": s.write, "read": s.read} {
			raw := []byte(secret)
			for _, form := range [][]byte{raw, raw[6:49], []byte(base64.StdEncoding.EncodeToString(raw)), []byte(hex.EncodeToString(raw))} {
				if bytes.Contains(b, form) {
					s.t.Errorf("%s holds the %s key", name, what)
				}
			}
		}
		return err
	})
	if err != nil || files < 4 {
		s.t.Errorf("%d files were looked at, %v", files, err)
	}
}

// fill sends events in small requests and waits for the last one.
func (s *server) fill(n int) {
	s.t.Helper()
	for range n {
		s.must(s.call("POST", "/v1/events?wait=stored", s.write, `[`+strings.TrimSuffix(strings.Repeat(
			`{"session_id":"s","category":"c","name":"n","data":{},"timestamp":"2021-01-01T00:00:00Z"},`, 50), ",")+`]`), 201)
	}
}

// flushed waits until the segments hold so many events, however they are merged.
func (s *server) flushed(events int64) {
	s.t.Helper()
	s.eventually("a flush", func() bool {
		var m struct {
			Segments []struct{ Rows struct{ Events int64 } }
		}
		code, out := runEye(s.t, nil, "store", "segments", "--data", s.data, "--json")
		if err := json.Unmarshal([]byte(out), &m, json.MatchCaseInsensitiveNames(true)); code != 0 || err != nil {
			s.t.Fatalf("store segments ended with %d, %v: %s", code, err, out)
		}
		n := int64(0)
		for _, x := range m.Segments {
			n += x.Rows.Events
		}
		return n >= events
	})
}

// A backup that is killed is no backup, and the next one copies only the rest.
func TestInterruptedBackupGoesOn(t *testing.T) {
	t.Parallel()
	s := start(t, "--flush-rows", "50")
	for n := range int64(3) {
		s.fill(1)
		s.flushed(50 * (n + 1))
	}
	target, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	// The proxy answers three files, and then nothing.
	var asked atomic.Int64
	stuck := make(chan struct{})
	proxy := httputil.NewSingleHostReverseProxy(target)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/backup/files/") && asked.Add(1) > 3 {
			close(stuck)
			<-r.Context().Done()
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	defer front.Close()
	dir := filepath.Join(t.TempDir(), "backup")
	cmd := exec.CommandContext(context.Background(), binary(t, ""), "backup", dir, "--url", front.URL, "--key", s.admin)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-stuck
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if code, out := runEye(t, nil, "backup", "verify", dir); code != 1 || !strings.Contains(out, "no complete backup") {
		t.Errorf("verify of half a backup ended with %d: %s", code, out)
	}
	b := s.backup(dir)
	if b.CopiedFiles != b.Files-3 {
		t.Errorf("%d of %d files were copied, 3 were there", b.CopiedFiles, b.Files)
	}
	if code, out := runEye(t, nil, "backup", "verify", dir); code != 0 {
		t.Errorf("verify ended with %d: %s", code, out)
	}

	// What the next backup copies is what is new.
	s.fill(1)
	s.flushed(200)
	if n := s.backup(dir); n.CopiedFiles > 5 || n.CopiedFiles == 0 {
		t.Errorf("%d files were copied after one flush", n.CopiedFiles)
	}
	names, err := filepath.Glob(filepath.Join(dir, "files", "seg-*"))
	if err != nil || len(names) < 4 {
		t.Fatal(names, err)
	}
	flip(t, names[0])
	_ = os.Remove(names[3])
	code, out := runEye(t, nil, "backup", "verify", dir)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != 1 || len(lines) != 3 || !strings.Contains(lines[1], filepath.Base(names[0])+" ") || !strings.HasSuffix(lines[2], filepath.Base(names[3])+" is missing") {
		t.Errorf("verify of damage ended with %d:\n%s", code, out)
	}
	advice := "`eye backup --verify " + dir + "`"
	if !strings.Contains(lines[0], advice) {
		t.Errorf("it does not advise %s:\n%s", advice, out)
	}
	to := filepath.Join(t.TempDir(), "new")
	if code, out := runEye(t, nil, "restore", dir, "--data", to); code != 1 || !strings.Contains(out, advice) || !strings.Contains(out, "remove "+to+" before you restore again") {
		t.Errorf("restore of damage ended with %d:\n%s", code, out)
	}
}

func flip(t *testing.T, name string) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// leased is a manifest of a backup.
type leased struct {
	Lease         string
	Flushed, Last uint64
	Files         []struct{ Kind, Name, SHA256 string }
}

// manifest begins a backup, and waits until that is prepared.
func (s *server) manifest() (x leased) {
	s.t.Helper()
	s.eventually("a backup to be prepared", func() bool {
		a := s.call("GET", "/v1/backup/manifest", s.admin, "")
		if a.status == 503 && a.header.Get("Retry-After") != "" {
			return false
		}
		s.must(a, 200)
		if err := json.Unmarshal(a.body, &x, json.MatchCaseInsensitiveNames(true)); err != nil {
			s.t.Fatal(err)
		}
		return true
	})
	return x
}

// manifestWithFrames begins backups under load until one has frames, which come
// between the flush and the answer.
func (s *server) manifestWithFrames() (x leased) {
	s.t.Helper()
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					s.must(s.call("POST", "/v1/events", s.write, fine), 202)
				}
			}
		})
	}
	s.eventually("a backup with frames", func() bool {
		x = s.manifest()
		return x.Files[0].Kind == "frames"
	})
	close(stop)
	load.Wait()
	return x
}

// flood sends and stores so many bytes, which cannot be compressed. Each request must
// be taken.
func (s *server) flood(bytes int) {
	s.t.Helper()
	noise := rand.NewChaCha8([32]byte{1})
	text := make([]byte, 45<<10)
	for sent := 0; sent < bytes; sent += 20 * len(text) {
		var body []string
		for range 20 {
			_, _ = noise.Read(text)
			body = append(body, fmt.Sprintf(`{"session_id":"s","category":"c","name":"n","data":{"x":"%s"},"timestamp":"2021-01-01T00:00:00Z"}`, base64.StdEncoding.EncodeToString(text)))
		}
		s.must(s.call("POST", "/v1/events?wait=stored", s.write, "["+strings.Join(body, ",")+"]"), 201)
		s.fill(2) // the rows that make a segment
	}
}

// A backup may take as long as it wants: the queue is held for its frames alone, and
// not when that would fill it. So intake goes on.
func TestSlowBackupDoesNotHoldUpIntake(t *testing.T) {
	t.Parallel()
	s := start(t, "--flush-rows", "100", "--queue-max-bytes", "16MiB")
	const twice = 32 << 20 // of the quota, as it comes
	s.fill(1)
	t.Run("that copies segments", func(t *testing.T) {
		s.t = t
		x := s.manifestWithFrames()
		for _, f := range x.Files { // frames, and then something else
			a := s.call("GET", "/v1/backup/files/"+f.Name+"?lease="+x.Lease, s.admin, "")
			s.must(a, 200)
			if sum := sha256.Sum256(a.body); hex.EncodeToString(sum[:]) != f.SHA256 {
				t.Errorf("%s has another content than the manifest says", f.Name)
			}
			if f.Kind != "frames" {
				break
			}
		}
		s.flood(twice)
		for _, f := range x.Files { // merged meanwhile, and still there
			want := 200
			if f.Kind == "frames" {
				want = 410
			}
			if a := s.call("GET", "/v1/backup/files/"+f.Name+"?lease="+x.Lease, s.admin, ""); a.status != want {
				t.Errorf("%s: %d, want %d: %s", f.Name, a.status, want, a.body)
			}
		}
	})
	t.Run("that copies nothing", func(t *testing.T) {
		s.t = t
		x := s.manifestWithFrames()
		s.flood(twice)
		for _, f := range x.Files {
			if a := s.call("GET", "/v1/backup/files/"+f.Name+"?lease="+x.Lease, s.admin, ""); a.status != 410 {
				t.Errorf("%s: %d of a lease that held the queue: %s", f.Name, a.status, a.body)
			}
		}
	})
	s.t = t
	s.eventually("the rest to be stored", func() bool { return fmt.Sprint(s.account()["pending"]) == "0" })
	if b := s.account(); b["balanced"] != true || fmt.Sprint(b["lost"]) != "0" {
		t.Errorf("the books say %v", b)
	}
}

// However small the frames are, and however many come meanwhile, what was
// acknowledged before a backup is in its segments.
func TestBackupUnderSmallFrames(t *testing.T) {
	t.Parallel()
	s := start(t)
	stop := make(chan struct{})
	var sent atomic.Int64
	var load sync.WaitGroup
	for range 8 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					s.must(s.call("POST", "/v1/events", s.write, fine), 202)
					sent.Add(1)
				}
			}
		})
	}
	s.eventually("some load", func() bool { return sent.Load() > 2000 })
	metric := func() (frames uint64) {
		a := s.call("GET", "/metrics", s.admin, "")
		_, rest, _ := strings.Cut(string(a.body), "\neye_queue_frames ")
		if _, err := fmt.Sscan(rest, &frames); err != nil {
			t.Fatal(err)
		}
		return frames
	}
	before, events := metric(), sent.Load()
	dir := filepath.Join(t.TempDir(), "backup")
	s.backup(dir)
	during := sent.Load() - events
	close(stop)
	load.Wait()
	var file struct {
		Backup leased `json:"backup"`
	}
	text, err := os.ReadFile(filepath.Join(dir, "backup.json"))
	if err == nil {
		err = json.Unmarshal(text, &file, json.MatchCaseInsensitiveNames(true))
	}
	x := file.Backup
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d frames before the backup, %d in segments, %d behind them; %d events during it", before, x.Flushed, x.Last-x.Flushed, during)
	if x.Flushed < before {
		t.Errorf("of %d frames that were there when the backup began, %d are in segments", before, x.Flushed)
	}
	if code, out := runEye(t, nil, "backup", "verify", dir); code != 0 {
		t.Errorf("verify ended with %d:\n%s", code, out)
	}
	r := s.restored(dir)
	if b := r.account(); b["received"].(float64) < float64(events) || b["balanced"] != true || fmt.Sprint(b["lost"]) != "0" {
		t.Errorf("%d events were acknowledged before the backup, and the books say %v", events, b)
	}
}

// Who may fetch what of a backup.
func TestFilesOfABackup(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.fill(1)
	x := s.manifest()
	path := "/v1/backup/files/" + x.Files[0].Name + "?lease="
	for _, c := range []struct {
		path, key string
		want      int
	}{
		{path + x.Lease, s.admin, 200},
		{path + x.Lease, s.read, 403},
		{path + x.Lease, "", 401},
		{"/v1/backup/manifest", s.write, 403},
		{path, s.admin, 400},
		{path + "other", s.admin, 410},
		{"/v1/backup/files/admin.key?lease=" + x.Lease, s.admin, 404},
		{"/v1/backup/files/..%2f..%2fadmin.key?lease=" + x.Lease, s.admin, 404},
		{"/v1/backup/files/%2fetc%2fpasswd?lease=" + x.Lease, s.admin, 404},
	} {
		if a := s.call("GET", c.path, c.key, ""); a.status != c.want {
			t.Errorf("%s: %d, want %d: %s", c.path, a.status, c.want, a.body)
		}
	}
}

// What was erased after a backup comes back with it, and does not when the
// tombstones are given, neither from its segments nor from its frames; what was
// erased before never does.
func TestErasureSinceABackup(t *testing.T) {
	t.Parallel()
	s := start(t, "--flush-rows", "50")
	event := func(session string) string {
		return `{"session_id":"` + session + `","category":"c","name":"n","data":{},"timestamp":"2021-01-01T00:00:00Z"},`
	}
	send := func(sessions ...string) {
		var body strings.Builder
		for _, session := range sessions {
			body.WriteString(event(session))
		}
		s.must(s.call("POST", "/v1/events?wait=stored", s.write, "["+strings.TrimSuffix(body.String(), ",")+"]"), 201)
	}
	erase := func(session string) { s.must(s.call("DELETE", "/v1/sessions/"+session, s.admin, ""), 200) }
	send(slices.Repeat([]string{"a", "b", "c"}, 20)...)
	s.flushed(60)
	erase("a")
	send("b", "c")
	dir := filepath.Join(t.TempDir(), "backup")
	s.backup(dir)
	manifest := s.call("GET", "/v1/backup/manifest", s.admin, "")
	s.must(manifest, 200)
	erase("b")
	if a := s.call("GET", "/metrics", s.admin, ""); !strings.Contains(string(a.body), "\neye_queue_frames 0\n") {
		t.Error("the queue was not trimmed by the erasure, for the sake of a lease")
	}
	if a := s.call("GET", "/v1/backup/files/metadata.json?lease="+manifest.text("lease"), s.admin, ""); a.status != 410 {
		t.Errorf("the lease lives on behind an erasure: %d", a.status)
	}
	names, err := filepath.Glob(filepath.Join(s.data, "store", "segments", "*"))
	if _, out := runEye(t, nil, "store", "segments", "--data", s.data, "--json"); err != nil || len(names) != 2*strings.Count(out, `"level"`) {
		t.Errorf("the segments of before the erasure are still there: %v", names)
	}

	for name, c := range map[string]struct {
		args []string
		b    int
	}{
		"without tombstones": {nil, 200},
		"with tombstones":    {[]string{"--tombstones", filepath.Join(s.data, "tombstones")}, 404},
	} {
		t.Run(name, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "new")
			code, out := runEye(t, nil, append([]string{"restore", dir, "--data", data}, c.args...)...)
			if told := strings.Contains(out, "NOT APPLIED"); code != 0 || told != (c.args == nil) {
				t.Fatalf("restore ended with %d:\n%s", code, out)
			}
			if c.args != nil && !strings.Contains(out, "\n2 erasures of "+c.args[1]+", 1 of them after the backup\n") {
				t.Errorf("restore says %s", out)
			}
			r := &server{t: t, data: data, args: s.args, read: s.read}
			r.launch()
			if out := r.output.String(); strings.Contains(out, "WARN") {
				t.Errorf("the first start says %s", out)
			}
			r.eventually("the erasure to be made again", func() bool { return r.call("GET", "/v1/sessions/b", r.read, "").status == c.b })
			for session, want := range map[string]int{"a": 404, "c": 200} {
				if a := r.call("GET", "/v1/sessions/"+session, r.read, ""); a.status != want {
					t.Errorf("session %s: %d, want %d", session, a.status, want)
				}
			}
			r.eventually("books that balance", func() bool { return r.call("GET", "/v1/books", r.read, "").text("balanced") == "true" })
			if code, out := runEye(t, nil, "store", "verify", "--data", data); code != 0 {
				t.Errorf("store verify ended with %d:\n%s", code, out)
			}
		})
	}
}
