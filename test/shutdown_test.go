package test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// halfRequest is a request whose body the server waits for.
type halfRequest struct {
	net.Conn
	answer *bufio.Reader
	rest   string
}

// sendHalf begins to send an event. It returns when the server reads the body.
func (s *server) sendHalf(event string) *halfRequest {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	h := &halfRequest{conn, bufio.NewReader(conn), event}
	// The server asks for the body when it begins to read it.
	fmt.Fprintf(conn, "POST /v1/events HTTP/1.1\r\nHost: eye\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", s.write, len(event))
	if line, err := h.answer.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		s.t.Fatalf("the server does not ask for the body: %q, %v", line, err)
	}
	if _, err := h.answer.ReadString('\n'); err != nil {
		s.t.Fatal(err)
	}
	return h
}

func (h *halfRequest) finish() (*http.Response, error) {
	if _, err := h.Write([]byte(h.rest)); err != nil {
		return nil, err
	}
	return http.ReadResponse(h.answer, nil)
}

func (s *server) signal(signal os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(signal); err != nil {
		s.t.Fatal(err)
	}
}

// exitCode waits for the end of the process.
func (s *server) exitCode() int {
	s.t.Helper()
	select {
	case <-s.exited:
	case <-time.After(time.Minute):
		s.t.Fatalf("the server does not end:\n%s", s.output)
	}
	return s.cmd.ProcessState.ExitCode()
}

// The first signal stops listening, lets requests finish, and ends with code 0.
func TestASignalLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		t.Run(signal.String(), func(t *testing.T) {
			s := start(t)
			begun := s.sendHalf(fine)
			s.signal(signal)
			s.eventually("the server to stop listening", func() bool {
				conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
				if err == nil {
					_ = conn.Close()
				}
				return err != nil
			})
			resp, err := begun.finish()
			if err != nil {
				t.Fatalf("the request was cut off: %v\n%s", err, s.output)
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusAccepted {
				t.Errorf("the request was answered %d", resp.StatusCode)
			}
			if code := s.exitCode(); code != 0 {
				t.Errorf("exit code %d:\n%s", code, s.output)
			}
			if _, err := os.Stat(filepath.Join(s.data, "address")); !os.IsNotExist(err) {
				t.Errorf("the address is still there: %v", err)
			}
			s.launch()
			if a := s.call("GET", "/v1/count", s.read, ""); a.text("count") != "1" {
				t.Errorf("after the next start: %s", a.body)
			}
		})
	}
}

// A later signal does not wait for what the first one waits for. One that comes together with it
// does.
func TestASecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.sendHalf(fine)
	s.signal(syscall.SIGTERM)
	s.eventually("the server to shut down", func() bool { return strings.Contains(s.output.String(), "shutting down") })
	s.eventually("the server to end", func() bool { // those that come together with the first are one with it
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-s.exited:
			return true
		default:
			return false
		}
	})
	if code := s.exitCode(); code != 128+int(syscall.SIGTERM) { // an ordered end has 0
		t.Errorf("exit code %d:\n%s", code, s.output)
	}
	if !strings.Contains(s.output.String(), "stopped at once by a second signal; everything acknowledged is on disk") {
		t.Errorf("the log does not tell of it:\n%s", s.output)
	}
	s.launch()
}

// A server that was started with nohup outlives its terminal.
func TestIgnoredHangUp(t *testing.T) {
	t.Parallel()
	s := &server{t: t, data: t.TempDir(), wrap: []string{"nohup"}}
	s.launch()
	s.signal(syscall.SIGHUP)
	s.prepare()
	s.post(numbered(0, 1))
	s.shutDown()
}
