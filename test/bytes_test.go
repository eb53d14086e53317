package test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
)

// raw sends a request as it is written and returns the status.
func (s *server) raw(text string) int {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(text)); err != nil {
		s.t.Fatal(err)
	}
	a, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = a.Body.Close()
	return a.StatusCode
}

// Headers may hold any bytes. None holds up what comes behind it, or a list that shows it.
func TestBytesThatAreNoText(t *testing.T) {
	t.Parallel()
	s := start(t, "--legacy-app", "old")
	for _, header := range []string{"Content-Type: \xff", "Content-Encoding: \xff", "User-Agent: " + strings.Repeat("a", 299) + "\u00e9", "Origin: \xff", "Webhook-Id: \xff"} {
		for path, key := range map[string]string{"/v1/events": "Authorization: Bearer " + s.write + "\r\n", "/event/": "", "/v1/events?": ""} {
			status := s.raw(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\n%s%s\r\nContent-Length: 2\r\n\r\n{}", path, key, header))
			if status < 400 || status >= 500 {
				t.Errorf("%s with %q is answered %d", path, header, status)
			}
		}
	}
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, fine), 201)
	s.must(s.call("GET", "/v1/unreadable", s.admin, ""), 200)
	s.must(s.call("GET", "/v1/rejections", s.admin, ""), 200)
	// A category of 200 characters may take more bytes than the audit log shows.
	long := "/v1/types/" + strings.Repeat("%D1%8F", 200) + "/a"
	s.must(s.call("PUT", long, s.admin, `{"type":"object"}`), 200)
	s.must(s.call("DELETE", long, s.admin, ""), 204)
	s.must(s.call("DELETE", "/v1/apps/%ff", s.admin, ""), 400)
	s.must(s.call("GET", "/v1/audit", s.admin, ""), 200)
}
