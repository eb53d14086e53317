package test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

// sizeOf returns the bytes of all files in a folder.
func sizeOf(t *testing.T, dir string) (size int64) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // a file may go meanwhile
		}
		if info, err := d.Info(); err == nil {
			size += info.Size()
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return size
}

// hot tells whether rows of a table are not in segments yet.
func (s *server) hot(table string) bool {
	return !strings.Contains(string(s.call("GET", "/metrics", s.admin, "").body), `eye_store_rows{place="hot",table="`+table+`"} 0`)
}

// A few kilobytes of a web page's key become as many on disk, however large they are
// unpacked.
func TestPackedRequestsDoNotFillTheDisk(t *testing.T) {
	t.Parallel()
	s := start(t, "--flush-age", "1s")
	a := s.call("POST", "/v1/apps/shop/keys", s.admin, `{"kind":"write","origins":["https://shop.example"]}`)
	s.must(a, 201)
	page := a.text("key")
	before := sizeOf(t, s.data)
	sent := 0
	for i := range 20 {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		fmt.Fprintf(z, `[{"i":%d,"x":"%s"}]`, i, strings.Repeat("x", 4_100_000))
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		sent += packed.Len()
		answer, err := s.try("POST", "/v1/events?wait=stored", page, packed.Bytes(), "Origin", "https://shop.example", "Content-Encoding", "gzip")
		if err != nil {
			t.Fatal(err)
		}
		s.must(answer, 201)
	}
	s.eventually("the rejections to be in a segment", func() bool { return !s.hot("rejections") })
	grown := sizeOf(t, s.data) - before
	t.Logf("%d bytes were sent, and the data directory grew by %d", sent, grown)
	if grown > 8<<20 {
		t.Errorf("%d bytes that were sent take %d on disk", sent, grown)
	}
	found, path := 0, "/v1/rejections?limit=100"
	for cursor := ""; ; {
		a := s.call("GET", path+cursor, s.read, "")
		s.must(a, 200)
		if len(a.body) > 9<<20 {
			t.Errorf("a page has %d bytes", len(a.body))
		}
		found += bytes.Count(a.body, []byte(`"code":"event_too_large"`))
		next, more := a.json()["next_cursor"].(string)
		if !more {
			break
		}
		cursor = "&cursor=" + url.QueryEscape(next)
	}
	if found != 20 {
		t.Errorf("%d rejections are listed", found)
	}
}

// Beyond a budget for each day only the beginning of a large event is kept, with what
// tells whether it is the same: in memory, in a segment, and after a rebuild.
func TestLargeRejectionsAreTruncatedBeyondABudget(t *testing.T) {
	t.Parallel()
	s := start(t)
	body := func(n int) string {
		return fmt.Sprintf(`{"session_id":"s","id":"large-%d","category":"c","name":"n","data":{"x":"%s"}}`, n, largeText(uint64(n), 4_000_000))
	}
	const requests = 24 // of 3 MB each, compressed
	for n := range requests {
		s.must(s.call("POST", "/v1/events?wait=stored", s.write, "["+body(n)+"]"), 201)
	}
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, "["+body(requests-1)+"]"), 201) // once more

	last := "/v1/rejections?limit=1&event_id=" + s.call("GET", fmt.Sprintf("/v1/receipts/large-%d", requests-1), s.read, "").text("id")
	check := func(when string) {
		t.Helper()
		a := s.call("GET", last, s.read, "")
		s.must(a, 200)
		list, _ := a.json()["rejections"].([]any)
		if len(list) != 1 {
			t.Fatalf("%s: %d rejections of the last event", when, len(list))
		}
		r, _ := list[0].(map[string]any)
		whole := body(requests - 1)
		sum := sha256.Sum256([]byte(whole))
		if r["truncated"] != true || r["bytes"] != float64(len(whole)) || r["sha256"] != hex.EncodeToString(sum[:]) || r["raw"] != whole[:4<<10] {
			t.Errorf("%s: truncated %v, bytes %v, sha256 %v, raw of %d bytes", when, r["truncated"], r["bytes"], r["sha256"], len(fmt.Sprint(r["raw"])))
		}
		receipt := s.call("GET", fmt.Sprintf("/v1/receipts/large-%d", requests-1), s.read, "")
		if fates := strings.Count(string(receipt.body), `"fate":"duplicate"`); fates != 1 {
			t.Errorf("%s: the same body again is no duplicate: %s", when, receipt.body)
		}
	}
	check("hot")
	s.kill()
	s.launch()
	check("rebuilt from the queue")

	var dry reply
	s.eventually("replays to be at work", func() bool {
		dry = s.call("POST", "/v1/rejections/replay", s.admin, `{"filter":{"event_id":"`+strings.TrimPrefix(last, "/v1/rejections?limit=1&event_id=")+`"},"dry_run":true}`)
		return dry.status != 503
	})
	if !strings.Contains(string(dry.body), `"code":"truncated"`) || dry.json()["would_fail"] != 1.0 {
		t.Errorf("a replay says of it: %.2000s", dry.body)
	}
	s.args = append(s.args, "--flush-age", "1s")
	s.kill()
	s.launch()
	s.eventually("the rejections to be in a segment", func() bool { return !s.hot("rejections") })
	check("in a segment")
	truncated := 0
	whole := 0
	for n := range requests {
		a := s.call("GET", "/v1/rejections?event_id="+s.call("GET", fmt.Sprintf("/v1/receipts/large-%d", n), s.read, "").text("id"), s.read, "")
		if strings.Contains(string(a.body), `"truncated":true`) {
			truncated++
		} else {
			whole++
		}
	}
	t.Logf("%d are whole, %d truncated, %.1f MB in store/", whole, truncated, float64(sizeOf(t, filepath.Join(s.data, "store")))/1e6)
	if whole < 15 || truncated < 1 {
		t.Errorf("%d are whole, %d truncated", whole, truncated)
	}
	if size := sizeOf(t, filepath.Join(s.data, "store")); size > 72<<20 {
		t.Errorf("the store has %d bytes", size)
	}
}
