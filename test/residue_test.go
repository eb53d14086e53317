package test

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	binaryform "encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/duckdb/duckdb-go/v2"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// markers are random texts that stand where people's data stands. They do not compress, so that
// they can be found in what is compressed as a whole.
type markers struct{ session, data, client, raw string }

func newMarkers() markers {
	text := func() string {
		b := make([]byte, 24)
		_, _ = rand.Read(b)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	return markers{text(), text(), text(), text()}
}

func (m markers) all() []string { return []string{m.session, m.data, m.client, m.raw} }

// events are one that is stored and one that is rejected, with a given amount of other data.
func (m markers) events(n, size int) string {
	fill := strings.Repeat("f", size)
	return fmt.Sprintf(`[{"id":"%s%d","session_id":%q,"category":"c","name":"n","data":{"who":%q,"fill":%q},"timestamp":"2021-01-01T00:00:00Z"},`+
		`{"session_id":%q,"category":"c","data":{"who":%q},"timestamp":"2021-01-01T00:00:0%dZ"}]`, m.client, n, m.session, m.data, fill, m.session, m.raw, n)
}

// untimed is an event that is rejected, and whose time is that of its receipt.
func (m markers) untimed() string {
	return fmt.Sprintf(`{"session_id":%q,"category":"c","name":"n","data":{"who":%q},"timestamp":"yesterday"}`, m.session, m.raw)
}

// residue returns where in a data directory any of the texts is found: in raw bytes, in frames and
// rejections that are unpacked, and in the tables of each segment.
func residue(t *testing.T, dir string, texts []string) (found []string) {
	t.Helper()
	has := func(b []byte) bool {
		return slices.ContainsFunc(texts, func(text string) bool { return bytes.Contains(b, []byte(text)) })
	}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && !d.Type().IsRegular() {
			return nil // gone meanwhile, or a socket
		}
		if err != nil {
			return err
		}
		b, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		rest, _ := filepath.Rel(dir, name)
		inRows := false
		if strings.HasSuffix(name, ".duckdb") {
			inRows = slices.ContainsFunc(segmentValues(t, name), has)
		}
		switch {
		case inRows:
			found = append(found, rest+" (rows)")
		case has(b):
			found = append(found, rest)
		case slices.ContainsFunc(unpackedFrames(b), has):
			found = append(found, rest+" (unpacked)")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// unpackedFrames returns the records of all frames in a block of the queue, which is a list of
// messages that each begin with their length.
func unpackedFrames(b []byte) (bodies [][]byte) {
	for len(b) >= 30 {
		n := int(binaryform.LittleEndian.Uint32(b) &^ (1 << 31))
		if n < 30 || n > len(b) {
			return bodies
		}
		if i := bytes.Index(b[:n], []byte("EYEF")); i > 0 && b[i+5] == 1 {
			bodies = append(bodies, unpacked(b[i+10:n-8]))
		}
		b = b[n:]
	}
	return bodies
}

// unpacked returns the records of a frame, given what follows its checksum.
func unpacked(frame []byte) []byte {
	number := func() int {
		n, size := binaryform.Uvarint(frame)
		frame = frame[max(size, 0):]
		return int(n)
	}
	for apps := number(); apps > 0; apps-- {
		frame = frame[number():]
		number()
		number()
	}
	number()
	body, err := s2.Decode(nil, frame)
	if err != nil {
		return nil
	}
	return body
}

// segmentValues returns every text and every blob of a DuckDB file, unpacked when it is zstd; none
// when it is damaged, or removed meanwhile.
func segmentValues(t *testing.T, name string) (values [][]byte) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, "ATTACH '"+name+"' AS s (READ_ONLY)"); err != nil {
		return nil
	}
	unpack, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer unpack.Close()
	for _, table := range column(t, db, "SELECT table_name FROM duckdb_tables() WHERE database_name = 's'") {
		for _, value := range column(t, db, "FROM s."+string(table)) {
			values = append(values, value)
			if plain, err := unpack.DecodeAll(value, nil); err == nil {
				values = append(values, plain)
			}
		}
	}
	return values
}

// column returns all texts and blobs of the rows that a query gives.
func column(t *testing.T, db *sql.DB, query string) (values [][]byte) {
	t.Helper()
	rows, err := db.QueryContext(context.Background(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		row, to := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			to[i] = &row[i]
		}
		if err := rows.Scan(to...); err != nil {
			t.Fatal(err)
		}
		for _, v := range row {
			switch v := v.(type) {
			case string:
				values = append(values, []byte(v))
			case []byte:
				values = append(values, v)
			}
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return values
}

// traffic sends events of other sessions until stop is called, up to about 3 MiB a second: one at a
// time, and batches of about half a megabyte.
func (s *server) traffic() (stop func()) {
	var ended atomic.Bool
	var senders sync.WaitGroup
	fill := strings.Repeat("x", 4000)
	url, key := s.url, s.write
	for sender := range 3 {
		senders.Go(func() {
			other := &server{t: s.t, url: url}
			size, pause := 1, 15*time.Millisecond
			if sender == 0 {
				size, pause = 128, 200*time.Millisecond
			}
			for n := 0; !ended.Load(); n++ {
				var b strings.Builder
				for i := range size {
					fmt.Fprintf(&b, `{"session_id":"other %d","category":"c","name":"n","data":{"n":%d,"fill":%q},"timestamp":"2021-01-01T00:00:00Z"}`+"\n", n%50, i, fill)
				}
				if _, err := other.try("POST", "/v1/events", key, []byte(b.String()), "Content-Type", "application/x-ndjson"); err != nil {
					return // the server was killed
				}
				time.Sleep(pause)
			}
		})
	}
	return func() {
		ended.Store(true)
		senders.Wait()
	}
}

func erasureTrials(t *testing.T, usual int) int {
	t.Helper()
	text := os.Getenv("EYE_TEST_ERASURES")
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("EYE_TEST_ERASURES is %q", text)
	}
	return n
}

var counted = regexp.MustCompile(`^\[map\[app:shop events:[0-2] rejections:[0-3]\]\]$`)

// When an erasure is answered, no file contains anything of the session, also while others send,
// and whatever is sent again for it. Each server serves only a few trials, because each trial
// searches everything that its server has stored.
func TestErasureLeavesNothing(t *testing.T) {
	t.Parallel()
	const trialsOfAServer = 5
	for trials := erasureTrials(t, 5); trials > 0; trials -= trialsOfAServer {
		t.Run("server", func(t *testing.T) {
			s := start(t, "--flush-rows", "20000")
			stop := s.traffic()
			defer func() { stop() }()
			for range min(trials, trialsOfAServer) {
				s.eraseAndSearch()
			}
			stop()
			stop = func() {}
			account := s.account()
			if account["balanced"] != true || account["lost"] != 0.0 {
				t.Errorf("the books say %v", account)
			}
			t.Logf("the others sent %v events", account["received"])
		})
	}
}

// eraseAndSearch sends a session, erases it, and fails when any of it is found afterwards, or after
// it was sent again.
func (s *server) eraseAndSearch() {
	t := s.t
	t.Helper()
	m := newMarkers()
	for i, size := range []int{0, 200_000} {
		s.must(s.call("POST", "/v1/events", s.write, m.events(i, size)), 202)
	}
	s.must(s.call("POST", "/v1/events", s.write, m.untimed()), 422)
	if got := residue(t, s.data, m.all()); len(got) == 0 {
		t.Fatal("the search finds nothing before the erasure")
	}
	began := time.Now()
	a := s.call("DELETE", "/v1/sessions/"+m.session, s.admin, "")
	s.must(a, 200)
	took := time.Since(began)
	// What the store had not taken from the queue yet is erased and not counted.
	if got := fmt.Sprint(a.json()["apps"]); got != "[]" && !counted.MatchString(got) {
		t.Errorf("the report says %s", got)
	}
	if got := residue(t, s.data, m.all()); len(got) > 0 {
		t.Fatalf("after the answer it is in %v, and then in %v; the manifest is %s", got, residue(t, s.data, m.all()),
			read(t, filepath.Join(s.data, "store", "MANIFEST.json")))
	}
	s.must(s.call("POST", "/v1/events", s.write, m.events(0, 1000)), 202)
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, m.events(7, 0)), 201)
	if got := residue(t, s.data, m.all()); len(got) > 0 {
		t.Fatalf("after it was sent again it is in %v", got)
	}
	s.must(s.call("GET", "/v1/sessions/"+m.session, s.admin, ""), 404)
	t.Logf("erased in %v, all of it in %v", took, time.Since(began))
}

// What lies in quarantine is not searched, and is told; it goes when that is asked for.
func TestErasureTellsOfQuarantine(t *testing.T) {
	t.Parallel()
	s := twoSegments(t)
	if err := os.Truncate(s.segments()[0], 10_000); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(s.data, "queue")); err != nil { // it is not rebuilt
		t.Fatal(err)
	}
	s.launch()
	a := s.call("DELETE", "/v1/sessions/s1", s.admin, "")
	s.must(a, 200)
	if !strings.Contains(string(a.body), `"unsearched":[{"where":"store/quarantine","files":2,`) {
		t.Errorf("the report says %s", a.body)
	}
	if m := string(s.call("GET", "/metrics", s.admin, "").body); !strings.Contains(m, `eye_quarantine_files{folder="store/quarantine"} 2`) {
		t.Error("the metrics do not tell of the quarantine")
	}
	s.must(s.call("DELETE", "/v1/sessions/s1?quarantine=yes", s.admin, ""), 400)
	if out := s.beside(0, "erase", "--session", "s2", "--quarantine", "--yes"); strings.Contains(out, "not searched") || !strings.Contains(out, "deleted from store/quarantine: 2 files, ") {
		t.Errorf("it says %s", out)
	}
	if left, err := filepath.Glob(filepath.Join(s.data, "store", "quarantine", "*")); err != nil || len(left) > 0 {
		t.Errorf("left in quarantine: %v, %v", left, err)
	}
	s.sums(200, 100, 100)
}

// A session whose erasure is asked for while a pass for another one goes on is not answered with
// that: its events may lie behind what the pass has trimmed from the queue.
func TestErasureDuringAnother(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"tombstone known", "intake waited for", "queue cleared", "before erasure"} {
		t.Run(step, func(t *testing.T) {
			paused := filepath.Join(t.TempDir(), "paused")
			s := &server{t: t, tags: "eyefault", data: t.TempDir(), env: []string{"EYE_FAULT_PAUSE=" + step + ":1", "EYE_FAULT_PAUSED=" + paused}, args: []string{"--flush-rows", "100"}}
			s.launch()
			s.prepare()
			var answers sync.WaitGroup
			erase := func(m markers) {
				answers.Go(func() {
					a, err := s.try("DELETE", "/v1/sessions/"+m.session, s.admin, nil)
					if err != nil || a.status != 200 {
						t.Errorf("the erasure was answered with %d %s, %v", a.status, a.body, err)
						return
					}
					if got := residue(t, s.data, m.all()); len(got) > 0 {
						t.Errorf("after the answer it is in %v", got)
					}
				})
			}
			first, second := newMarkers(), newMarkers()
			s.must(s.call("POST", "/v1/events", s.write, first.events(1, 1000)), 202)
			erase(first)
			s.eventually("the first pass to be held", func() bool { _, err := os.Stat(paused); return err == nil })
			s.must(s.call("POST", "/v1/events?wait=stored", s.write, second.events(1, 1000)), 201)
			erase(second)
			s.eventually("the second erasure to begin", func() bool {
				return strings.Count(read(t, filepath.Join(s.data, "tombstones")), `"begun"`) == 2
			})
			flushes := func() float64 {
				return s.call("GET", "/metrics", s.admin, "").values(t)["eye_store_flush_seconds_count"]
			}
			before := flushes()
			stop := s.traffic()
			s.eventually("a flush of what came since", func() bool { return flushes() > before+1 })
			stop()
			if err := os.Remove(paused); err != nil {
				t.Fatal(err)
			}
			answers.Wait()
		})
	}
}

// What an earlier server has not erased yet, as after a restore with later tombstones, is not shown
// while a pass is made for it; when that fails, it is told.
func TestErasureBeforeReads(t *testing.T) {
	t.Parallel()
	s := &server{t: t, tags: "eyefault", data: t.TempDir(), env: []string{"EYE_FAULT_KILL=before erasure:1"}}
	s.launch()
	s.prepare()
	m := newMarkers()
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, m.events(1, 1000)), 201)
	if a, err := s.try("DELETE", "/v1/sessions/"+m.session, s.admin, nil); err == nil {
		t.Fatalf("the erasure was answered: %d %s", a.status, a.body)
	}
	<-s.exited
	paused := filepath.Join(t.TempDir(), "paused")
	s.env = []string{"EYE_FAULT_PAUSE=before erasure:1", "EYE_FAULT_PAUSED=" + paused, "EYE_FAULT_FAIL=before erasure:1"}
	if !s.listening() {
		t.Fatalf("the server did not start: %s", s.output)
	}
	s.eventually("the pass to be held", func() bool { _, err := os.Stat(paused); return err == nil })
	for _, path := range []string{"/v1/sessions/" + m.session, "/v1/export", "/v1/count"} {
		a := s.call("GET", path, s.read, "")
		if a.status != 503 {
			t.Errorf("GET %s is answered %d %s", path, a.status, a.body)
		}
	}
	if a := s.call("GET", "/readyz", "", ""); a.status != 503 || !strings.Contains(string(a.body), "1 erasure from before the start must be finished first") {
		t.Errorf("/readyz answers %d %s", a.status, a.body)
	}
	s.must(s.call("POST", "/v1/events", s.write, newMarkers().events(1, 10)), 202)
	if err := os.Remove(paused); err != nil {
		t.Fatal(err)
	}
	s.eventually("the failure to be told", func() bool {
		return strings.Contains(string(s.call("GET", "/readyz", "", "").body), "1 erasure not finished")
	})
	s.eventually("the erasure to be finished", func() bool { return s.reasons() == "[]" })
	s.must(s.call("GET", "/v1/sessions/"+m.session, s.read, ""), 404)
}

// While the store cannot write its files, that is told, and an erasure is not waited for without
// end; it is finished when the store works again.
func TestErasureOfAStoreThatCannotWrite(t *testing.T) {
	t.Parallel()
	s := &server{t: t, tags: "eyefault", data: t.TempDir(), env: []string{"EYE_FAULT_FAIL=segment filled:1000000"}, args: []string{"--flush-rows", "100"}}
	s.launch()
	s.prepare()
	m := newMarkers()
	s.must(s.call("POST", "/v1/events", s.write, m.events(1, 1000)), 202)
	others := strings.Repeat(`{"session_id":"other","category":"c","name":"n","data":{},"timestamp":"2021-01-01T00:00:00Z"}`+"\n", 100)
	for _, query := range []string{"?wait=stored", "?wait=stored", ""} { // two memtables wait for a flush, and so does the third batch
		a := s.call("POST", "/v1/events"+query, s.write, others, "Content-Type", "application/x-ndjson")
		if a.status != 201 && a.status != 202 {
			t.Fatalf("answered with %d %s", a.status, a.body)
		}
	}
	a := s.call("DELETE", "/v1/sessions/"+m.session, s.admin, "")
	s.must(a, 503)
	if !strings.Contains(string(a.body), "the erasure is not finished") {
		t.Errorf("the erasure was answered with %s", a.body)
	}
	s.eventually("the reason to be told", func() bool {
		return strings.Contains(s.reasons(), "writing the store's files has been failing since")
	})
	s.kill()
	s.env = nil
	s.launch()
	s.eventually("the erasure to be finished", func() bool {
		return strings.Contains(read(t, filepath.Join(s.data, "tombstones")), `"finished"`)
	})
	if got := residue(t, s.data, m.all()); len(got) > 0 {
		t.Errorf("after it was finished it is in %v", got)
	}
	if got := s.reasons(); got != "[]" {
		t.Errorf("/readyz says %s", got)
	}
}

// A server that is killed in any step of an erasure finishes it at the next start; then nothing is
// left either.
func TestErasureIsFinishedAfterAKill(t *testing.T) {
	t.Parallel()
	steps := []string{
		"tombstone written:1", "tombstone known:1", "intake waited for:1", "queue flushed:1", "queue padded:1", "queue cleared:1", "before erasure:1",
		"queue flushed:2", "tombstone written>manifest written:1",
	}
	for _, step := range steps {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			s := &server{t: t, tags: "eyefault", data: t.TempDir(), env: []string{"EYE_FAULT_KILL=" + step}, args: []string{"--flush-rows", "20000"}}
			s.launch()
			s.prepare()
			stop := s.traffic()
			m := newMarkers()
			s.must(s.call("POST", "/v1/events", s.write, m.events(1, 1000)), 202)
			if a, err := s.try("DELETE", "/v1/sessions/"+m.session, s.admin, nil); err == nil {
				t.Fatalf("the erasure was answered: %d %s", a.status, a.body)
			}
			<-s.exited
			stop()
			s.env = nil
			s.launch()
			stop = s.traffic()
			defer stop()
			s.eventually("the erasure to be finished", func() bool {
				return strings.Contains(read(t, filepath.Join(s.data, "tombstones")), `"finished"`)
			})
			if got := residue(t, s.data, m.all()); len(got) > 0 {
				t.Fatalf("after the restart it is in %v", got)
			}
		})
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The quarantine is emptied once the erasure is done, and the trail says so: what it holds may be
// all that a rescue could use.
func TestQuarantineOutlivesAFailedErasure(t *testing.T) {
	t.Parallel()
	s := &server{t: t, data: t.TempDir(), tags: "eyefault", env: []string{"EYE_FAULT_FAIL=tombstone known:1"}}
	s.launch()
	s.prepare()
	s.post(numbered(0, 3))
	file := filepath.Join(s.data, "queue", "quarantine", "found.blk")
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	s.must(s.call("DELETE", "/v1/sessions/other?quarantine=1", s.admin, ""), 503)
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
	var a reply
	s.eventually("the erasure to be finished", func() bool {
		a = s.call("DELETE", "/v1/sessions/other?quarantine=1", s.admin, "")
		return a.status == 200
	})
	const deleted = `"deleted":[{"where":"queue/quarantine","files":1,"bytes":1}]`
	if !strings.Contains(string(a.body), `"unsearched":[],`+deleted) {
		t.Errorf("the report is %s", a.body)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is there: %v", err)
	}
	entries := s.trail("&act=eraseSession")
	if !slices.ContainsFunc(entries, func(e map[string]any) bool {
		return e["outcome"] == "done" && strings.Contains(fmt.Sprint(e["detail"]), "queue/quarantine")
	}) {
		t.Errorf("the trail has %v", entries)
	}
}
