package test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A server whose descriptors a stranger tries to use up either refuses to start, with the number
// that it needs, or answers: stored events stay readable, and an export returns its events or a
// 503. The server never dies.
func TestFewDescriptors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		limit         string // as ulimit takes it
		refuse, merge bool
	}{
		{limit: "-n 32", refuse: true},
		{limit: "-n 64", refuse: true},
		{limit: "-n 128", merge: true},
		{limit: "-n 256"},
		{limit: "-Sn 64"}, // the Go runtime raises a soft limit to the hard one
		{limit: "-Sn 128"},
		{limit: "-Sn 256"},
	} {
		t.Run("ulimit "+c.limit, func(t *testing.T) {
			s := &server{t: t, data: t.TempDir(), limit: c.limit, args: []string{"--flush-rows", "100"}}
			if !s.launched() {
				wantRefusal(s, c.refuse)
				return
			}
			if c.refuse {
				t.Fatal("the server starts")
			}
			s.prepare()
			s.fillSegments(6)
			besiege(s, c.merge)
		})
	}
}

// wantRefusal checks what a server says that did not start.
func wantRefusal(s *server, want bool) {
	s.t.Helper()
	output := s.output.String()
	if code := s.cmd.ProcessState.ExitCode(); !want || code != 1 || !strings.Contains(output, "file descriptors") {
		s.t.Fatalf("the server ended with %d (%v):\n%s", code, s.cmd.ProcessState, output)
	}
	_, number, _ := strings.Cut(output, "at least ")
	number, _, _ = strings.Cut(number, " ")
	need, err := strconv.Atoi(number)
	if err != nil {
		s.t.Fatalf("no number is told: %s", output)
	}
	s.limit = fmt.Sprintf("-n %d", need)
	if s.launch(); s.call("GET", "/readyz", "", "").status != 200 {
		s.t.Errorf("a server with the %d descriptors that it asked for is not ready", need)
	}
}

// fillSegments stores events until there are some segments.
func (s *server) fillSegments(segments int) {
	s.t.Helper()
	for i := 0; ; i++ {
		var lines []string
		for n := range 100 {
			lines = append(lines, fmt.Sprintf(`{"session_id":"s","category":"c","name":"n","data":{"i":%d},"timestamp":"2026-01-01T00:00:%02d.%06dZ"}`, n, i%60, n))
		}
		s.must(s.call("POST", "/v1/events?wait=stored", s.write, "["+strings.Join(lines, ",")+"]", "Content-Type", "application/json"), 201)
		if s.call("GET", "/metrics", s.admin, "").values(s.t)["eye_store_segments"] >= float64(segments) {
			return
		}
	}
}

// besiege opens as many idle connections as it is let, from many addresses, and meanwhile reads and
// exports on a connection that was there before, until segments were merged if that is asked for.
func besiege(s *server, merge bool) {
	s.t.Helper()
	address := strings.TrimPrefix(s.url, "http://")
	before, in := s.connect("127.0.0.1")
	var idle []net.Conn
	leave := func() {
		for _, c := range idle {
			_ = c.Close()
		}
	}
	defer leave()
	for i := range 300 {
		d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(i%20))}}
		c, err := d.DialContext(s.t.Context(), "tcp4", address)
		if err != nil {
			break
		}
		idle = append(idle, c)
	}
	merged := regexp.MustCompile("segments could not be merged")
	for done := false; !done; {
		for _, request := range []struct {
			path, key string
			lines     int // of the body, at least
		}{{"/v1/count", s.read, 1}, {"/v1/export", s.read, 600}, {"/metrics", s.admin, 50}} {
			fmt.Fprintf(before, "GET %s HTTP/1.1\r\nHost: eye\r\nAuthorization: Bearer %s\r\n\r\n", request.path, request.key)
			answer, err := http.ReadResponse(in, nil)
			if err != nil {
				s.t.Fatalf("GET %s is not answered: %v, the process: %s\n%.3000s", request.path, err, s.state(), s.output)
			}
			body, err := io.ReadAll(answer.Body)
			whole := answer.StatusCode == http.StatusOK && err == nil && strings.Count(string(body), "\n") >= request.lines
			if !whole && answer.StatusCode != http.StatusServiceUnavailable {
				s.t.Errorf("GET %s is answered %d, %v with %d bytes", request.path, answer.StatusCode, err, len(body))
			}
			if request.path == "/metrics" {
				done = !merge || reply{body: body}.values(s.t)["eye_store_merge_seconds_count"] > 0 || merged.MatchString(s.output.String())
			}
			if answer.Close { // an export ends with its connection
				_ = idle[0].Close()
				idle = idle[1:]
				before, in = s.connect("127.0.1.0")
			}
		}
	}
	leave()
	s.eventually("new connections to be served", func() bool {
		if !s.runs() {
			s.t.Fatalf("the process ended: %s\n%.3000s", s.state(), s.output)
		}
		a, err := s.try("GET", "/v1/count", s.read, nil)
		return err == nil && a.status == 200
	})
	s.shutDown()
}

// connect opens a connection and sees to it that the server serves it.
func (s *server) connect(from string) (c net.Conn, in *bufio.Reader) {
	s.t.Helper()
	s.eventually("a connection", func() bool {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		var err error
		if c, err = d.DialContext(s.t.Context(), "tcp4", strings.TrimPrefix(s.url, "http://")); err != nil {
			return false
		}
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		in = bufio.NewReader(c)
		fmt.Fprint(c, "GET /healthz HTTP/1.1\r\nHost: eye\r\n\r\n")
		answer, err := http.ReadResponse(in, nil)
		if err == nil {
			_, err = io.ReadAll(answer.Body)
		}
		if err == nil && answer.StatusCode == http.StatusOK {
			s.t.Cleanup(func() { _ = c.Close() })
			return true
		}
		_ = c.Close()
		return false
	})
	return c, in
}

// runs reports whether the process has not ended.
func (s *server) runs() bool {
	select {
	case <-s.exited:
		return false
	default:
		return true
	}
}

// state tells how the process ended, if it has within a moment.
func (s *server) state() string {
	select {
	case <-s.exited:
		if w, ok := s.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && w.Signaled() {
			return w.Signal().String()
		}
		return s.cmd.ProcessState.String()
	case <-time.After(time.Second):
		return "still runs"
	}
}
