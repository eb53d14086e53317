package theeye

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

var (
	hangs   = []contractAnswer{{Error: "hang"}}
	accepts = []contractAnswer{{Status: http.StatusAccepted}}
)

// newTestClient returns a client of a server in memory. Its callbacks are recorded.
func newTestClient(t *testing.T, server http.RoundTripper, o Options) (*Client, *recorder) {
	t.Helper()
	recorded := &recorder{}
	o.URL, o.Key, o.Transport = "http://eye.test/", testKey, server
	if o.OnError == nil {
		o.OnError = recorded.error
	}
	if o.OnRejected == nil {
		o.OnRejected = recorded.reject
	}
	client, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return client, recorded
}

// track tracks n events of session "s" with the ids prefix-0, prefix-1 …
func track(t *testing.T, c *Client, prefix string, n int) {
	t.Helper()
	for i := range n {
		if err := c.Track(Event{ID: fmt.Sprintf("%s-%d", prefix, i), SessionID: "s", Category: "c", Name: "n"}); err != nil {
			t.Fatal(err)
		}
	}
}

// wantIDs fails unless the events received are those that track made, in order and once.
func wantIDs(t *testing.T, server *fakeServer, prefix string, n int) {
	t.Helper()
	got := server.ids()
	if len(got) != n {
		t.Fatalf("%d events were received, want %d", len(got), n)
	}
	for i, id := range got {
		if want := fmt.Sprintf("%s-%d", prefix, i); id != want {
			t.Fatalf("event %d is %s, want %s", i, id, want)
		}
	}
}

func TestTrackWaitsForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, recorded := newTestClient(t, newFakeServer(hangs), Options{})
		start := time.Now()
		const calls = 100_000
		for range calls {
			if err := client.Track(Event{Category: "c", Name: "n"}); err != nil {
				t.Fatal(err)
			}
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("Track waited for %v", waited)
		}
		if s := client.Stats(); s.Queued != 10_000 || s.Dropped != calls-10_000 || s.QueuedBytes > 16<<20 {
			t.Errorf("the queue holds %+v", s)
		}
		time.Sleep(2 * time.Second)
		compareErrors(t, []contractError{{CodeQueueFull, calls - 10_000}}, recorded.all())
		closeNow(client)
		compareErrors(t, []contractError{{CodeQueueFull, calls - 10_000}, {CodeUnsent, 10_000}}, recorded.all())
	})
}

func TestTrackConcurrently(t *testing.T) {
	server := newFakeServer(accepts)
	client, _ := newTestClient(t, server, Options{})
	var senders sync.WaitGroup
	for session := range 8 {
		senders.Go(func() {
			for range 500 {
				_ = client.Track(Event{SessionID: fmt.Sprint(session), Category: "c", Name: "n"})
			}
		})
	}
	senders.Wait()
	if err := client.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	next := map[string]uint64{}
	ids := map[string]bool{}
	last := ""
	for _, r := range server.received() {
		for _, e := range r.events {
			var event struct {
				ID        string `json:"id"`
				SessionID string `json:"session_id"`
				Timestamp string `json:"timestamp"`
				Seq       uint64 `json:"seq"`
			}
			if err := json.Unmarshal(e, &event); err != nil {
				t.Fatal(err)
			}
			if next[event.SessionID]++; event.Seq != next[event.SessionID] {
				t.Fatalf("event %s has seq %d, want %d", e, event.Seq, next[event.SessionID])
			}
			if event.Timestamp < last {
				t.Fatalf("%s is before %s", event.Timestamp, last)
			}
			last = event.Timestamp
			ids[event.ID] = true
		}
	}
	if len(ids) != 4000 || client.Stats() != (Stats{Accepted: 4000}) {
		t.Errorf("%d ids, %+v", len(ids), client.Stats())
	}
}

func TestDataIsEncodedByTrack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newFakeServer(accepts)
		client, _ := newTestClient(t, server, Options{})
		data := map[string]any{"path": "/"}
		if err := client.Track(Event{Category: "c", Name: "n", Data: data}); err != nil {
			t.Fatal(err)
		}
		data["path"] = "/changed"
		if err := client.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if body := string(server.received()[0].body); !strings.Contains(body, `"data":{"path":"/"}`) {
			t.Error(body)
		}
	})
}

func TestPanicsInCallbacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newFakeServer([]contractAnswer{{Status: 400}, {Status: 202, Rejected: map[int][]string{0: {"x"}}}, {Status: 202}})
		called := 0
		client, _ := newTestClient(t, server, Options{
			BatchEvents: 1,
			OnError:     func(*Error) { called++; panic("error") },
			OnRejected:  func(Rejection) { called++; panic("rejected") },
		})
		track(t, client, "e", 3)
		if err := client.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := client.Stats(); called != 2 || s != (Stats{Accepted: 1, Rejected: 1, Dropped: 1}) {
			t.Errorf("%d calls, %+v", called, s)
		}
		closeNow(client)
	})
}

// Errors that say different things stay apart while their number is bounded.
func TestDistinctReportsStayApart(t *testing.T) {
	r := &reporter{onError: func(*Error) {}, running: true} // nothing is taken
	add := func(n int, message func(i int) string) {
		for i := range n {
			r.error(&Error{Code: CodeUnserializable, Message: message(i), Events: 1})
		}
	}
	add(1000, func(int) string { return "the same" })
	add(10, func(i int) string { return "another " + strconv.Itoa(i) })
	add(10, func(i int) string { return "another " + strconv.Itoa(i) })
	if got, want := len(r.reports), manyReports+10; got != want {
		t.Errorf("%d reports wait, want %d", got, want)
	}
	add(1000, func(i int) string { return "flood " + strconv.Itoa(i) })
	events := 0
	for _, waiting := range r.reports {
		events += waiting.err.Events
	}
	if n := len(r.reports); n != 2*manyReports || events != 2020 {
		t.Errorf("%d reports of %d events wait", n, events)
	}
}

// The causes of outages that wait for a callback are bounded, and the last one is among them.
func TestOutagesThatWait(t *testing.T) {
	r := &reporter{onOutage: func(string) {}, running: true}
	for i := range 1000 {
		r.outage(strconv.Itoa(i))
	}
	if n := len(r.reports); n != manyReports || *r.reports[n-1].outage != "999" {
		t.Errorf("%d reports wait, the last is %q", n, *r.reports[n-1].outage)
	}
}

// The port of this end differs in each attempt, and is no part of a cause.
func TestCauseWithoutLocalPort(t *testing.T) {
	p := newPoster(&Options{now: systemClock()})
	at := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}
	for port := range 2 {
		from := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000 + port}
		err := &url.Error{Op: "Post", URL: "http://x", Err: &net.OpError{Op: "read", Net: "tcp", Source: from, Addr: at, Err: syscall.ECONNRESET}}
		if got, want := p.failed(err).message, "read tcp 127.0.0.1:8080: connection reset by peer"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestCallbackThatDoesNotReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		client, recorded := newTestClient(t, newFakeServer(accepts), Options{OnError: func(*Error) { <-release }})
		client.reporter.onError = func(err *Error) { <-release; recorded.error(err) }
		const calls = 1000
		for range calls {
			_ = client.Track(Event{Data: map[string]any{"f": func() {}}})
		}
		if n := len(client.reporter.reports); n > manyReports {
			t.Errorf("%d reports wait", n)
		}
		track(t, client, "e", 1)
		start := time.Now()
		if err := client.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if waited := time.Since(start); waited != lastReports {
			t.Errorf("Close took %v", waited)
		}
		close(release)
		synctest.Wait()
		events := 0
		for _, err := range recorded.all() {
			events += err.Events
		}
		if events != calls {
			t.Errorf("%d events were reported, want %d", events, calls)
		}
	})
}

func TestRejectionsHoldUpTheSenderAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		server := newFakeServer([]contractAnswer{{Status: 202, Rejected: map[int][]string{0: {"x"}}}})
		client, _ := newTestClient(t, server, Options{BatchEvents: 1, OnRejected: func(Rejection) { <-release }})
		track(t, client, "e", 3)
		synctest.Wait()
		if n := len(server.received()); n != 1 {
			t.Errorf("%d requests while the callback runs", n)
		}
		close(release)
		if err := client.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := client.Stats(); s != (Stats{Rejected: 3}) {
			t.Errorf("%+v", s)
		}
	})
}

func TestCloseTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, recorded := newTestClient(t, newFakeServer(hangs), Options{})
		track(t, client, "e", 2)
		flushed := make(chan error, 1)
		go func() { flushed <- client.Flush(context.Background()) }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				if err := client.Close(ctx); codeOf(err) != CodeUnsent {
					t.Errorf("Close: %v", err)
				}
			})
		}
		both.Wait()
		if err := <-flushed; codeOf(err) != CodeUnsent {
			t.Errorf("Flush: %v", err)
		}
		compareErrors(t, []contractError{{CodeUnsent, 2}}, recorded.all())
		if err := client.Flush(t.Context()); err != nil {
			t.Errorf("Flush after Close: %v", err)
		}
		if err := client.Track(Event{}); codeOf(err) != CodeClosed {
			t.Errorf("Track after Close: %v", err)
		}
	})
}

func TestFlushThatEndsEarlyLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := newTestClient(t, newFakeServer(hangs), Options{})
		track(t, client, "e", 1)
		for range 100 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			if err := client.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Flush: %v", err)
			}
			cancel()
		}
		if n := len(client.waiters); n > 0 {
			t.Errorf("%d calls of Flush are remembered", n)
		}
		closeNow(client)
	})
}

func TestUnsentSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := newTestClient(t, newFakeServer([]contractAnswer{{Error: "reset"}}), Options{BatchEvents: 1})
		track(t, client, "e", 1)
		synctest.Wait()
		if failure := client.Stats().LastFailure; !strings.Contains(failure, "connection reset") || strings.Contains(failure, testKey) {
			t.Error(failure)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := client.Close(ctx)
		if err == nil || !strings.Contains(err.Error(), "connection reset") || strings.Contains(err.Error(), testKey) {
			t.Error(err)
		}
	})
}

func TestKeyIsNotInMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := `{"status":400,"detail":"no such key: ` + testKey + `"}`
		client, recorded := newTestClient(t, newFakeServer([]contractAnswer{{Status: 400, Body: &body}}), Options{})
		track(t, client, "e", 1)
		_ = client.Track(Event{Data: map[string]any{"f": leaking{}}})
		if err := client.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		compareErrors(t, []contractError{{CodeUnserializable, 1}, {CodeRefused, 1}}, recorded.all())
		for _, err := range recorded.all() {
			if strings.Contains(err.Error(), testKey) || !strings.Contains(err.Error(), "[key]") {
				t.Error(err)
			}
		}
	})
}

type leaking struct{}

func (leaking) MarshalJSON() ([]byte, error) { return nil, errors.New("not with " + testKey) }

func TestEventsAfterUnauthorizedAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, recorded := newTestClient(t, newFakeServer([]contractAnswer{{Status: 401}}), Options{QueueEvents: 3})
		track(t, client, "e", 2)
		time.Sleep(time.Second)
		track(t, client, "f", 3)
		time.Sleep(2 * time.Second)
		compareErrors(t, []contractError{{CodeUnauthorized, 2}, {CodeQueueFull, 2}}, recorded.all())
		if err := client.Flush(t.Context()); codeOf(err) != CodeUnauthorized {
			t.Errorf("Flush: %v", err)
		}
		if err := client.Close(t.Context()); codeOf(err) != CodeUnsent {
			t.Errorf("Close: %v", err)
		}
	})
}

// cutAnswers is a transport whose first answers end early.
type cutAnswers struct {
	*fakeServer
	cuts int
}

func (s *cutAnswers) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := s.fakeServer.RoundTrip(r)
	if err == nil && s.cuts > 0 {
		s.cuts--
		response.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"received":1`), failingReader{}))
	}
	return response, err
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestAnswerThatEndsEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &cutAnswers{newFakeServer(accepts), 2}
		client, _ := newTestClient(t, server, Options{})
		track(t, client, "e", 1)
		if err := client.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := len(server.received()); n != 3 {
			t.Errorf("%d requests, want 3", n)
		}
	})
}

func TestAnswersOfOthers(t *testing.T) {
	for _, body := range []string{"", "ok", "null", "[]", `{}`, `{"received":null}`, `{"received":"1"}`, `{"status":"ok"}`} {
		synctest.Test(t, func(t *testing.T) {
			server := newFakeServer([]contractAnswer{{Status: 200, Body: &body}, {Status: 202}})
			client, _ := newTestClient(t, server, Options{})
			track(t, client, "e", 1)
			if err := client.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := len(server.received()); n != 2 {
				t.Errorf("%d requests after an answer of %q", n, body)
			}
		})
	}
}

func TestRetryAfterOfADistantDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		headers := map[string]string{"Retry-After": "Fri, 01 Jan 2999 00:00:00 GMT"}
		client, _ := newTestClient(t, newFakeServer([]contractAnswer{{Status: 429, Headers: headers}, {Status: 202}}), Options{BatchEvents: 1})
		start := time.Now()
		track(t, client, "e", 1)
		if err := client.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(start); waited != maxAskedFor {
			t.Errorf("waited %v", waited)
		}
	})
}

func TestRetryAfterThatIsNotInTheFuture(t *testing.T) {
	for _, header := range []string{"0", "-1", "soon", "99999999999999999999", "Fri, 01 Jan 1999 00:00:00 GMT"} {
		synctest.Test(t, func(t *testing.T) {
			server := newFakeServer([]contractAnswer{{Status: 503, Headers: map[string]string{"Retry-After": header}}, {Status: 202}})
			client, _ := newTestClient(t, server, Options{BatchEvents: 1})
			start := time.Now()
			track(t, client, "e", 1)
			if err := client.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if waited := time.Since(start); waited < firstDelay/2 || waited > firstDelay {
				t.Errorf("Retry-After %q: waited %v", header, waited)
			}
		})
	}
}

func TestSequenceIsBounded(t *testing.T) {
	s := newSequence()
	first := s.sender
	long := strings.Repeat("x", 1000)
	for i := range 10_000 {
		if n := s.next(fmt.Sprint(long, i)); n != 1 {
			t.Fatalf("session %d begins with %d", i, n)
		}
	}
	if s.sender == first || len(s.counts) > sessionsBytes/1000 {
		t.Errorf("%d sessions are counted", len(s.counts))
	}
}

func TestInvalidOptions(t *testing.T) {
	valid := Options{URL: "http://eye.test", Key: testKey}
	for name, change := range map[string]func(*Options){
		"no URL":            func(o *Options) { o.URL = "" },
		"no scheme":         func(o *Options) { o.URL = "eye.test" },
		"another scheme":    func(o *Options) { o.URL = "ftp://eye.test" },
		"the key in URL":    func(o *Options) { o.URL = "http://eye.test/?key=" + testKey },
		"a control in URL":  func(o *Options) { o.URL = "http://eye.test/\x00" + testKey },
		"no key":            func(o *Options) { o.Key = "" },
		"a line in the key": func(o *Options) { o.Key = testKey + "\n" },
		"queue events":      func(o *Options) { o.QueueEvents = -1 },
		"batch delay":       func(o *Options) { o.BatchDelay = -1 },
		"sync, no spool":    func(o *Options) { o.SpoolSync = true },
		"a spool in a file": func(o *Options) { o.Spool = "client_test.go" },
	} {
		o := valid
		change(&o)
		client, err := New(o)
		if err == nil {
			closeNow(client)
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), testKey) {
			t.Errorf("%s: the key is in %v", name, err)
		}
	}
	client, err := New(valid)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSignedRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newFakeServer([]contractAnswer{{Status: 503, Headers: map[string]string{"Retry-After": "7"}}, {Status: 202}})
		client, _ := newTestClient(t, server, Options{Sign: true, now: (&fakeClock{start: time.Now(), wall: time.Unix(1_700_000_000, 0)}).now})
		if err := client.Track(Event{ID: "e", Category: "c", Name: "n", Data: map[string]any{"text": strings.Repeat("x", 2000)}}); err != nil {
			t.Fatal(err)
		}
		if err := client.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		first, second := server.received()[0], server.received()[1]
		if first.header.Get("Webhook-Id") != second.header.Get("Webhook-Id") || first.header.Get("Webhook-Id") == "" {
			t.Error("the ids of attempts differ")
		}
		if at := second.header.Get("Webhook-Timestamp"); at != "1700000007" {
			t.Errorf("the second attempt is of %s", at)
		}
		for _, r := range []fakeRequest{first, second} {
			if want := signature(r); r.header.Get("Webhook-Signature") != want {
				t.Errorf("signature %s, want %s", r.header.Get("Webhook-Signature"), want)
			}
		}
	})
}

// signature returns what docs/guides/keys.md says that a request with testKey is signed with.
func signature(r fakeRequest) string {
	secret := hmac.New(sha256.New, []byte(testKey))
	secret.Write([]byte("theeye signing"))
	mac := hmac.New(sha256.New, secret.Sum(nil))
	mac.Write([]byte(r.header.Get("Webhook-Id") + "." + r.header.Get("Webhook-Timestamp") + "."))
	mac.Write(r.wire)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
