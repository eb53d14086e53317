package cli

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	tailedEvent     = `{"app":"shop","id":"i1","session_id":"s1","category":"page","name":"view","data":{"path":"/"},"occurred_at":"2021-01-01T00:00:00.000000Z"}`
	tailedRejection = `{"id":"r1","app":"shop","session_id":"","category":"page","name":"view","received_at":"2021-01-01T00:00:01.000000Z","problems":[{"code":"missing_field","pointer":"/data","message":"m"},{"code":"unknown_field","pointer":"/x","message":"m"}]}`
	tailedErasure   = `{"app":"*","session_key":"k1","erased_at":"2021-01-01T00:00:02.000000Z"}`
)

// tailServer answers each request for a tail with the next of some bodies, and then with 401.
func tailServer(t *testing.T, bodies ...string) (url string, asked *[]string) {
	t.Helper()
	asked = &[]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.URL.RequestURI()+" "+r.Header.Get("Last-Event-ID"))
		if len(*asked) > len(bodies) {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"title":"Unauthorized","status":401,"detail":"revoked"}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, bodies[len(*asked)-1])
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

// A tail that is cut off goes on after what it has shown, says so once, and ends with its key.
func TestTailGoesOn(t *testing.T) {
	bodies := []string{
		"id: p0\n\nevent: event\nid: p1\ndata: " + tailedEvent + "\n\nevent: event\nid: p2\ndata: {cut",
		"id: p1\n\nevent: rejection\nid: p2\ndata: " + tailedRejection + "\n\nevent: erased\nid: p3\ndata: " + tailedErasure + "\n\n",
		"id: p3\n\nevent: missed\nid: p9\ndata: {\"count\":7,\"from\":\"p3\",\"to\":\"p9\"}\n\n: a comment\n\n",
	}
	for _, tc := range []struct{ flags, out string }{
		{
			"", "2021-01-01T00:00:00.000000Z  shop  s1  page/view  {\"path\":\"/\"}\n" +
				"2021-01-01T00:00:01.000000Z  shop  -   page/view  rejected: missing_field /data, unknown_field /x\n" +
				"2021-01-01T00:00:02.000000Z  *     -   erased     the session with the key k1\n",
		},
		{
			"--json", `{"position":"p1","app":"shop","kind":"event","event":` + tailedEvent + "}\n" +
				`{"position":"p2","app":"shop","kind":"rejection","rejection":` + tailedRejection + "}\n" +
				`{"position":"p3","app":"*","session_key":"k1","kind":"erased","erased_at":"2021-01-01T00:00:02.000000Z"}` + "\n",
		},
	} {
		url, asked := tailServer(t, bodies...)
		var out, errOut bytes.Buffer
		line := append([]string{"tail", "--url", url, "--key", "x", "--kind", "event", "--where", "data.n>=1", "--after", "p0"}, strings.Fields(tc.flags)...)
		code := run(line, nil, &out, &errOut)
		if diff := cmp.Diff(tc.out, out.String()); diff != "" {
			t.Error(diff)
		}
		const path = "/v1/tail?after=p0&kind=event&where=data.n%3E%3D1 "
		if want := []string{path, path + "p1", path + "p3", path + "p9"}; !slices.Equal(*asked, want) {
			t.Errorf("asked %q", *asked)
		}
		want := "eye: no answer from " + url + ": the server has ended the connection; trying again\n" +
			"eye: the server answers again\n" +
			"eye: missed 7 items, because they came faster than they were read; `eye tail --after p3` shows them\n" +
			"eye: the server answered 401 Unauthorized: revoked (give a valid key with --key or EYE_KEY)\n"
		if diff := cmp.Diff(want, errOut.String()); diff != "" || code != exitFailed {
			t.Errorf("code %d: %s", code, diff)
		}
	}
}

// What a client must change is an error.
func TestTailEnds(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404, 410} {
		asked := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked++
			w.WriteHeader(status)
			_, _ = fmt.Fprintf(w, `{"title":"T","status":%d,"detail":"why","code":"position_gone","common":"p1"}`, status)
		}))
		for _, command := range [][]string{{"tail"}, {"feed", "--after", t.TempDir() + "/position"}} {
			asked = 0
			var out, errOut bytes.Buffer
			code := run(append(command, "--url", server.URL, "--key", "x"), nil, &out, &errOut)
			if got := errOut.String(); code != exitFailed || asked != 1 || out.Len() > 0 || !strings.Contains(got, "why") && !strings.Contains(got, "p1") || strings.Count(got, "\n") != 1 {
				t.Errorf("%d %v: %d after %d requests: %s", status, command, code, asked, got)
			}
		}
		server.Close()
	}
}

// A server that is started later is waited for, and each cause of the wait is reported once, with its
// end.
func TestWaitingForTheServer(t *testing.T) {
	for _, command := range [][]string{{"tail"}, {"feed", "--after", t.TempDir() + "/position"}} {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := listener.Addr().String()
		_ = listener.Close()
		asked := 0
		server := &httptest.Server{Config: &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked++
			switch {
			case asked < 3:
				w.WriteHeader(http.StatusServiceUnavailable)
			case asked == 3 && r.URL.Path == "/v1/tail":
				_, _ = io.WriteString(w, "id: p0\n\n")
			case asked == 3:
				_, _ = io.WriteString(w, `{"items":[],"next":"`+feedPosition(1)+`"}`)
			default:
				w.WriteHeader(http.StatusForbidden)
				_, _ = io.WriteString(w, `{"title":"Forbidden","detail":"this key is not permitted here: reading requires a read key or an admin key"}`)
			}
		})}}
		said := &startingWriter{start: func() {
			server.Listener, err = new(net.ListenConfig).Listen(t.Context(), "tcp", address)
			if err == nil {
				server.Start()
			}
		}}
		var out bytes.Buffer
		code := run(append(command, "--url", "http://"+address, "--key", "x"), nil, &out, said)
		if err != nil {
			t.Fatal(err)
		}
		server.Close()
		ended := ""
		if command[0] == "tail" {
			ended = "eye: no answer from http://" + address + ": the server has ended the connection; trying again\n"
		}
		want := "eye: nothing listens at http://" + address + "; is the server running?; trying again\n" +
			"eye: the server answered 503 Service Unavailable; trying again\n" +
			"eye: the server answers again\n" + ended +
			"eye: the server answered 403 Forbidden: this key is not permitted here: reading requires a read key or an admin key (give a key of that kind with --key or EYE_KEY)\n"
		if diff := cmp.Diff(want, said.String()); diff != "" || code != exitFailed {
			t.Errorf("code %d: %s", code, diff)
		}
	}
}

// startingWriter is a buffer that calls start before its first write.
type startingWriter struct {
	bytes.Buffer
	start func()
}

func (w *startingWriter) Write(b []byte) (int, error) {
	if w.start != nil {
		w.start()
		w.start = nil
	}
	return w.Buffer.Write(b)
}

// Colours are for terminals only, and what comes from outside cannot make any.
func TestColours(t *testing.T) {
	environment := func(list ...string) func(string) string {
		return func(name string) string {
			for _, e := range list {
				if value, ok := strings.CutPrefix(e, name+"="); ok {
					return value
				}
			}
			return ""
		}
	}
	pieces := []painted{cell(faint, "time"), {plain, "  "}, cell(red, "a\x1b[0mb")}
	for _, tc := range []struct {
		name     string
		terminal bool
		env      []string
		want     string
	}{
		{"a file", false, nil, `time  a\u001b[0mb` + "\n"},
		{"a terminal", true, []string{"TERM=xterm"}, "\x1b[2mtime\x1b[0m  \x1b[31ma" + `\u001b[0mb` + "\x1b[0m\n"},
		{"NO_COLOR", true, []string{"NO_COLOR=1"}, `time  a\u001b[0mb` + "\n"},
		{"a terminal without colours", true, []string{"TERM=dumb"}, `time  a\u001b[0mb` + "\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var b bytes.Buffer
			var to io.Writer = &b
			if tc.terminal {
				to = &terminal{to: &b}
			}
			if err := writeLine(to, environment(tc.env...), pieces...); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
