package client

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

func TestReachable(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:8080": "127.0.0.1:8080",
		"0.0.0.0:8080":   "127.0.0.1:8080",
		"[::]:8080":      "127.0.0.1:8080", // what a listener on 0.0.0.0 reports
		":8080":          "127.0.0.1:8080",
		"[::1]:8080":     "[::1]:8080",
		"eye.local:80":   "eye.local:80",
		"no address":     "no address",
	} {
		if got := Reachable(listen); got != want {
			t.Errorf("%q: got %q, want %q", listen, got, want)
		}
	}
}

// Advice for callers over HTTP is translated to flags and commands.
func TestProblemsAdviseCommands(t *testing.T) {
	for detail, want := range map[string]string{
		"no stored event has this id; GET /v1/receipts/{id} shows its history":           "no stored event has this id; `eye receipt ID` shows its history",
		"kind write belongs to one application; make the key under /v1/apps/{app}/keys":  "kind write belongs to one application; give that with --app",
		"kind admin belongs to all applications; make the key under /v1/keys":            "kind admin belongs to all applications; omit --app",
		"application \"shop\" has events or rejections: erase=1 erases them too, or not": "application \"shop\" has events or rejections: --erase erases them too, or not",
	} {
		body := `{"title":"Conflict","detail":` + strconv.Quote(detail) + `}`
		answer := &http.Response{StatusCode: http.StatusConflict, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
		if got := new(Client).readProblem(answer).Detail; got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
}
