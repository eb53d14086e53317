package client

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
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
		"parameter session_id: it is empty; give it a value or omit it":                  "--session: it is empty; give it a value or omit it",
		"parameter event_id: may be given only once":                                     "--event-id: may be given only once",
		"parameter field: unknown field \"n\"":                                           "unknown field \"n\"",
		"parameter time_zone: is unknown":                                                "--time-zone: is unknown",
		"parameter from: it is after to":                                                 "--from: it is after --to",
		"parameter code: applies to rejections only; add kind=rejection":                 "--code: applies to rejections only; add --kind rejection",
		"this key is valid for a single application; omit app":                           "this key is valid for a single application; omit --app",
		"a valid key is required, as in Authorization: Bearer KEY; reading requires one": "a valid key is required; reading requires one",
	} {
		body := `{"title":"Conflict","detail":` + strconv.Quote(detail) + `}`
		answer := &http.Response{StatusCode: http.StatusConflict, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
		if got := new(Client).readProblem(answer).Detail; got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
}

// Where --to is the receiver of items, the end of a range is --until.
func TestProblemsOfTheFeed(t *testing.T) {
	request := &http.Request{URL: &url.URL{Path: FeedPath}}
	for detail, want := range map[string]string{
		"parameter to: \"x\" is not a valid time": "--until: \"x\" is not a valid time",
		"parameter from: it is after to":          "--from: it is after --until",
	} {
		body := `{"title":"Bad Request","detail":` + strconv.Quote(detail) + `}`
		answer := &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: request}
		if got := new(Client).readProblem(answer).Detail; got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
}

// A key of another kind is answered with what to do; other refusals are not about a key.
func TestAdviceAboutKeys(t *testing.T) {
	const kind = "this key is not permitted here: reading requires a read key or an admin key"
	for _, tc := range []struct {
		name   string
		client *Client
		status int
		detail string
		want   string
	}{
		{"not valid", &Client{}, 401, "a valid key is required", keyAdvice},
		{"of another kind", &Client{}, 403, kind, kindAdvice},
		{"of another kind, beside a data directory", &Client{socket: "d"}, 403, kind, kindAdviceHere},
		{"of one application", &Client{}, 403, "this key is valid for a single application; omit app", ""},
		{"unsigned", &Client{}, 401, "requests with this key must be signed: no header", "sign them with --sign"},
		{"something else", &Client{}, 404, kind, ""},
	} {
		if got := tc.client.advice(tc.status, tc.detail); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

// A key that the server writes when it starts is used from then on.
func TestAwaitedKey(t *testing.T) {
	name := filepath.Join(t.TempDir(), "admin.key")
	c := NewLocal(t.TempDir(), "", "")
	c.AwaitKey(name)
	if key, err := c.Secret(t.Context()); key != "" || err != nil {
		t.Error(key, err)
	}
	if err := os.WriteFile(name, []byte("eye_a_later\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if key, err := c.Secret(t.Context()); key != "eye_a_later" || err != nil {
		t.Error(key, err)
	}
}
