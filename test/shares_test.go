package test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// ask sends a request and returns the connection, from which the answer comes.
func (s *server) ask(path, key string) net.Conn {
	s.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: eye\r\nAuthorization: Bearer %s\r\n\r\n", path, key)
	return c
}

// unread sends a request and reads the beginning of the answer alone, so that the server, which has
// more to send than the connection holds, keeps what the answer takes.
func (s *server) unread(path, key string) *http.Response {
	s.t.Helper()
	rest, err := http.ReadResponse(bufio.NewReader(s.ask(path, key)), nil)
	if err != nil {
		s.t.Fatalf("GET %s: %v", path, err)
	}
	return rest
}

// fillLarge sends an application more than the connections of a client that reads nothing hold.
func (s *server) fillLarge(write string) {
	s.t.Helper()
	for i := 0; i < 160; i += 8 {
		var events []string
		for n := i; n < i+8; n++ {
			events = append(events, fmt.Sprintf(`{"session_id":"large","category":"c","name":"n","data":{"x":%q},"timestamp":"2021-01-01T00:00:00Z"}`, largeText(uint64(n), 250_000)))
		}
		s.must(s.call("POST", "/v1/events?wait=stored&quiet=1", write, "["+strings.Join(events, ",")+"]"), 201)
	}
}

// Clients that do not read their answers do not occupy readers of the store: others are answered.
func TestReadersAreFree(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.fillLarge(s.write)
	blog := s.keyOf("blog", "read")
	for range 12 {
		if rest := s.unread("/v1/events?limit=1000", s.read); rest.StatusCode != http.StatusOK {
			t.Fatalf("answered %d", rest.StatusCode)
		}
	}
	for range 20 { // more than all readers
		for name, key := range map[string]string{"another application": blog, "all": s.admin} {
			if a := s.call("GET", "/v1/count", key, ""); a.status != 200 {
				t.Errorf("a key of %s is answered %d %s", name, a.status, a.body)
			}
		}
	}
	if m := s.call("GET", "/metrics", s.admin, "").values(t); m["eye_http_read_memory_bytes"] == 0 || m["eye_store_queries_waiting"] != 0 {
		t.Errorf("answers hold %v bytes, %v queries wait", m["eye_http_read_memory_bytes"], m["eye_store_queries_waiting"])
	}
	s.must(s.call("GET", "/readyz", "", ""), 200)
}

// An export whose client does not read leaves a place to other applications, and ends with its key.
func TestExportOfAClientThatTakesNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.fillLarge(s.write)
	s.must(s.call("POST", "/v1/events?wait=stored", s.keyOf("blog", "write"), about("s", "2021-01-01T00:00:00Z", 1)), 201)
	made := s.call("POST", "/v1/apps/shop/keys", s.admin, `{"kind":"read"}`)
	s.must(made, 201)
	rest := s.unread("/v1/export", made.text("key"))
	if rest.StatusCode != http.StatusOK {
		t.Fatalf("answered %d", rest.StatusCode)
	}
	waiting := s.ask("/v1/export", s.read)
	s.eventually("another export of the application to wait", func() bool {
		return s.call("GET", "/metrics", s.admin, "").values(t)["eye_http_exports_waiting"] == 1
	})
	if a := s.call("GET", "/v1/export", s.keyOf("blog", "read"), ""); a.status != 200 || strings.Count(string(a.body), "\n") != 1 {
		t.Errorf("the export of another application is answered %d %.200s", a.status, a.body)
	}
	_ = waiting.Close()
	s.must(s.call("DELETE", "/v1/apps/shop/keys/"+made.text("key_id"), s.admin, ""), 204)
	s.eventually("the export to end", func() bool {
		return s.call("GET", "/metrics", s.admin, "").values(t)["eye_http_exports_running"] == 0
	})
	if n, err := io.Copy(io.Discard, rest.Body); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the key was revoked the export ended with %v, after %d bytes", err, n)
	}
}
