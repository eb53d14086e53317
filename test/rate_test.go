package test

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// many returns n good events of a session.
func many(session string, n int) string {
	events := make([]string, n)
	for i := range events {
		events[i] = fmt.Sprintf(`{"session_id":%q,"category":"c","name":"n","data":{"n":%d},"timestamp":"2021-01-01T00:00:00Z"}`, session, i)
	}
	return "[" + strings.Join(events, ",") + "]"
}

// An application over its rate is answered 429 with what a sender needs to know.
// A change of the rate is in force with its answer.
func TestRate(t *testing.T) {
	t.Parallel()
	s := start(t)
	a := s.call("POST", "/v1/events", s.write, many("s", 10))
	s.must(a, 202)
	if got := a.header.Get("Ratelimit"); got != "" {
		t.Errorf("an application without a rate is told %s", got)
	}
	s.must(s.call("PATCH", "/v1/apps/shop", s.admin, `{"rate":-1}`), 422)
	a = s.call("PATCH", "/v1/apps/shop", s.admin, `{"rate":5}`)
	s.must(a, 200)
	if a.text("rate") != "5" || s.call("GET", "/v1/apps/shop", s.admin, "").text("rate") != "5" {
		t.Errorf("the rate is shown as %s", a.body)
	}

	a = s.call("POST", "/v1/events", s.write, many("s", 500))
	s.must(a, 202) // the bucket was positive
	if got := a.header.Get("Ratelimit-Policy"); got != `"default";q=10;w=2` {
		t.Errorf("the policy is %s", got)
	}
	if got := a.header.Get("Ratelimit"); !strings.HasPrefix(got, `"default";r=0;t=9`) {
		t.Errorf("490 events of debt are told as %s", got)
	}
	a = s.call("POST", "/v1/events", s.write, many("s", 1))
	s.must(a, 429)
	wait, err := strconv.Atoi(a.header.Get("Retry-After"))
	if err != nil || wait < 90 || wait > 99 {
		t.Errorf("Retry-After is %q for a debt of 490 events at 5 a second", a.header.Get("Retry-After"))
	}
	if got, want := a.header.Get("Ratelimit"), fmt.Sprintf(`"default";r=0;t=%d`, wait); got != want {
		t.Errorf("RateLimit is %s, want %s", got, want)
	}
	if a.header.Get("Content-Type") != "application/problem+json" || a.text("status") != "429" {
		t.Errorf("it is answered %s", a.body)
	}
	if a := s.call("GET", "/metrics", s.admin, ""); !strings.Contains(string(a.body), `eye_intake_over_rate_total{app="shop"} 1`) {
		t.Error("/metrics does not tell of it")
	}

	// It is refused before its body is there.
	if status := s.unfinished(s.write); !strings.HasPrefix(status, "HTTP/1.1 429 ") {
		t.Errorf("a request whose body never came was answered %q", status)
	}

	s.must(s.call("PATCH", "/v1/apps/shop", s.admin, `{"rate":0}`), 200)
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, many("s", 1)), 201)
	s.balanced(511)
}

// unfinished sends the head of a request and nothing of its body, and returns the
// first line of the answer.
func (s *server) unfinished(key string) string {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(conn, "POST /v1/events HTTP/1.1\r\nHost: eye\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n", key)
	b := make([]byte, 200)
	n, _ := io.ReadAtLeast(conn, b, 20)
	line, _, _ := strings.Cut(string(b[:n]), "\r\n")
	return line
}

// One application at many times its rate takes nothing from another.
func TestNoisyNeighbour(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.must(s.call("POST", "/v1/apps", s.admin, `{"app":"noisy","rate":100}`), 201)
	noisy := s.key("noisy", "write")
	stop := make(chan struct{})
	var (
		senders           sync.WaitGroup
		mu                sync.Mutex // guards what follows
		accepted, tooMany int
		others            []string
		body, quiet       = many("flood", 20), 0
	)
	for range 4 {
		senders.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				a, err := s.try("POST", "/v1/events", noisy, []byte(body))
				mu.Lock()
				switch {
				case err != nil:
					others = append(others, err.Error())
				case a.status == 202:
					accepted += 20
				case a.status == 429:
					tooMany++
				default:
					others = append(others, fmt.Sprint(a.status, " ", string(a.body)))
				}
				mu.Unlock()
			}
		})
	}
	noise := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return 20*tooMany > 10*accepted || len(others) > 0
	}
	for ; quiet < 200 || !noise(); quiet++ {
		s.must(s.call("POST", "/v1/events", s.write, many("quiet", 5)), 202)
	}
	close(stop)
	senders.Wait()
	if len(others) > 0 {
		t.Fatalf("the flood got other answers than 202 and 429, as %v", others[0])
	}
	s.eventually("all to be stored", func() bool {
		return s.call("GET", "/v1/count?app=shop", s.admin, "").text("count") == fmt.Sprint(5*quiet)
	})
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, fine), 201)
	if got := s.call("GET", "/v1/count?app=noisy", s.admin, "").text("count"); got != fmt.Sprint(accepted) {
		t.Errorf("%s events of the noisy one are stored, %d were accepted", got, accepted)
	}
}

// An application that has no rate cannot hold all the memory for bodies, and senders of which
// little has come hold next to nothing of it.
func TestBodiesOfAFlood(t *testing.T) {
	t.Parallel()
	s := start(t)
	var refused atomic.Int32
	begin := func(key, header, sent string) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		go func() {
			b := make([]byte, 12)
			if n, _ := io.ReadFull(conn, b); string(b[:n]) == "HTTP/1.1 503" {
				refused.Add(1)
			}
		}()
		go fmt.Fprintf(conn, "POST /v1/events HTTP/1.1\r\nHost: eye\r\nAuthorization: Bearer %s\r\n%s\r\n\r\n%s", key, header, sent)
	}
	apps := map[string]string{}
	for _, app := range []string{"noisy", "other"} {
		s.must(s.call("POST", "/v1/apps", s.admin, `{"app":"`+app+`"}`), 201)
		apps[app] = s.key(app, "write")
	}
	taken := func() {
		t.Helper()
		for _, key := range []string{apps["noisy"], apps["other"], s.write} {
			s.must(s.call("POST", "/v1/events", key, fine), 202)
			s.must(s.call("POST", "/v1/events", key, fine, "Transfer-Encoding", "chunked", "Content-Encoding", "identity"), 202)
		}
	}
	for _, key := range apps {
		for _, encoding := range []string{"gzip", "deflate", "br", "zstd", "identity"} {
			for range 15 {
				begin(key, "Content-Encoding: "+encoding+"\r\nContent-Length: 4000000", "1234567890")
			}
		}
	}
	taken()
	if n := refused.Load(); n > 0 {
		t.Errorf("%d slow uploads were refused", n)
	}
	for range 80 { // the memory is for 64 of these, which never end
		begin(apps["noisy"], "Content-Length: 4000001", strings.Repeat(" ", 4_000_000))
	}
	s.eventually("some of the bodies to be refused", func() bool { return refused.Load() >= 40 })
	for range 10 {
		s.must(s.call("POST", "/v1/events", s.write, fine), 202)
	}
	if n := refused.Load(); n > 60 {
		t.Errorf("of 80 bodies that never end %d were refused, want about 48", n)
	}
}
