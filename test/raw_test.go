package test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// rawRequest is what a sender writes, byte for byte. In its text EVENT is an event
// and LEN its length, KEY a write key, and HIDDEN a whole request that sends another
// event, which HLEN bytes are. Behind each comes a request for /healthz that ends the
// connection.
//
// direct and proxied are the statuses of the answers, by the server alone and through
// nginx. A chunked request is the last of its connection. stored tells where EVENT is
// stored, since its sender has clearly sent it: both, direct, proxied or "" for neither.
// Where it is hidden, HIDDEN is no longer so for the server alone: it reads a folded line
// as RFC 9112 (5.2) says, and after a refused CONNECT the connection is as before.
type rawRequest struct {
	name, text      string
	direct, proxied string
	stored          string
}

const (
	rawPost = "POST /v1/events?wait=stored HTTP/1.1\r\nHost: eye\r\nAuthorization: Bearer KEY\r\n"
	chunked = "Transfer-Encoding: chunked\r\n\r\nXLEN\r\nEVENT\r\n0\r\n\r\n"
)

func rawRequests() []rawRequest {
	return []rawRequest{
		{"as it should be", rawPost + "Content-Length: LEN\r\n\r\nEVENT", "201 200", "201 200", "both"},
		{"chunked", rawPost + chunked, "201", "201 200", "both"},
		{"two equal lengths", rawPost + "Content-Length: LEN\r\nContent-Length: LEN\r\n\r\nEVENT", "201 200", "400", "direct"},
		{"two lengths, the first right", rawPost + "Content-Length: LEN\r\nContent-Length: 5\r\n\r\nEVENTHIDDEN", "400", "400", ""},
		{"two lengths, the second right", rawPost + "Content-Length: 5\r\nContent-Length: LEN\r\n\r\nEVENTHIDDEN", "400", "400", ""},
		{"a list of lengths", rawPost + "Content-Length: LEN, LEN\r\n\r\nEVENT", "400", "400", ""},
		{"a length with a sign", rawPost + "Content-Length: +LEN\r\n\r\nEVENT", "400", "400", ""},
		{"a negative length", rawPost + "Content-Length: -1\r\n\r\nEVENT", "400", "400", ""},
		{"a hexadecimal length", rawPost + "Content-Length: 0xLEN\r\n\r\nEVENT", "400", "400", ""},
		{"a length beyond 64 bits", rawPost + "Content-Length: 18446744073709551617\r\n\r\nEVENT", "400", "400", ""},
		{"an empty length", rawPost + "Content-Length:\r\n\r\nEVENT", "400", "400", ""},
		{"a length that is too small", rawPost + "Content-Length: 9\r\n\r\nEVENT", "400 400", "400 400", ""},
		{"no length", rawPost + "\r\nEVENT", "400 400", "400 400", ""},
		{"a length and chunked, the length hiding a request", rawPost + "Content-Length: HLEN\r\n" + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nHIDDEN", "400", "400", ""},
		{"chunked and a length, hiding a request", rawPost + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\nHXLEN\r\nHIDDEN\r\n0\r\n\r\n", "400", "400", ""},
		{"chunked twice", rawPost + "Transfer-Encoding: chunked\r\n" + chunked, "501", "400", ""},
		{"chunked, chunked", rawPost + strings.Replace(chunked, ": chunked", ": chunked, chunked", 1), "501", "501", ""},
		{"chunked , identity", rawPost + strings.Replace(chunked, ": chunked", ": chunked , identity", 1), "501", "501", ""},
		{"identity", rawPost + "Transfer-Encoding: identity\r\nContent-Length: LEN\r\n\r\nEVENT", "501", "501", ""},
		{"gzip, chunked", rawPost + strings.Replace(chunked, ": chunked", ": gzip, chunked", 1), "501", "501", ""},
		{"xchunked and a length", rawPost + "Transfer-Encoding: xchunked\r\nContent-Length: LEN\r\n\r\nEVENT", "501", "501", ""},
		{"Chunked in capitals", rawPost + strings.Replace(chunked, ": chunked", ": CHUNKED", 1), "201", "201 200", "both"},
		{"chunked in quotes", rawPost + strings.Replace(chunked, ": chunked", `: "chunked"`, 1), "501", "501", ""},
		{"chunked behind a tab", rawPost + strings.Replace(chunked, ": chunked", ":\tchunked", 1), "201", "501", "direct"},
		{"chunked behind a vertical tab", rawPost + strings.Replace(chunked, ": chunked", ":\vchunked", 1), "400", "501", ""},
		{"a space before the colon of the encoding", rawPost + strings.Replace(chunked, ": chunked", " : chunked", 1), "400", "400", ""},
		{"a space before the colon of the length", rawPost + "Content-Length : LEN\r\n\r\nEVENT", "400", "400", ""},
		{"a folded header", rawPost + "X-Folded: a\r\n b\r\nContent-Length: LEN\r\n\r\nEVENT", "201 200", "400", "direct"},
		{"a length in a folded line", rawPost + "X-Folded: a\r\n Content-Length: LEN\r\n\r\nHIDDEN", "400 202 200", "400", "hidden"},
		{"an encoding on a folded line", rawPost + "Transfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\nHIDDEN", "400", "400", ""},
		{"a folded first line", "POST /v1/events?wait=stored HTTP/1.1\r\n X: y\r\nHost: eye\r\nAuthorization: Bearer KEY\r\nContent-Length: LEN\r\n\r\nEVENT", "400", "400", ""},
		{"a bare CR in a header", rawPost + "X-Bare: a\rContent-Length: 5\r\nContent-Length: LEN\r\n\r\nEVENT", "400", "400", ""},
		{"a bare CR before an encoding", rawPost + "X-Bare: a\r" + "Transfer-Encoding: chunked\r\nContent-Length: LEN\r\n\r\nEVENT", "400", "400", ""},
		{"lines that end with a bare LF", strings.ReplaceAll(rawPost+"Content-Length: LEN\r\n\r\nEVENT", "\r\n", "\n"), "201 200", "201 200", "both"},
		{"NUL in a header", rawPost + "X-Nul: a\x00b\r\nContent-Length: LEN\r\n\r\nEVENT", "400", "400", ""},
		{"NUL in a header's name", rawPost + "X-N\x00: a\r\nContent-Length: LEN\r\n\r\nEVENT", "400", "400", ""},
		{"NUL in the path", strings.Replace(rawPost, "/v1/events", "/v1/events\x00", 1) + "Content-Length: LEN\r\n\r\nEVENT", "400", "400", ""},
		{"a space in a header's name", rawPost + "X Y: a\r\nContent-Length: LEN\r\n\r\nEVENT", "400", "400", ""},
		{"a line without a colon", rawPost + "X\r\nContent-Length: LEN\r\n\r\nEVENT", "400", "201 200", "proxied"},
		{"a method in lower case", strings.Replace(rawPost, "POST", "post", 1) + "Content-Length: LEN\r\n\r\nEVENT", "405 200", "400", ""},
		{"an unknown method", strings.Replace(rawPost, "POST", "POSTS", 1) + "Content-Length: LEN\r\n\r\nEVENT", "405 200", "405 200", ""},
		{"a whole address as target", strings.Replace(rawPost, " /v1", " http://other.example/v1", 1) + "Content-Length: LEN\r\n\r\nEVENT", "201 200", "201 200", "both"},
		{"no host", strings.Replace(rawPost, "Host: eye\r\n", "", 1) + "Content-Length: LEN\r\n\r\nEVENT", "400", "400", ""},
		{"two hosts", rawPost + "Host: other\r\nContent-Length: LEN\r\n\r\nEVENT", "400", "400", ""},
		{"a host that is none", strings.Replace(rawPost, "Host: eye", "Host: a b/\\", 1) + "Content-Length: LEN\r\n\r\nEVENT", "400", "400", ""},
		{"HTTP/1.0", strings.Replace(rawPost, "HTTP/1.1", "HTTP/1.0", 1) + "Content-Length: LEN\r\n\r\nEVENT", "201", "201", "both"},
		{"HTTP/1.0, chunked", strings.Replace(rawPost, "HTTP/1.1", "HTTP/1.0", 1) + chunked, "400", "400", ""},
		{"HTTP/3.0", strings.Replace(rawPost, "HTTP/1.1", "HTTP/3.0", 1) + "Content-Length: LEN\r\n\r\nEVENT", "505", "505", ""},
		{"no version", "POST /v1/events\r\n\r\n", "400", "", ""},
		{"two spaces in the first line", strings.Replace(rawPost, " HTTP", "  HTTP", 1) + "Content-Length: LEN\r\n\r\nEVENT", "400", "201 200", "proxied"},
		{"a header of 80 KiB", rawPost + "X-Large: " + strings.Repeat("x", 80<<10) + "\r\nContent-Length: LEN\r\n\r\nEVENT", "431", "431 200", ""},
		{"10,000 headers", rawPost + strings.Repeat("X-Many: y\r\n", 10_000) + "Content-Length: LEN\r\n\r\nEVENT", "431", "400", ""},
		{"a chunk with a sign", rawPost + strings.Replace(chunked, "XLEN", "+XLEN", 1), "400", "400", ""},
		{"a negative chunk", rawPost + strings.Replace(chunked, "XLEN", "-XLEN", 1), "400", "400", ""},
		{"a chunk of 0x", rawPost + strings.Replace(chunked, "XLEN", "0xXLEN", 1), "400", "400", ""},
		{"a chunk beyond 64 bits", rawPost + strings.Replace(chunked, "XLEN", "10000000000000000XLEN", 1), "400", "400", ""},
		{"a chunk with an extension", rawPost + strings.Replace(chunked, "XLEN", "XLEN;a=b", 1), "201", "201 200", "both"},
		{"an extension with a bare LF, hiding a request", rawPost + "Transfer-Encoding: chunked\r\n\r\n2;\nxx\r\nHXLEN\r\n0\r\n\r\nHIDDEN\r\n0\r\n\r\n", "400", "400", ""},
		{"a chunk that ends with a bare LF", rawPost + strings.Replace(chunked, "EVENT\r\n", "EVENT\n", 1), "400", "201 200", "proxied"},
		{"a chunk that is longer than told", rawPost + strings.Replace(chunked, "XLEN", "5", 1), "400", "400", ""},
		{"trailers that name a length", rawPost + strings.Replace(chunked, "0\r\n\r\n", "0\r\nContent-Length: 5\r\n\r\n", 1), "201", "201 200", "both"},
		{"an expectation", rawPost + "Expect: 100-continue\r\nContent-Length: LEN\r\n\r\nEVENT", "100 201 200", "100 201 200", "both"},
		{"an unknown expectation", rawPost + "Expect: 200-ok\r\nContent-Length: LEN\r\n\r\nEVENT", "417", "201 200", "proxied"},
		{"a body of GET that is a request", "GET /healthz HTTP/1.1\r\nHost: eye\r\nContent-Length: HLEN\r\n\r\nHIDDEN", "200 200", "200 200", ""},
		{"a chunked body of GET that is a request", "GET /healthz HTTP/1.1\r\nHost: eye\r\nTransfer-Encoding: chunked\r\n\r\nHXLEN\r\nHIDDEN\r\n0\r\n\r\n", "200", "200 200", ""},
		{"a body that is refused unread and is a request", "POST /v1/events HTTP/1.1\r\nHost: eye\r\nContent-Length: HLEN\r\n\r\nHIDDEN", "401 200", "401 200", ""},
		{"a change to HTTP/2", rawPost + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\nContent-Length: LEN\r\n\r\nEVENT", "201 200", "201 200", "both"},
		{"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400", "400", ""},
		{"a tunnel", "CONNECT eye:80 HTTP/1.1\r\nHost: eye:80\r\n\r\nHIDDEN", "405 202 200", "400", "hidden"},
	}
}

// write fills in the text; the ids tell EVENT and HIDDEN of this request apart from all others.
func (r rawRequest) write(key, id, hidden string) string {
	event := fmt.Sprintf(`{"id":%q,"session_id":"s","category":"c","name":"n","data":{},"timestamp":1609492527}`, id)
	second := strings.Replace(event, id, hidden, 1)
	second = fmt.Sprintf("POST /v1/events HTTP/1.1\r\nHost: eye\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", key, len(second), second)
	return strings.NewReplacer("HXLEN", fmt.Sprintf("%x", len(second)), "HLEN", fmt.Sprint(len(second)), "HIDDEN", second, "XLEN", fmt.Sprintf("%x", len(event)),
		"LEN", fmt.Sprint(len(event)), "EVENT", event, "KEY", key).Replace(r.text) + "GET /healthz HTTP/1.1\r\nHost: eye\r\nConnection: close\r\n\r\n"
}

// exchange writes a text on a new connection and returns the statuses of what is answered.
func exchange(t *testing.T, network, address, text string) string {
	t.Helper()
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	wrote := make(chan struct{})
	go func() { // the answer may come before all is read
		defer close(wrote)
		_, _ = io.WriteString(conn, text)
	}()
	var statuses []string
	for r := bufio.NewReader(conn); ; {
		a, err := http.ReadResponse(r, nil)
		if err == nil {
			_, err = io.Copy(io.Discard, a.Body)
			statuses = append(statuses, fmt.Sprint(a.StatusCode))
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			statuses = append(statuses, "nothing")
		}
		if err != nil {
			break
		}
	}
	_ = conn.Close()
	<-wrote
	return strings.Join(statuses, " ")
}

// Each of these requests is answered as the table says, stores what its sender has
// clearly sent and nothing else, and no proxy of another mind about where a request
// ends lets a second one through.
func TestRawRequests(t *testing.T) {
	t.Parallel()
	s := start(t)
	type front struct{ name, network, address string }
	fronts := []front{{"direct", "tcp", strings.TrimPrefix(s.url, "http://")}}
	for _, buffering := range []string{"on", "off"} {
		fronts = append(fronts, front{"proxied, buffering " + buffering, "unix", nginx(t, s.url, buffering)})
	}
	var want []string
	for _, f := range fronts {
		kind, _, _ := strings.Cut(f.name, ",")
		for i, r := range rawRequests() {
			id := fmt.Sprintf("%s: %s", f.name, r.name)
			statuses := r.direct
			if kind == "proxied" {
				statuses = r.proxied
			}
			if got := exchange(t, f.network, f.address, r.write(s.write, id, "hidden by "+id)); got != statuses {
				t.Errorf("%s is answered %s, want %s", id, got, statuses)
			}
			if r.stored == "both" || r.stored == kind {
				want = append(want, id)
			}
			if r.stored == "hidden" && kind == "direct" {
				want = append(want, "hidden by "+id)
			}
			// Whoever comes next is answered what he asked.
			if got := exchange(t, f.network, f.address, fmt.Sprintf("GET /v1/%d HTTP/1.1\r\nHost: eye\r\nConnection: close\r\n\r\n", i)); got != "404" {
				t.Errorf("behind %s a request is answered %s", id, got)
			}
		}
	}
	s.settled()
	a := s.call("GET", "/v1/events?limit=1000", s.read, "")
	s.must(a, 200)
	var got []string
	for _, e := range a.json()["events"].([]any) {
		got = append(got, fmt.Sprint(e.(map[string]any)["client_id"]))
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stored are (-want +got):\n%s", diff)
	}
}

// nginx runs a proxy before a server and returns the socket on which it listens.
func nginx(t *testing.T, upstream, buffering string) (socket string) {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		program = "/usr/sbin/nginx" // not in the path of users
	}
	dir := t.TempDir()
	user := ""
	if os.Getuid() == 0 {
		user = "user root;"
	}
	socket = filepath.Join(dir, "socket")
	config := fmt.Sprintf(`%s
daemon off;
worker_processes 1;
pid %[2]s/pid;
error_log stderr crit;
events {}
http {
	access_log off;
	client_body_temp_path %[2]s/body; proxy_temp_path %[2]s/proxy; fastcgi_temp_path %[2]s/fastcgi; uwsgi_temp_path %[2]s/uwsgi; scgi_temp_path %[2]s/scgi;
	large_client_header_buffers 4 128k;
	upstream eye { server %[3]s; keepalive 4; }
	server {
		listen unix:%[4]s;
		location / {
			proxy_pass http://eye;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_request_buffering %[5]s;
		}
	}
}
`, user, dir, strings.TrimPrefix(upstream, "http://"), socket, buffering)
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	cmd := exec.Command(program, "-p", dir, "-e", "stderr", "-c", filepath.Join(dir, "config"))
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal("nginx, which `script/setup test` installs: ", err)
	}
	t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() })
	(&server{t: t, output: &safeBuffer{}}).eventually("nginx to listen", func() bool {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return socket
}
