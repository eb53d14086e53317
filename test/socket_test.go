package test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// intruder listens where a server used to, and keeps what it is told.
type intruder struct {
	net.Listener
	heard safeBuffer
}

func (s *server) intrude() *intruder {
	s.t.Helper()
	l, err := net.Listen("tcp", s.url[strings.LastIndex(s.url, "/")+1:])
	if err != nil {
		s.t.Fatal(err)
	}
	i := &intruder{Listener: l}
	s.t.Cleanup(func() { _ = l.Close() })
	go func() {
		_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = r.Write(&i.heard)
			_, _ = io.WriteString(w, "{}")
		}))
	}()
	return i
}

// besideCommands are all commands that talk to the server of a data directory.
func besideCommands(t *testing.T) [][]string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "e.json")
	if err := os.WriteFile(file, []byte(fine), 0o600); err != nil {
		t.Fatal(err)
	}
	return [][]string{
		{"apps", "list"}, {"apps", "create", "x"}, {"apps", "show", "shop"}, {"apps", "update", "shop", "--rate", "1"}, {"apps", "delete", "shop"},
		{"keys", "list"}, {"keys", "create", "--kind", "admin"}, {"keys", "revoke", "x"},
		{"types", "list"}, {"types", "get", "c", "n"}, {"types", "export", t.TempDir()},
		{"events"}, {"sessions"}, {"session", "s"}, {"count"}, {"receipt", "x"}, {"books"},
		{"rejections"}, {"rejections", "summary"}, {"rejections", "replay", "--yes"},
		{"send", "--retry-for", "0s", file}, {"export"}, {"erase", "--session", "s", "--yes"}, {"audit"}, {"unreadable"},
		{"backup", filepath.Join(t.TempDir(), "b")}, {"bench", "--duration", "1s"}, {"health"},
	}
}

// Another process may listen on the port of a server that was killed. Nothing is sent to it.
func TestNothingIsSentToThePortOfADeadServer(t *testing.T) {
	t.Parallel()
	certFile, keyFile := certificate(t, "127.0.0.1")
	for name, args := range map[string][]string{"plain": nil, "TLS": {"--tls-cert", certFile, "--tls-key", keyFile}} {
		t.Run(name, func(t *testing.T) {
			s := &server{t: t, data: t.TempDir(), args: args}
			if args != nil {
				s.client = trusting(t, certFile)
			}
			s.launch()
			s.kill()
			i := s.intrude()
			for _, command := range besideCommands(t) {
				code, output := runEye(t, []string{"EYE_LISTEN="}, append(command, "--data", s.data)...)
				if code != 1 || !strings.Contains(output, "no server") || !strings.Contains(output, "--url and --key") {
					t.Errorf("eye %s: exit code %d: %s", strings.Join(command, " "), code, output)
				}
			}
			if heard := i.heard.String(); heard != "" {
				t.Errorf("the listener heard %s", heard)
			}
			_ = i.Close()
			// The next server takes the socket that was left behind.
			s.launch()
			if code, output := runEye(t, nil, "apps", "list", "--data", s.data); code != 0 {
				t.Errorf("beside the next server: exit code %d: %s", code, output)
			}
			s.shutDown()
			for _, left := range []string{"address", "eye.sock"} {
				if _, err := os.Lstat(filepath.Join(s.data, left)); !os.IsNotExist(err) {
					t.Errorf("%s is left behind an ordered end: %v", left, err)
				}
			}
			if code, output := runEye(t, nil, "apps", "list", "--data", s.data); code != 1 || !strings.Contains(output, "no server") {
				t.Errorf("behind an ordered end: exit code %d: %s", code, output)
			}
		})
	}
}

// Beside a server the address is not even read: a wrong one changes nothing.
func TestTheSocketAloneIsUsed(t *testing.T) {
	t.Parallel()
	s := start(t)
	info, err := os.Stat(filepath.Join(s.data, "eye.sock"))
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Fatalf("the socket is %v, %v", info, err)
	}
	other := &server{t: t, url: "http://127.0.0.1:0"}
	i := other.intrude()
	if err := os.WriteFile(filepath.Join(s.data, "address"), []byte(i.Addr().String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{"apps", "create", "x"}, {"health"}, {"bench", "--duration", "1s"}, {"export"}} {
		if code, output := runEye(t, nil, append(command, "--data", s.data)...); code != 0 {
			t.Errorf("%v: exit code %d: %s", command, code, output)
		}
	}
	if heard := i.heard.String(); heard != "" {
		t.Errorf("the listener heard %s", heard)
	}
	e := s.trail("&act=createApp")[0]
	if e["remote"] != "local" {
		t.Errorf("what came through the socket is written down as from %v", e["remote"])
	}
	// It is the same interface, with the same keys, and no name is believed.
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	transport.DialContext = dialSocket(filepath.Join(s.data, "eye.sock"))
	socket := &server{t: t, url: "http://eye", client: &http.Client{Transport: transport}}
	socket.must(socket.call("GET", "/v1/apps", "", ""), 401)
	socket.must(socket.call("GET", "/v1/apps", s.write, ""), 403)
	socket.must(socket.call("PATCH", "/v1/apps/x", s.admin, `{"rate":7}`, "X-Forwarded-For", "198.51.100.7"), 200)
	if e := s.trail("&act=updateApp")[0]; e["remote"] != "local" {
		t.Errorf("what came through the socket is written down as from %v", e["remote"])
	}
}

// A path that is too long for a socket's address is reached all the same, and one
// where a socket cannot be is told at both ends.
func TestSocketsInOddPlaces(t *testing.T) {
	t.Parallel()
	long := filepath.Join(t.TempDir(), strings.Repeat("long/", 30), "data")
	s := startIn(t, long)
	if info, err := os.Stat(filepath.Join(long, "eye.sock")); err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("the socket is %v, %v", info, err)
	}
	if code, output := runEye(t, nil, "apps", "list", "--data", long); code != 0 || !strings.Contains(output, "shop") {
		t.Errorf("a long path: exit code %d: %s", code, output)
	}
	s.kill()
	if err := os.Remove(filepath.Join(long, "eye.sock")); err != nil {
		t.Fatal(err)
	}
	// What is no socket is not removed, so none can be made there.
	if err := os.Mkdir(filepath.Join(long, "eye.sock"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.launch()
	if !strings.Contains(s.output.String(), "need --url and --key") {
		t.Errorf("the server does not say that it has no socket:\n%s", s.output)
	}
	if code, output := runEye(t, []string{"EYE_LISTEN="}, "apps", "list", "--data", long); code != 1 || !strings.Contains(output, "--url and --key") {
		t.Errorf("without a socket: exit code %d: %s", code, output)
	}
	if code, output := runEye(t, nil, "apps", "list", "--url", s.url, "--key", s.admin); code != 0 {
		t.Errorf("with --url and --key: exit code %d: %s", code, output)
	}
}

// eye send goes on when the server comes back, also when the socket is another.
func TestSendFindsTheNextServer(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.kill()
	var once bytes.Buffer
	once.WriteString(fine)
	cmd, output := s.eye("send", "--retry-for", "1m", "--key", s.write, "--data", s.data, "-")
	cmd.Stdin = &once
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.eventually("eye send to wait", func() bool { return strings.Contains(output.String(), "trying again") })
	s.launch()
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, output)
	}
	if a := s.call("GET", "/v1/books", s.read, ""); !strings.Contains(string(a.body), `"received":1`) {
		t.Errorf("books %s", a.body)
	}
}

// The load of a benchmark with its defaults gets through the socket.
func TestBenchBesideAServer(t *testing.T) {
	t.Parallel()
	s := start(t)
	out := s.beside(0, "bench", "--duration", "1s", "--json")
	var report struct {
		Requests int            `json:"requests"`
		Codes    map[string]int `json:"answers_by_code"`
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	if report.Requests < 1 || report.Codes["202"] != report.Requests {
		t.Errorf("of %d requests: %v", report.Requests, report.Codes)
	}
}
