package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	theeye "theeye/clients/go"
	"theeye/internal/client"
)

func TestElements(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		lines    bool
		want     []string // raw, prefixed by the number and ! when broken
		err      string
	}{
		{name: "nothing", in: "", want: nil},
		{name: "one event", in: " {\"a\":1}\n", want: []string{`1 {"a":1}`}},
		{name: "one event over lines", in: "{\n \"a\":1\n}\n", want: []string{"0 {\n \"a\":1\n}"}},
		{name: "events over lines", in: "{\n}\n{\n}", want: []string{"0 {\n}", "1 {\n}"}},
		{name: "array", in: `[{"a":1}, 2 ,{"b":[1.0]}]`, want: []string{`0 {"a":1}`, `1 2`, `2 {"b":[1.0]}`}},
		{name: "empty array", in: `[]`, want: nil},
		{name: "array cut off", in: `[{"a":1},`, want: []string{`0 {"a":1}`}, err: "the JSON ends too early at line 1, column 10"},
		{name: "envelope", in: `{"events":[{"a":1},{"b":2}],"sent_at":5}`, want: []string{`0 {"a":1}`, `1 {"b":2}`}},
		{name: "envelope of something else", in: `{"events":[],"x":5}`, err: `unknown member "x"`},
		{name: "lines", in: "{\"a\":1}\n\n  {\"b\":2}\r\n", want: []string{`1 {"a":1}`, `3 {"b":2}`}},
		{name: "a broken line", in: "{\"a\":1}\n{\"b\":\n{\"c\":3}", want: []string{`1 {"a":1}`, `2! {"b":`, `3 {"c":3}`}},
		{name: "the first line is broken", in: "{a:1}\n{\"b\":2}\n", want: []string{`1! {a:1}`, `2 {"b":2}`}},
		{name: "the first line is cut off, by the name of the file", in: "{\"a\":\n{\"b\":2}\n", lines: true, want: []string{`1! {"a":`, `2 {"b":2}`}},
		{name: "two values in a line", in: "{} {}\n{}\n", lines: true, want: []string{`1! {} {}`, `2 {}`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			input, err := newEventReader(strings.NewReader(tc.in), tc.lines)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for err == nil {
				var e element
				if e, err = input.next(); err == nil {
					mark := ""
					if e.broken {
						mark = "!"
					}
					got = append(got, fmt.Sprintf("%d%s %s", e.number, mark, e.raw))
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			if errors.Is(err, io.EOF) != (tc.err == "") || tc.err != "" && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("ends with %v", err)
			}
		})
	}
}

func TestElementsAreBounded(t *testing.T) {
	endless := io.MultiReader(strings.NewReader(`[{"a":"`), endlessReader{})
	input, err := newEventReader(endless, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := input.next(); err == nil || !strings.Contains(err.Error(), "larger than 64 MiB") {
		t.Errorf("got %v", err)
	}
}

type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestIdentify(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{`{"id":"x","a":1}`, `{"id":"x","a":1}`},
		{`{"a":1,"id":null}`, `{"a":1,"id":null}`},
		{`{"a":1.00, "b":{}}`, `{"id":"ID","a":1.00, "b":{}}`},
		{`{"data":{"id":"in"}}`, `{"id":"ID","data":{"id":"in"}}`},
		{`{ }`, `{"id":"ID" }`},
		{`{}`, `{"id":"ID"}`},
		{`[1]`, `[1]`},
		{`7`, `7`},
	} {
		identified, err := ensureID([]byte(tc.in), randomID)
		if err != nil {
			t.Fatal(err)
		}
		got := string(identified)
		if head := len(`{"id":"`); len(got) > head+36 {
			if id, err := uuid.Parse(got[head : head+36]); err == nil && id.Version() == 7 {
				got = got[:head] + "ID" + got[head+36:]
			}
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: %s", tc.in, diff)
		}
	}
}

// collect sends an input to a handler, in virtual time, and returns what the sender reported and how
// long it waited between requests. A handler that panics breaks the connection.
func collect(t *testing.T, handler http.HandlerFunc, in string) (s *sender, waits []time.Duration, rejected []string, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var last time.Time
		s = newTestSender(t, roundTripper(func(r *http.Request) (answer *http.Response, err error) {
			if !last.IsZero() {
				waits = append(waits, time.Since(last))
			}
			last = time.Now()
			defer func() {
				if recover() != nil {
					err = errors.New("broken")
				}
			}()
			w := httptest.NewRecorder()
			handler(w, r)
			return w.Result(), nil
		}))
		s.reject = func(e element, _ string, p []client.EventProblem) {
			rejected = append(rejected, fmt.Sprint(e.number, " ", problemLines(p)))
		}
		err = s.sendAll(t.Context(), strings.NewReader(in), sendOptions{limit: 2})
	})
	return s, waits, rejected, err
}

// roundTripper is a function that implements http.RoundTripper.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// newTestSender returns a sender whose requests a transport answers.
func newTestSender(t *testing.T, server http.RoundTripper) *sender {
	c, err := client.New("http://eye", "eye_w_test")
	if err != nil {
		t.Fatal(err)
	}
	c.UseTransport(server)
	to, err := c.Sender(t.Context(), theeye.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = to.Close(context.Background()) })
	return &sender{
		to: to, explain: c.SendError, retryFor: time.Hour, notice: func(string) {}, newID: randomID, requestID: randomRequest,
		reject: func(element, string, []client.EventProblem) {},
	}
}

func TestSendTriesAgainWithTheSameBody(t *testing.T) {
	var bodies []string
	s, waits, _, err := collect(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies = append(bodies, string(body))
		switch len(bodies) {
		case 1:
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
		case 2:
			panic(http.ErrAbortHandler) // the connection breaks
		case 3:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			_, _ = io.WriteString(w, `{"received":1,"accepted":1,"rejected":0,"duplicates":0,"events":[]}`)
		}
	}, `[{"a":1}]`)
	if err != nil {
		t.Fatal(err)
	}
	if len(bodies) != 4 || bodies[0] != bodies[1] || bodies[1] != bodies[2] || bodies[2] != bodies[3] || !strings.Contains(bodies[0], `"id":"`) {
		t.Errorf("bodies %q", bodies)
	}
	const first = 200 * time.Millisecond // of the SDK
	if len(waits) != 3 || waits[0] != 7*time.Second || waits[1] < first || waits[1] > 2*first || waits[2] < 2*first {
		t.Errorf("waited %v", waits)
	}
	if diff := cmp.Diff(client.Totals{Received: 1, Accepted: 1}, s.sums); diff != "" {
		t.Error(diff)
	}
}

func TestSendCutsWhatIsTooLarge(t *testing.T) {
	s, _, rejected, err := collect(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), "large") {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			_, _ = io.WriteString(w, `{"title":"Content Too Large","status":413,"detail":"too large"}`)
			return
		}
		_, _ = io.WriteString(w, `{"received":1,"accepted":1,"rejected":0,"duplicates":0,"events":[]}`)
	}, `[{"a":"large"},{"a":2}]`)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(client.Totals{Received: 2, Accepted: 1, Rejected: 1}, s.sums); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"0 event_too_large the server answered 413 Request Entity Too Large: too large"}, rejected); diff != "" {
		t.Error(diff)
	}
}

// The totals of a command that ends early say how many events of a file were not sent.
func TestSendSaysHowManyWereNotSent(t *testing.T) {
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if requests++; requests%2 == 0 {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, `{"received":2,"accepted":2,"rejected":0,"duplicates":0,"events":[]}`)
	}))
	defer server.Close()
	file, place := filepath.Join(t.TempDir(), "events.ndjson"), filepath.Join(t.TempDir(), "place")
	if err := os.WriteFile(file, []byte(strings.Repeat("{\"a\":1}\n", 9)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"2 accepted, 0 rejected, 0 duplicates, 7 not sent\n",
		"2 accepted, 0 rejected, 0 duplicates, 5 not sent\n", // of those after the place
	} {
		var out, errOut strings.Builder
		code := run([]string{"send", file, "--resume", place, "--batch", "2", "--url", server.URL, "--key", "eye_w_x"}, nil, &out, &errOut)
		if diff := cmp.Diff(want, out.String()); diff != "" || code != exitFailed {
			t.Errorf("code %d: %s%s", code, diff, errOut.String())
		}
	}
}

func TestSendToAnApplicationThatDoesNotExist(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"title":"Not Found","detail":"there is no application \"shopp\""}`)
	}))
	defer server.Close()
	var out, errOut strings.Builder
	code := run([]string{"send", "--app", "shopp", "--url", server.URL, "--key", "eye_a_x"}, strings.NewReader("{}"), &out, &errOut)
	want := "`eye apps list --url " + server.URL + "` lists the applications, and `eye apps create shopp --url " + server.URL + "` creates this one\n"
	if code != exitFailed || !strings.HasSuffix(errOut.String(), want) {
		t.Errorf("%d: %s", code, errOut.String())
	}
}

// A range of one date is empty, and the command says which one is meant.
func TestRangeOfOneDate(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"events":[],"count":0}`) }))
	defer server.Close()
	for _, command := range []string{"events", "count"} {
		for to, want := range map[string]string{
			"2026-11-30": "eye: --to 2026-11-30 ends before that day, because it is exclusive; for the whole day, use --to 2026-12-01\n",
			"2026-12-01": "",
		} {
			var out, errOut strings.Builder
			run([]string{command, "--from", "2026-11-30", "--to", to, "--url", server.URL, "--key", "x"}, nil, &out, &errOut)
			if diff := cmp.Diff(want, errOut.String()); diff != "" {
				t.Error(command, diff)
			}
		}
	}
}

func TestSendStopsAtWhatWillNotPass(t *testing.T) {
	_, waits, _, err := collect(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"title":"Forbidden","status":403,"detail":"sending requires a write key"}`)
	}, `{}`)
	if err == nil || err.Error() != "the server answered 403 Forbidden: sending requires a write key" || waits != nil {
		t.Errorf("got %v after %v", err, waits)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "3": 3 * time.Second, "-1": 0, "99999999999": maxAsked, "soon": 0,
		"Fri, 02 Jan 2026 03:04:15 GMT": 10 * time.Second,
		"Fri, 02 Jan 2026 03:00:00 GMT": 0,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func FuzzElements(f *testing.F) {
	for _, s := range []string{`[{}]`, `{"events":[{}],"sent_at":1}`, "{}\n{", "{a}\n{}", `{"a":`, "[1,\n2]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		input, err := newEventReader(strings.NewReader(text), false)
		for n := 0; err == nil; n++ {
			var e element
			if e, err = input.next(); err == nil && !e.broken {
				if id, err := ensureID(e.raw, randomID); err != nil || !oneValue(id) {
					t.Errorf("%q became %q, %v", e.raw, id, err)
				}
			}
			if n > len(text) {
				t.Fatal("more elements than bytes")
			}
		}
	})
}
