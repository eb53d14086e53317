package test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// numbered makes NDJSON of the events from to to−1.
func numbered(from, to int) string {
	var b strings.Builder
	for n := from; n < to; n++ {
		fmt.Fprintf(&b, `{"id":"event %d","session_id":"s%d","category":"c","name":"n","data":{"n":%d},"timestamp":"2021-01-01T00:00:00Z"}`+"\n", n, n/10, n)
	}
	return b.String()
}

func (s *server) post(body string) {
	s.t.Helper()
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, body, "Content-Type", "application/x-ndjson"), 201)
}

func (s *server) counts(want int) {
	s.t.Helper()
	a := s.call("GET", "/v1/count", s.read, "")
	if a.status != 200 || a.text("count") != fmt.Sprint(want) {
		s.t.Errorf("want %d events: %d %s", want, a.status, a.body)
	}
}

// account is what the books say of the application.
func (s *server) account() map[string]any {
	s.t.Helper()
	a := s.call("GET", "/v1/books", s.read, "")
	s.must(a, 200)
	return a.json()["apps"].([]any)[0].(map[string]any)
}

func (s *server) segments() []string {
	s.t.Helper()
	list, err := filepath.Glob(filepath.Join(s.data, "store", "segments", "*.duckdb"))
	if err != nil {
		s.t.Fatal(err)
	}
	return list
}

// twoSegments makes a server with 100 events in each of two segments, and stops it.
func twoSegments(t *testing.T) *server {
	t.Helper()
	s := start(t)
	for n := range 2 {
		s.post(numbered(100*n, 100*n+100))
		s.shutDown()
		if n == 0 {
			s.launch()
		}
	}
	if n := len(s.segments()); n != 2 {
		t.Fatalf("%d segments", n)
	}
	return s
}

// A damaged segment comes back from the queue; meanwhile, and where the queue has it no more, the
// rest is served and what is missing is told.
func TestDamagedSegment(t *testing.T) {
	t.Parallel()
	t.Run("in the queue", func(t *testing.T) {
		s := twoSegments(t)
		if err := os.Truncate(s.segments()[0], 10_000); err != nil {
			t.Fatal(err)
		}
		s.launch()
		s.eventually("the segment to be rebuilt", func() bool {
			return strings.Contains(s.output.String(), "rebuilt from the queue; nothing of it is lost")
		})
		if a := s.call("GET", "/readyz", "", ""); a.text("reasons") != "[]" {
			t.Errorf("readiness: %s", a.body)
		}
		s.counts(200)
		s.balanced(200)
		if text := s.output.String(); !strings.Contains(text, "its file has 10000 bytes instead of") {
			t.Errorf("the log does not tell:\n%s", text)
		}
	})
	t.Run("met by a reader", func(t *testing.T) {
		s := twoSegments(t)
		s.launch()
		f, err := os.OpenFile(s.segments()[1], os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		for at := int64(3 * 4096); at < info.Size(); at += 1024 {
			if _, err := f.WriteAt([]byte("damage"), at); err != nil {
				t.Fatal(err)
			}
		}
		_ = f.Close()
		a := s.call("GET", "/v1/events?limit=1000", s.read, "")
		if n := strings.Count(string(a.body), `"client_id"`); a.status != 200 || n < 100 {
			t.Errorf("%d events were answered: %d", n, a.status)
		}
		s.eventually("all to be there again", func() bool { return s.call("GET", "/v1/count", s.read, "").text("count") == "200" })
		s.balanced(200)
	})
	t.Run("lost", func(t *testing.T) {
		s := twoSegments(t)
		if err := os.RemoveAll(filepath.Join(s.data, "queue")); err != nil {
			t.Fatal(err)
		}
		name := s.segments()[0]
		if err := os.Truncate(name, 10_000); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			s.launch()
			s.eventually("the rebuild to be given up", func() bool { return strings.Contains(s.output.String(), "cannot be rebuilt") })
			a := s.call("GET", "/readyz", "", "")
			if a.status != 200 || a.text("ready") != "true" || !strings.Contains(string(a.body), filepath.Base(name)+" is damaged") || !strings.Contains(string(a.body), "100 events") {
				t.Errorf("readiness: %d %s", a.status, a.body)
			}
			s.counts(100)
			s.balanced(200)
			if lost := fmt.Sprint(s.account()["lost"]); lost != "100" {
				t.Errorf("%s are lost", lost)
			}
			if metrics := string(s.call("GET", "/metrics", s.admin, "").body); !strings.Contains(metrics, "\neye_store_damaged_segments 1\n") {
				t.Error("the metrics do not tell of the damage")
			}
			s.shutDown()
		}
		if _, err := os.Stat(filepath.Join(s.data, "store", "quarantine", filepath.Base(name))); err != nil {
			t.Error("the damaged file was not kept:", err)
		}
	})
}

// When the queue's folder is lost or replaced by an older one, no new event is skipped, the gap is
// reported, and keys work.
func TestQueueLostOrOld(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(queue, older string) error{
		"lost": func(queue, _ string) error { return os.RemoveAll(queue) },
		"older": func(queue, older string) error {
			if err := os.RemoveAll(queue); err != nil {
				return err
			}
			return os.CopyFS(queue, os.DirFS(older))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			queue, older := filepath.Join(s.data, "queue"), filepath.Join(t.TempDir(), "older")
			s.post(numbered(0, 10))
			made := s.call("POST", "/v1/apps/shop/keys", s.admin, `{"kind":"write"}`)
			s.must(made, 201)
			s.shutDown()
			if err := os.CopyFS(older, os.DirFS(queue)); err != nil {
				t.Fatal(err)
			}
			s.launch()
			late := s.key("shop", "write") // not in the older copy
			s.must(s.call("DELETE", "/v1/apps/shop/keys/"+made.text("key_id"), s.admin, ""), 204)
			for n := 1; n < 6; n++ {
				s.post(numbered(10*n, 10*n+10))
			}
			s.shutDown()
			if err := damage(queue, older); err != nil {
				t.Fatal(err)
			}
			s.launch()
			if !strings.Contains(s.output.String(), "a new one begins after the last flushed frame") {
				t.Errorf("the log does not tell of the gap:\n%s", s.output)
			}
			s.counts(60)
			s.post(numbered(60, 70))
			s.write = late
			s.post(numbered(65, 80))
			s.must(s.call("POST", "/v1/events", made.text("key"), numbered(0, 1)), 401) // it was revoked
			s.counts(80)
			s.balanced(85)
			s.shutDown()
			s.launch()
			s.counts(80)
			s.balanced(85)
		})
	}
}

// While the store's disk is full, intake goes on until the queue has reached its quota, and reading
// always; with room again the same process takes up all of it.
func TestStoreOnAFullDisk(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	disk := smallDisk(t, "16m")
	if err := os.Symlink(disk, filepath.Join(data, "store")); err != nil {
		t.Fatal(err)
	}
	s := startIn(t, data, "--flush-rows", "200", "--queue-max-bytes", "4MiB")
	s.post(numbered(0, 500))
	release := fill(t, disk)
	noise := rand.NewChaCha8([32]byte{1})
	acked, status := 500, 0
	for status == 0 {
		random := make([]byte, 1000)
		var b strings.Builder
		for range 50 {
			_, _ = noise.Read(random)
			fmt.Fprintf(&b, `{"session_id":"s","category":"c","name":"n","data":{"x":%q},"timestamp":"2021-01-01T00:00:00Z"}`+"\n", base64.StdEncoding.EncodeToString(random))
		}
		a := s.call("POST", "/v1/events", s.write, b.String(), "Content-Type", "application/x-ndjson")
		if a.status == 202 {
			acked += 50
			continue
		}
		if status = a.status; status != 503 || a.header.Get("Retry-After") == "" {
			t.Fatalf("a full queue answered %d %s", a.status, a.body)
		}
	}
	if a := s.call("GET", "/v1/count", s.read, ""); a.status != 200 {
		t.Errorf("reading meanwhile: %d %s", a.status, a.body)
	}
	a := s.account()
	t.Logf("%d events were taken meanwhile, %v wait", acked-500, a["pending"])
	if a["balanced"] != true || fmt.Sprint(a["received"]) != fmt.Sprint(acked) || fmt.Sprint(a["pending"]) == "0" {
		t.Errorf("the books on a full disk: %v", a)
	}
	release()
	s.eventually("everything to be stored", func() bool { return fmt.Sprint(s.account()["pending"]) == "0" })
	s.counts(acked)
	s.eventually("intake to work", func() bool { return s.call("GET", "/readyz", "", "").text("ready") == "true" })
	s.post(numbered(500, 510))
	s.balanced(acked + 10)
	s.shutDown()
	s.launch()
	s.counts(acked + 10)
	s.balanced(acked + 10)
	// What the process before has left in the queue does not fill it for ever.
	for n := range 10 {
		from := 10_000 + 200*n
		s.eventually("room in the queue", func() bool {
			return s.call("POST", "/v1/events", s.write, numbered(from, from+200), "Content-Type", "application/x-ndjson").status == 202
		})
	}
	s.eventually("everything to be stored", func() bool { return s.call("GET", "/v1/count", s.read, "").text("count") == fmt.Sprint(acked+2010) })
	s.shutDown() // before the disk is gone
}

// After a fatal error of DuckDB intake goes on, readers see 503 and never less than before, and
// everything is there in the end.
func TestFatalErrorOfDuckDB(t *testing.T) {
	t.Parallel()
	s := &server{t: t, tags: "eyefault", data: t.TempDir(), args: []string{"--flush-rows", "1000"}, env: []string{"EYE_FAULT_FATAL=segment filled:3"}}
	s.launch()
	s.prepare()
	var stop atomic.Bool
	var reader sync.WaitGroup
	refused := 0
	reader.Go(func() {
		for seen := 0; !stop.Load(); {
			a, err := s.try("GET", "/v1/count", s.read, nil)
			var n int
			switch {
			case err != nil:
				t.Error(err)
				return
			case a.status == 503:
				refused++
				continue
			}
			if _, err := fmt.Sscan(a.text("count"), &n); err != nil || a.status != 200 || n < seen {
				t.Errorf("%d events and then %d %s", seen, a.status, a.body)
				return
			}
			seen = n
		}
	})
	const batches = 60
	for n := range batches {
		s.must(s.call("POST", "/v1/events", s.write, numbered(100*n, 100*n+100), "Content-Type", "application/x-ndjson"), 202)
	}
	s.eventually("DuckDB to fail", func() bool { return strings.Contains(s.output.String(), "DuckDB reported a fatal error") })
	s.post(numbered(100*batches, 100*batches+1)) // told when it can be read
	s.counts(100*batches + 1)
	stop.Store(true)
	reader.Wait()
	t.Logf("%d reads were refused meanwhile", refused)
	s.balanced(100*batches + 1)
	s.shutDown()
	s.env = nil
	s.launch()
	s.counts(100*batches + 1)
	s.balanced(100*batches + 1)
}

// A second server on a data directory refuses to start, names the first, and does it no harm.
func TestTwoServersOnOneFolder(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.post(numbered(0, 10))
	code, output := runEye(t, nil, "serve", "--data", s.data, "--listen", "127.0.0.1:0")
	if code == 0 || !strings.Contains(output, fmt.Sprintf("is in use by process %d", s.cmd.Process.Pid)) {
		t.Errorf("the second server ended with %d: %s", code, output)
	}
	s.post(numbered(10, 20))
	s.counts(20)
}
