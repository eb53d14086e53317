package test

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// sendMany sends n events in requests of 20, a quarter of them of mary, and erases mary after half
// of the requests.
func (s *server) sendMany(n int) error {
	const perRequest = 20
	for first := 0; first < n; first += perRequest {
		var list []string
		for i := first; i < first+perRequest; i++ {
			session := []string{mary, "a", "b", "c"}[i%4]
			list = append(list, about(session, "2021-01-01T00:00:00Z", i))
		}
		a, err := s.try("POST", "/v1/events?wait=stored", s.write, []byte("["+strings.Join(list, ",")+"]"))
		if err == nil && a.status != 201 && a.status != 200 {
			err = fmt.Errorf("%d %s", a.status, a.body)
		}
		if err != nil {
			return err
		}
		if first/perRequest == n/perRequest/2 {
			if a, err := s.try("DELETE", "/v1/sessions/"+mary, s.admin, nil); err != nil || a.status != 200 {
				return fmt.Errorf("erase: %d %s %w", a.status, a.body, err)
			}
		}
	}
	return nil
}

// storedIDs returns the ids of all events, sorted.
func (s *server) storedIDs() (ids []string) {
	s.t.Helper()
	a := s.call("GET", "/v1/export?format=ndjson", s.read, "")
	s.must(a, 200)
	for line := range bytes.Lines(a.body) {
		var e struct {
			ClientID string `json:"client_id"`
		}
		if err := json.Unmarshal(line, &e); err != nil {
			s.t.Fatal(err)
		}
		ids = append(ids, e.ClientID)
	}
	slices.Sort(ids)
	return ids
}

// heldIDs returns the ids of the events in a copy after its erasures, sorted.
func heldIDs(items []feedItem) (ids []string) {
	slices.SortFunc(items, func(a, b feedItem) int { return strings.Compare(a.Position, b.Position) })
	var held []feedItem
	for _, i := range items {
		if i.Kind == "erased" {
			held = slices.DeleteFunc(held, func(h feedItem) bool { return i.SessionKey == "" || h.SessionKey == i.SessionKey })
			continue
		}
		held = append(held, i)
	}
	for _, h := range held {
		ids = append(ids, h.Event.ClientID)
	}
	slices.Sort(ids)
	return ids
}

// A copy that is made by a command equals the store, although `eye feed`, and half of the times
// its command too, is killed at random points.
func TestFeedCommandIsKilled(t *testing.T) {
	t.Parallel()
	const kills, events = 10, 2000
	s := start(t, "--flush-rows", "300")
	dir := t.TempDir()
	script := `cd ` + dir + ` && touch copy && sort -s -u -t '"' -k 4,4 copy - > copy.new && mv copy.new copy`
	args := []string{"feed", "--after", filepath.Join(dir, "position"), "--url", s.url, "--key", s.read, "--limit", "50", "--exec", script}
	sent := make(chan error, 1)
	go func() { sent <- s.sendMany(events) }()
	for n := range kills {
		cmd, output := s.eye(args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100*time.Millisecond + rand.N(700*time.Millisecond))
		whom := cmd.Process.Pid
		if n%2 == 0 {
			whom = -whom
		}
		_ = syscall.Kill(whom, syscall.SIGKILL)
		_ = cmd.Wait()
		// An erasure ends the reading of the feed for a moment.
		if text := output.String(); text != "" && !strings.Contains(text, "is in use") && !strings.HasSuffix(strings.TrimSpace(text), "; trying again") && !strings.HasSuffix(strings.TrimSpace(text), "the server answers again") {
			t.Errorf("run %d says %s", n, text)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	s.eventually("the last run", func() bool {
		code, out := runEye(t, nil, append(args, "--once")...)
		if code != 0 && !strings.Contains(out, "is in use") {
			t.Fatalf("code %d: %s", code, out)
		}
		return code == 0
	})
	text, err := os.Open(filepath.Join(dir, "copy"))
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	var items []feedItem
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		var i feedItem
		if err := json.Unmarshal(lines.Bytes(), &i); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		items = append(items, i)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	want := s.storedIDs()
	if got := heldIDs(items); !slices.Equal(got, want) || len(want) < events*3/4 {
		t.Errorf("the copy has %d events, and the store has %d", len(got), len(want))
	}
}

// receiver is a receiver of webhooks that fails at random.
type receiver struct {
	t      *testing.T
	secret []byte

	mu     sync.Mutex // guards what follows
	items  map[string]feedItem
	failed int
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	id, at := req.Header.Get("Webhook-Id"), req.Header.Get("Webhook-Timestamp")
	sum := hmac.New(sha256.New, r.secret)
	_, _ = fmt.Fprintf(sum, "%s.%s.%s", id, at, body)
	if got := req.Header.Get("Webhook-Signature"); got != "v1,"+base64.StdEncoding.EncodeToString(sum.Sum(nil)) || id == "" {
		r.t.Errorf("signature %q of %s", got, id)
	}
	fate := rand.N(6)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch fate {
	case 0:
		r.failed++
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	case 1:
		r.failed++
		panic(http.ErrAbortHandler)
	}
	var page feedPage
	if err := json.Unmarshal(body, &page); err != nil || len(page.Items) == 0 || len(page.Items) > 100 {
		r.t.Errorf("%d items: %v", len(page.Items), err)
	}
	for _, i := range page.Items {
		r.items[i.Position] = i
	}
	if fate == 2 { // accepted, but the sender does not learn of it
		r.failed++
		w.WriteHeader(http.StatusBadGateway)
	}
}

// A receiver that fails at random gets everything.
func TestFeedCommandPosts(t *testing.T) {
	t.Parallel()
	s := start(t)
	if err := s.sendMany(1200); err != nil {
		t.Fatal(err)
	}
	r := &receiver{t: t, secret: bytes.Repeat([]byte{7}, 32), items: map[string]feedItem{}}
	target := httptest.NewServer(r)
	defer target.Close()
	env := []string{"EYE_WEBHOOK_SECRET=whsec_" + base64.StdEncoding.EncodeToString(r.secret)}
	position := filepath.Join(t.TempDir(), "position")
	code, out := runEye(t, env, "feed", "--after", position, "--url", s.url, "--key", s.read, "--once", "--to", target.URL)
	r.mu.Lock()
	defer r.mu.Unlock()
	var items []feedItem
	for _, i := range r.items {
		items = append(items, i)
	}
	want := s.storedIDs()
	if got := heldIDs(items); code != 0 || !slices.Equal(got, want) || len(want) < 900 {
		t.Errorf("code %d, the receiver has %d events, and the store has %d: %s", code, len(got), len(want), out)
	}
	if strings.Contains(out, env[0][len("EYE_WEBHOOK_SECRET="):]) {
		t.Error("the secret is printed")
	}
	t.Logf("%d requests failed", r.failed)
}
