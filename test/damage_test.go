package test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// The files of a data directory, by what they are. The first expression that matches counts; a
// file that none matches is a kind of its own.
func damageKinds() [][2]string {
	return [][2]string{
		{"frame block", `/streams/EYE_FRAMES/msgs/.*\.blk$`},
		{"metadata block", `/streams/KV_[^/]*/msgs/.*\.blk$`},
		{"audit block", `/streams/[^/]*AUDIT[^/]*/msgs/.*\.blk$`},
		{"index of a stream", `/streams/.*/index\.db$`},
		{"description of a stream", `/streams/[^/]*/meta\.(inf|sum)$`},
		{"segment", `^store/segments/.*\.duckdb$`},
		{"filter", `^store/segments/.*\.filter$`},
		{"confirmed", `^confirmed/`},
		{"replay", `^replays/`},
		{"metadata log", `^metadata-.*\.log$`},
	}
}

func damageKind(name string) string {
	for _, kind := range damageKinds() {
		if regexp.MustCompile(kind[1]).MatchString(name) {
			return kind[0]
		}
	}
	return name
}

// How a file is damaged.
const (
	bitFlipped  = "bit flipped"
	byteCut     = "byte cut"
	blockZeroed = "block zeroed"
)

type damage struct{ kind, way string }

// usualDamages are those that are tried each time. EYE_TEST_DAMAGES tries that many others.
func usualDamages() []damage {
	return []damage{
		{"frame block", bitFlipped},
		{"segment", blockZeroed},
		{"filter", bitFlipped},
		{"store/MANIFEST.json", bitFlipped},
		{"tombstones", byteCut},
		{"confirmed", blockZeroed},
		{"metadata.json", byteCut},
		{"metadata log", bitFlipped},
		{"metadata block", blockZeroed},
	}
}

// damaged returns the content of a file after damage of a kind, and the place of it.
func damaged(r *rand.Rand, b []byte, way string) (after []byte, at int) {
	for {
		after, at = slices.Clone(b), r.IntN(len(b))
		switch way {
		case bitFlipped:
			after[at] ^= 1 << r.IntN(8)
		case byteCut:
			if r.IntN(4) == 0 {
				at = len(b) - 1
			}
			after = slices.Delete(after, at, at+1)
		case blockZeroed:
			at -= at % 4096
			clear(after[at:min(at+4096, len(b))])
		}
		if !bytes.Equal(after, b) {
			return after, at
		}
	}
}

// held is what a server has of one event.
type held struct {
	stored, rejected int
	data             string
}

// wreck is the data directory of a server that was killed under load, and what was in it.
type wreck struct {
	t     *testing.T
	dir   string
	files map[string][]string // by kind
	// ledger knows what was acknowledged, whole what an undamaged copy has of it.
	ledger  *ledger
	whole   map[uuid.UUID]held
	acked   int64           // arrivals, also of the session that was erased
	usual   map[string]bool // messages of the log of an undamaged copy
	admin   string
	read    string
	revoked string
}

const erasedSession = "somebody who was erased"

// newWreck makes one: with segments that were merged, rejections that were replayed, an erasure,
// a key that was revoked, and frames that are not flushed.
func newWreck(t *testing.T, seed uint64) *wreck {
	t.Helper()
	const form, forms = `{"form":{"first_name":"J%d"},"price":1.50}`, 60
	w := &wreck{t: t, dir: t.TempDir(), ledger: &ledger{entries: map[uuid.UUID]*entry{}}}
	s := startIn(t, w.dir, "--flush-rows", "700")
	w.admin, w.read = s.admin, s.read
	s.refuse(forms)
	for i := range forms {
		w.ledger.entries[uuid.MustParse(formID(i))] = &entry{data: fmt.Sprintf(form, i), acked: 1}
	}
	s.must(s.call("POST", "/v1/events", s.write, fmt.Sprintf(`{"session_id":%q,"category":"c","name":"n","data":{},"timestamp":"2021-01-01T00:00:00Z"}`, erasedSession)), 202)
	open := make([][]batch, crashSenders)
	w.ledger.round(s, seed, 2000, open)
	s.shutDown() // writes the clock
	s.launch()
	if r := s.replay(`{"filter":{"code":"schema_violation"}}`); r.Stored != forms {
		t.Fatalf("replayed: %+v", r)
	}
	s.must(s.call("DELETE", "/v1/sessions/"+erasedSession, s.admin, ""), 200)
	for range 2 { // the first changes metadata.json, the others its log
		a := s.call("POST", "/v1/apps/shop/keys", s.admin, `{"kind":"read"}`)
		s.must(a, 201)
		w.revoked = a.text("key")
		s.must(s.call("DELETE", "/v1/apps/shop/keys/"+a.text("key_id"), s.admin, ""), 204)
	}
	w.ledger.round(s, seed+1, 4000, open)
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.ledger.round(s, seed+2, 1<<62, open)
	}()
	at := w.ledger.acked.Load() + 600
	s.eventually("the moment of the kill", func() bool { return w.ledger.acked.Load() >= at })
	s.kill()
	<-done
	w.acked = w.ledger.acked.Load() + forms + 1
	w.listFiles()
	w.look()
	return w
}

func (w *wreck) listFiles() {
	w.t.Helper()
	w.files = map[string][]string{}
	err := filepath.WalkDir(w.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if info, err := d.Info(); err != nil || info.Size() == 0 {
			return err
		}
		rest, err := filepath.Rel(w.dir, name)
		w.files[damageKind(rest)] = append(w.files[damageKind(rest)], rest)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// look starts an undamaged copy, which must have everything.
func (w *wreck) look() {
	w.t.Helper()
	s := w.copied()
	s.launch()
	w.usual = complaints(s)
	var o outcome
	w.whole, o = w.holdings(s)
	w.judge(s, &o)
	if o.lost > 0 || o.missing > 0 || len(o.faults) > 0 {
		w.t.Fatalf("without damage: %+v", o)
	}
	s.kill()
}

// copied returns a server that is not running, with a copy of the directory.
func (w *wreck) copied() *server {
	w.t.Helper()
	dir := w.t.TempDir()
	err := filepath.WalkDir(w.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() && !d.Type().IsRegular() {
			return err
		}
		rest, err := filepath.Rel(w.dir, name)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(dir, rest), 0o700)
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, rest), b, 0o600)
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return &server{t: w.t, data: dir, args: []string{"--flush-rows", "700"}, read: w.read, admin: w.admin}
}

// outcome is what a damage did.
type outcome struct {
	damage
	file string
	at   int

	verify  bool   // eye store verify told
	refused bool   // the server did not start
	logged  string // lines of the log that an undamaged copy has not
	reasons string // of /readyz

	lost    int64 // in the books
	missing int64 // acknowledged events that are not there
	silent  int64 // of those, what the books do not count
	twice   int64
	faults  []string
}

func (o *outcome) faultf(format string, args ...any) {
	o.faults = append(o.faults, fmt.Sprintf(format, args...))
}

func (o *outcome) told() bool {
	return o.refused || o.logged != "" || strings.Trim(o.reasons, "[]") != ""
}

var complaint = regexp.MustCompile(`"level":"(?:WARN|ERROR)","msg":"([^"]*)"`)

// complaints returns the messages of the log that tell of something unusual.
func complaints(s *server) map[string]bool {
	found := map[string]bool{}
	for _, match := range complaint.FindAllStringSubmatch(s.output.String(), -1) {
		found[match[1]] = true
	}
	return found
}

// holdings reads everything. Reading may find damage, which the books count then: it is done
// until they do not change meanwhile.
func (w *wreck) holdings(s *server) (all map[uuid.UUID]held, o outcome) {
	w.t.Helper()
	lost := func() (n int64, settled bool) {
		a, err := s.try("GET", "/v1/books", s.read, nil)
		var books struct {
			Apps []struct{ Lost, Pending int64 }
		}
		if err != nil || a.status != 200 || json.Unmarshal(a.body, &books, json.MatchCaseInsensitiveNames(true)) != nil || len(books.Apps) != 1 {
			return 0, false
		}
		return books.Apps[0].Lost, books.Apps[0].Pending == 0
	}
	s.eventually("everything to be read", func() bool {
		before, settled := lost()
		if !settled {
			return false
		}
		var complete bool
		if all, complete = readAll(s); !complete {
			return false
		}
		o.lost, settled = lost()
		return settled && o.lost == before
	})
	return all, o
}

// readAll returns what events and rejections there are, and whether all of them could be read.
func readAll(s *server) (all map[uuid.UUID]held, complete bool) {
	type row struct {
		ID      uuid.UUID      `json:"id"`
		EventID uuid.UUID      `json:"event_id"`
		Data    jsontext.Value `json:"data"`
	}
	type page struct {
		Events     []row   `json:"events"`
		Rejections []row   `json:"rejections"`
		NextCursor *string `json:"next_cursor"`
	}
	all = map[uuid.UUID]held{}
	for _, path := range []string{"/v1/events?limit=1000", "/v1/rejections?limit=1000"} {
		for cursor := ""; ; {
			a, err := s.try("GET", path+cursor, s.read, nil)
			var p page
			if err != nil || a.status != 200 || json.Unmarshal(a.body, &p) != nil {
				return nil, false
			}
			for _, e := range p.Events {
				x := all[e.ID]
				x.stored++
				x.data = string(e.Data)
				all[e.ID] = x
			}
			for _, e := range p.Rejections {
				x := all[e.EventID]
				x.rejected++
				all[e.EventID] = x
			}
			if p.NextCursor == nil {
				break
			}
			cursor = "&cursor=" + *p.NextCursor
		}
	}
	return all, true
}

// judge compares what is there with the ledger and the books.
func (w *wreck) judge(s *server, o *outcome) {
	w.t.Helper()
	all, now := w.holdings(s)
	o.lost, o.missing, o.silent = now.lost, 0, 0
	for id, e := range w.ledger.entries {
		x, before := all[id], w.whole[id]
		if e.acked > 0 && x.stored+x.rejected == 0 {
			o.missing++
		}
		if x.stored > 1 || x.rejected > 1 || x.stored+x.rejected > max(1, before.stored+before.rejected) {
			o.twice++
		}
		if x.stored > 0 && x.data != e.data {
			o.faultf("event %s was sent with %s and is stored with %s", id, e.data, x.data)
		}
	}
	for id := range all {
		if w.ledger.entries[id] == nil {
			o.faultf("event %s was never sent", id)
		}
	}
	o.silent = max(0, o.missing-o.lost)
	a := s.account()
	if a["balanced"] != true {
		o.faultf("the books do not balance: %v", a)
	}
	if received, _ := a["received"].(float64); int64(received) < w.acked {
		o.faultf("%d arrivals were acknowledged, and the books say %v", w.acked, a)
	}
	o.reasons = s.reasons()
	news := complaints(s)
	maps.DeleteFunc(news, func(message string, _ bool) bool { return w.usual[message] })
	o.logged = strings.Join(slices.Sorted(maps.Keys(news)), "; ")
	if (o.lost > 0 || o.missing > 0) && !o.told() {
		o.faultf("lost are %d, and nothing tells it", o.lost)
	}
	if a := s.call("GET", "/v1/sessions/"+erasedSession, s.read, ""); a.status != 404 {
		o.faultf("the erased session is there: %d %s", a.status, a.body)
	}
	if a := s.call("GET", "/v1/events", w.revoked, ""); a.status != 401 {
		o.faultf("a revoked key is taken: %d", a.status)
	}
}

var passing = regexp.MustCompile(`^(lock|address|clock|running|store/INTENT)$|\.(tmp|wal)$|/index\.db$`)

// sums returns a digest of each file, but for those that every start writes or clears: who has the
// folder, the clock, unfinished files, and the indexes that the embedded server makes of its
// blocks.
func (w *wreck) sums(dir string) map[string][32]byte {
	w.t.Helper()
	sums := map[string][32]byte{}
	for _, name := range fileNames(w.t, dir) {
		rest, _ := filepath.Rel(dir, name)
		if b, err := os.ReadFile(name); err == nil && !passing.MatchString(rest) {
			sums[rest] = sha256.Sum256(b)
		}
	}
	return sums
}

// starts reports whether the server starts. One that does neither start nor end is made to tell
// where it waits, which is no refusal.
func (w *wreck) starts(s *server) bool {
	const patience = 2 * time.Minute
	hangs := time.AfterFunc(patience, func() { _ = s.cmd.Process.Signal(syscall.SIGQUIT) })
	defer hangs.Stop()
	return s.launched()
}

// try damages a copy and returns what comes of it.
func (w *wreck) try(r *rand.Rand, d damage) (o outcome) {
	w.t.Helper()
	files := w.files[d.kind]
	if len(files) == 0 {
		w.t.Fatalf("there is no %s among %v", d.kind, w.files)
	}
	o = outcome{damage: d, file: files[r.IntN(len(files))]}
	s := w.copied()
	defer os.RemoveAll(s.data)
	path := filepath.Join(s.data, o.file)
	whole, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	var b []byte
	b, o.at = damaged(r, whole, d.way)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		w.t.Fatal(err)
	}
	code, _ := runEye(w.t, nil, "store", "verify", "--data", s.data)
	o.verify = code != 0
	before := w.sums(s.data)
	if !w.starts(s) {
		o.refused = true
		text := s.output.String()
		if strings.Contains(text, "SIGQUIT") {
			o.faultf("it does not start, and does not end:\n%s", text)
			return o
		}
		if !strings.Contains(text, filepath.Base(o.file)) && !strings.Contains(text, "eye store recover") {
			o.faultf("it refuses to start, and does not say which file to look at:\n%s", text)
		}
		if after := w.sums(s.data); !maps.Equal(before, after) {
			maps.DeleteFunc(after, func(name string, sum [32]byte) bool { return before[name] == sum })
			o.faultf("it refused to start, and changed %v", slices.Sorted(maps.Keys(after)))
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			w.t.Fatal(err)
		}
		s.launch()
		s.admin = w.admin
		w.judge(s, &o)
		if o.missing > 0 || o.lost > 0 {
			o.faultf("%d are lost and %d missing after the file was put back", o.lost, o.missing)
		}
		s.kill()
		return o
	}
	for i := range 2 { // what is found stays after a kill
		if i > 0 && !w.starts(s) {
			o.faultf("it does not start after a kill:\n%s", s.output)
			break
		}
		s.admin = w.admin
		earlier := o
		w.judge(s, &o)
		if i > 0 {
			if earlier.lost != o.lost || earlier.missing != o.missing {
				o.faultf("lost were %d and missing %d; after a kill it is %d and %d", earlier.lost, earlier.missing, o.lost, o.missing)
			}
			o.logged, o.twice = earlier.logged, max(o.twice, earlier.twice)
		}
		if len(o.faults) > 0 || o.silent > 0 || o.twice > 0 {
			w.t.Logf("the log:\n%s", s.output)
			break
		}
		s.kill()
	}
	s.kill()
	return o
}

// Of a data directory that is damaged in one place, every acknowledged event is there once, or
// counted as lost and told; or the server refuses to start, changes nothing, and says which file
// it is.
func TestDamage(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w := newWreck(t, seed)
	r := rand.New(rand.NewPCG(seed, 1))
	damages := usualDamages()
	if n := fromEnv(t, "EYE_TEST_DAMAGES", len(damages)); n != len(damages) {
		damages = nil
		kinds := append(slices.Sorted(maps.Keys(w.files)), "frame block", "frame block", "segment", "segment", "metadata block")
		for range n {
			damages = append(damages, damage{kinds[r.IntN(len(kinds))], []string{bitFlipped, byteCut, blockZeroed}[r.IntN(3)]})
		}
	}
	var table bytes.Buffer
	tab := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "KIND\tDAMAGE\tFILE\tAT\tVERIFY\tTOLD BY THE START\tLOST\tMISSING\tSILENT\tTWICE")
	slices.SortStableFunc(damages, func(a, b damage) int { return strings.Compare(a.kind, b.kind) })
	var silent, twice int64
	for _, d := range damages {
		o := w.try(r, d)
		silent, twice = silent+o.silent, twice+o.twice
		for _, text := range o.faults {
			t.Errorf("%s, %s at %d: %s", o.file, o.way, o.at, text)
		}
		told := "nothing"
		if o.refused {
			told = "refused"
		} else if o.told() {
			told = strings.TrimSuffix(fmt.Sprintf("%.90s %.60s", o.logged, strings.Trim(o.reasons, "[]")), " ")
		}
		fmt.Fprintf(tab, "%s\t%s\t%s\t%d\t%t\t%s\t%d\t%d\t%d\t%d\n",
			o.kind, o.way, filepath.Base(o.file), o.at, o.verify, told, o.lost, o.missing, o.silent, o.twice)
	}
	_ = tab.Flush()
	t.Logf("%d places\n%s", len(damages), &table)
	if silent > 0 || twice > 0 {
		t.Errorf("%d events are lost in silence, %d are there twice", silent, twice)
	}
}
