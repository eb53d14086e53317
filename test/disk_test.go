package test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/go-json-experiment/json"
)

// diskLedger is what senders were told about their events, by client id.
type diskLedger struct {
	mu      sync.Mutex // guards what follows
	acked   map[string]bool
	refused int // 503: not kept, or not known
	next    int
}

// send sends events of 100 KiB until one is refused or n are acknowledged.
func (l *diskLedger) send(s *server, n int) {
	for range n {
		l.mu.Lock()
		l.next++
		id := fmt.Sprint("event ", l.next)
		noise := rand.NewChaCha8([32]byte{byte(l.next), byte(l.next >> 8)})
		l.mu.Unlock()
		random := make([]byte, 75<<10)
		_, _ = noise.Read(random)
		a, err := s.try("POST", "/v1/events", s.write, fmt.Appendf(nil, `{"id":%q,"session_id":"s","category":"c","name":"n","data":{"x":%q},"timestamp":1609492527}`,
			id, base64.StdEncoding.EncodeToString(random)))
		l.mu.Lock()
		switch {
		case err == nil && a.status == 202:
			l.acked[id] = true
		case err == nil && a.status == 503 && a.header.Get("Retry-After") != "":
			l.refused++
		default:
			s.t.Errorf("a full disk was answered with %d %v %s, %v", a.status, a.header, a.body, err)
		}
		l.mu.Unlock()
		if err != nil || a.status != 202 {
			return
		}
	}
}

// check sees that what was acknowledged is there, each once, and the books say so.
func (l *diskLedger) check(s *server) {
	s.t.Helper()
	times := map[string]int{}
	s.eventually("everything to be stored", func() bool {
		apps := s.call("GET", "/v1/books", s.read, "").json()["apps"].([]any)
		return fmt.Sprint(apps[0].(map[string]any)["pending"]) == "0"
	})
	var page struct {
		Events []struct {
			ClientID string `json:"client_id"`
		} `json:"events"`
	}
	if err := json.Unmarshal(s.call("GET", "/v1/events?limit=1000", s.read, "").body, &page); err != nil {
		s.t.Fatal(err)
	}
	for _, e := range page.Events {
		times[e.ClientID]++
	}
	for id := range l.acked {
		if times[id] != 1 {
			s.t.Errorf("%s was acknowledged and is there %d times", id, times[id])
		}
	}
	if n := len(page.Events); n < len(l.acked) || n > len(l.acked)+l.refused {
		s.t.Errorf("%d acknowledged, %d refused, %d stored", len(l.acked), l.refused, n)
	}
	s.balanced(len(page.Events))
}

// While the disk is full, events are answered with 503, never with a 2xx and then lost. When there
// is room again, the same process continues.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "64m")
	s := startIn(t, filepath.Join(dir, "data"))
	l := &diskLedger{acked: map[string]bool{}}
	l.send(s, 5)

	// Some senders pass the look at the free space and meet the end of the disk.
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() { l.send(s, 10_000) })
	}
	release := fill(t, dir)
	senders.Wait()
	t.Logf("%d events were acknowledged, %d requests refused", len(l.acked), l.refused)
	// So does whoever writes metadata, which needs no more than a byte to be left: that is refused,
	// or made when there is room again.
	schema := fmt.Sprintf(`{"description":%q}`, strings.Repeat("x", 16<<10))
	var put reply
	senders.Go(func() {
		var err error
		if put, err = s.try("PUT", "/v1/types/c/n", s.admin, []byte(schema)); err != nil || put.status != 503 && put.status != 200 {
			t.Errorf("metadata on a full disk: %d %s, %v", put.status, put.body, err)
		}
	})
	s.eventually("metadata to meet the end of the disk", func() bool { return strings.Contains(s.output.String(), "no space left") })
	s.eventually("readyz to tell of the full disk", func() bool { // it may be a second old
		ready := s.call("GET", "/readyz", "", "")
		return ready.status == 503 && ready.text("intake") == "false" && ready.text("read") == "true"
	})
	if n := s.call("GET", "/v1/count", s.read, ""); n.status != 200 {
		t.Errorf("reading on a full disk: %d %s", n.status, n.body)
	}
	l.send(s, 1)

	release()
	before := len(l.acked)
	s.eventually("intake to work again", func() bool { return s.call("GET", "/readyz", "", "").status == 200 })
	l.send(s, 5)
	if len(l.acked) != before+5 {
		t.Errorf("%d of 5 events were taken when there was room again", len(l.acked)-before)
	}
	s.must(s.call("PUT", "/v1/types/c/n2", s.admin, schema), 200)
	l.check(s)
	if !strings.Contains(s.output.String(), "reopened") {
		t.Error("the queue was not reopened: the test does not show what it should")
	}
	senders.Wait()
	s.kill()
	s.launch()
	l.check(s)
	if put.status == 200 {
		s.must(s.call("GET", "/v1/types/c/n", s.admin, ""), 200)
	}
}

// A server that is started on a full disk lets people read.
func TestStartOnAFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "64m")
	s := startIn(t, filepath.Join(dir, "data"))
	l := &diskLedger{acked: map[string]bool{}}
	l.send(s, 3)
	s.kill()
	release := fill(t, dir)
	s.run()
	s.eventually("the server to tell its address", func() bool {
		_, rest, found := strings.Cut(s.output.String(), "is running at ")
		s.url, _, _ = strings.Cut(rest, " ")
		return found
	})
	s.eventually("reading to work", func() bool { return s.call("GET", "/readyz", "", "").text("read") == "true" })
	l.send(s, 1)
	l.check(s)
	if l.refused != 1 {
		t.Error("an event was taken on a full disk")
	}
	release()
	s.eventually("intake to work", func() bool { return s.call("GET", "/readyz", "", "").status == 200 })
	l.send(s, 1)
	l.check(s)
}

// smallDisk mounts a file system, which takes root. Without it the test is skipped on a developer's
// machine, and fails where CI is set.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		if os.Getenv("CI") == "" {
			t.Skip("a small file system cannot be mounted, which takes root: ", err)
		}
		t.Fatal("mount a small file system: ", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fill takes the last byte of a file system. release gives the room back.
func fill(t *testing.T, dir string) (release func()) {
	t.Helper()
	ballast, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer ballast.Close()
	for block := make([]byte, 1<<20); err == nil; {
		_, err = ballast.Write(block)
	}
	return func() {
		if err := os.Remove(ballast.Name()); err != nil {
			t.Error(err)
		}
	}
}
