package theeye

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// contractCase is a case of clients/contract; its README says what the members mean.
type contractCase struct {
	Name     string              `json:"name"`
	Only     []string            `json:"only"`
	Except   []string            `json:"except"`
	Options  contractOptions     `json:"options"`
	Start    time.Time           `json:"start"`
	Steps    []contractStep      `json:"steps"`
	Answers  []contractAnswer    `json:"answers"`
	Requests []contractRequest   `json:"requests"`
	Errors   []contractError     `json:"errors"`
	Rejected []contractRejection `json:"rejected"`
	Outages  []*int              `json:"outages"`
	Queued   int                 `json:"queued"`
	UntilMS  *int                `json:"until_ms"`
}

type contractOptions struct {
	BatchEvents int `json:"batch_events"`
	BatchBytes  int `json:"batch_bytes"`
	QueueEvents int `json:"queue_events"`
	QueueBytes  int `json:"queue_bytes"`
}

type contractStep struct {
	AtMS       int             `json:"at_ms"`
	Track      *contractEvent  `json:"track"`
	Times      int             `json:"times"`
	SetClockMS *int            `json:"set_clock_ms"`
	FlushMS    json.RawMessage `json:"flush_ms"`
	Flushed    *bool           `json:"flushed"`
	CloseMS    json.RawMessage `json:"close_ms"`
}

type contractEvent struct {
	ID        string         `json:"id"`
	SessionID string         `json:"session_id"`
	Category  string         `json:"category"`
	Name      string         `json:"name"`
	Data      map[string]any `json:"data"`
	Timestamp time.Time      `json:"timestamp"`
}

type contractAnswer struct {
	Status   int               `json:"status"`
	Headers  map[string]string `json:"headers"`
	Body     *string           `json:"body"`
	Rejected map[int][]string  `json:"rejected"`
	AfterMS  int               `json:"after_ms"`
	Error    string            `json:"error"`
}

type contractRequest struct {
	AtMS     [2]int           `json:"at_ms"`
	Events   []map[string]any `json:"events"`
	SentAt   string           `json:"sent_at"`
	SameAs   *int             `json:"same_as"`
	Contains string           `json:"contains"`
}

type contractError struct {
	Code   Code `json:"code"`
	Events int  `json:"events"`
}

type contractRejection struct {
	Event int      `json:"event"`
	Codes []string `json:"codes"`
}

func TestContract(t *testing.T) {
	files, err := filepath.Glob("../contract/*.json")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d files of cases: %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		var cases []contractCase
		if err := decoder.Decode(&cases); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, c := range cases {
			if len(c.Only) > 0 && !slices.Contains(c.Only, "go") || slices.Contains(c.Except, "go") {
				continue
			}
			t.Run(strings.TrimSuffix(filepath.Base(file), ".json")+"/"+c.Name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { runCase(t, c) })
			})
		}
	}
}

// runCase runs a case in a bubble of virtual time.
func runCase(t *testing.T, c contractCase) {
	server := newFakeServer(c.Answers)
	wall := &fakeClock{start: time.Now(), wall: c.Start}
	recorded := &recorder{}
	client, err := New(Options{
		URL: "http://eye.test", Key: testKey, Transport: server, OnError: recorded.error, OnRejected: recorded.reject, OnOutage: recorded.outage, now: wall.now,
		BatchEvents: c.Options.BatchEvents, BatchBytes: c.Options.BatchBytes, QueueEvents: c.Options.QueueEvents, QueueBytes: c.Options.QueueBytes,
	})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	at := 0
	for _, step := range c.Steps {
		at = step.AtMS
		time.Sleep(time.Until(start.Add(time.Duration(at) * time.Millisecond)))
		runStep(t, client, wall, step)
	}
	end := start.Add(time.Duration(at)*time.Millisecond + 10*time.Minute)
	if c.UntilMS != nil {
		end = start.Add(time.Duration(*c.UntilMS) * time.Millisecond)
	}
	time.Sleep(time.Until(end))
	synctest.Wait()

	compareRequests(t, c.Requests, server.received(), start)
	compareErrors(t, c.Errors, recorded.all())
	compareOutages(t, c.Outages, recorded.causes())
	compareRejections(t, c, recorded.rejected(), server.received())
	if got := client.Stats().Queued; got != c.Queued {
		t.Errorf("%d events are queued, want %d", got, c.Queued)
	}
	closeNow(client)
	for _, err := range recorded.all() {
		if strings.Contains(err.Error(), testKey) {
			t.Errorf("the key is in %v", err)
		}
	}
}

func runStep(t *testing.T, client *Client, wall *fakeClock, step contractStep) {
	switch {
	case step.Track != nil:
		e := Event{
			ID: step.Track.ID, SessionID: step.Track.SessionID, Category: step.Track.Category, Name: step.Track.Name,
			Data: special(t, step.Track.Data), Timestamp: step.Track.Timestamp,
		}
		for range max(1, step.Times) {
			err := client.Track(e)
			if err != nil && codeOf(err) != CodeUnserializable && codeOf(err) != CodeClosed {
				t.Errorf("Track: %v", err)
			}
			if late := step.Track.Name == "late"; late != (codeOf(err) == CodeClosed) {
				t.Errorf("Track of %s: %v", step.Track.Name, err)
			}
			if bad := step.Track.Name == "bad"; bad != (codeOf(err) == CodeUnserializable) {
				t.Errorf("Track of %s: %v", step.Track.Name, err)
			}
		}
	case step.SetClockMS != nil:
		wall.set(time.Duration(*step.SetClockMS) * time.Millisecond)
	case step.FlushMS != nil:
		go func() {
			ctx, cancel := timeoutOf(t, step.FlushMS)
			defer cancel()
			if err := client.Flush(ctx); step.Flushed == nil || (err == nil) != *step.Flushed {
				t.Errorf("Flush: %v", err)
			}
		}()
	case step.CloseMS != nil:
		go func() {
			ctx, cancel := timeoutOf(t, step.CloseMS)
			defer cancel()
			_ = client.Close(ctx)
		}()
	default:
		t.Fatalf("a step does nothing: %+v", step)
	}
	synctest.Wait()
}

// timeoutOf returns a context for a number of milliseconds, or null.
func timeoutOf(t *testing.T, text json.RawMessage) (context.Context, context.CancelFunc) {
	var ms *int
	if err := json.Unmarshal(text, &ms); err != nil {
		t.Error(err)
	}
	if ms == nil {
		return context.WithCancel(t.Context())
	}
	return context.WithTimeout(t.Context(), time.Duration(*ms)*time.Millisecond)
}

// special returns the data that {"$special": …} stands for.
func special(t *testing.T, data map[string]any) map[string]any {
	name, ok := data["$special"]
	if !ok {
		return data
	}
	switch name {
	case "nan":
		return map[string]any{"n": math.NaN()}
	case "infinity":
		return map[string]any{"n": math.Inf(1)}
	case "circular":
		made := map[string]any{}
		made["n"] = made
		return made
	case "lone_surrogate":
		return map[string]any{"n": "\xed\xa0\x80"}
	case "big_integer":
		n, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
		return map[string]any{"n": n}
	case "text":
		return map[string]any{"n": strings.Repeat("x", int(data["bytes"].(float64)))}
	}
	t.Fatalf("unknown special value %v", name)
	return nil
}

func compareRequests(t *testing.T, want []contractRequest, got []fakeRequest, start time.Time) {
	for i, r := range got {
		at := r.at.Sub(start).Milliseconds()
		if i >= len(want) {
			t.Errorf("request %d at %d ms is one too many: %s", i, at, r.body)
			continue
		}
		w := want[i]
		if at < int64(w.AtMS[0]) || at > int64(w.AtMS[1]) {
			t.Errorf("request %d at %d ms, want %v", i, at, w.AtMS)
		}
		if w.SentAt != "" && r.sentAt != w.SentAt {
			t.Errorf("request %d has sent_at %s, want %s", i, r.sentAt, w.SentAt)
		}
		if w.SameAs != nil && !reflect.DeepEqual(r.events, got[*w.SameAs].events) {
			t.Errorf("request %d differs from %d", i, *w.SameAs)
		}
		if !bytes.Contains(r.body, []byte(w.Contains)) {
			t.Errorf("request %d does not contain %s: %s", i, w.Contains, r.body)
		}
		if w.SameAs == nil {
			compareEvents(t, i, w.Events, r.events)
		}
	}
	if len(got) < len(want) {
		t.Errorf("%d requests, want %d", len(got), len(want))
	}
}

func compareEvents(t *testing.T, request int, want []map[string]any, got []json.RawMessage) {
	if len(want) != len(got) {
		t.Errorf("request %d has %d events, want %d", request, len(got), len(want))
		return
	}
	for i := range want {
		var event map[string]any
		if err := json.Unmarshal(got[i], &event); err != nil {
			t.Fatal(err)
		}
		for member, value := range want[i] {
			if !reflect.DeepEqual(event[member], value) {
				t.Errorf("event %d of request %d has %s %v, want %v", i, request, member, event[member], value)
			}
		}
		if order := membersOf(t, got[i]); order != "id session_id category name data timestamp seq sender" {
			t.Errorf("the members are %s", order)
		}
	}
}

// membersOf returns the names of the members of an object in their order.
func membersOf(t *testing.T, object json.RawMessage) string {
	var names []string
	decoder := json.NewDecoder(bytes.NewReader(object))
	_, _ = decoder.Token()
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name.(string))
		if err := decoder.Decode(new(json.RawMessage)); err != nil {
			t.Fatal(err)
		}
	}
	return strings.Join(names, " ")
}

func compareErrors(t *testing.T, want []contractError, got []*Error) {
	if len(got) != len(want) {
		t.Fatalf("errors %v, want %v", got, want)
	}
	for i, w := range want {
		if got[i].Code != w.Code || w.Events != 0 && got[i].Events != w.Events {
			t.Errorf("error %d is %v with %d events, want %v", i, got[i], got[i].Events, w)
		}
	}
}

// compareOutages compares the status that each cause names, 0 for one without an answer, and null for
// the end of an outage.
func compareOutages(t *testing.T, want []*int, got []string) {
	if len(got) != len(want) {
		t.Fatalf("outages %q, want %d", got, len(want))
	}
	answered := regexp.MustCompile(`^the server answered ([0-9]+)`)
	for i, w := range want {
		status := ""
		if found := answered.FindStringSubmatch(got[i]); found != nil {
			status = found[1]
		}
		switch {
		case w == nil:
			if got[i] != "" {
				t.Errorf("outage %d is %q, want its end", i, got[i])
			}
		case *w == 0:
			if got[i] == "" || status != "" || strings.Contains(got[i], testKey) {
				t.Errorf("outage %d is %q, want no answer", i, got[i])
			}
		case status != strconv.Itoa(*w):
			t.Errorf("outage %d is %q, want an answer %d", i, got[i], *w)
		}
	}
}

func compareRejections(t *testing.T, c contractCase, got []Rejection, requests []fakeRequest) {
	if len(got) != len(c.Rejected) {
		t.Fatalf("%d events were rejected, want %d", len(got), len(c.Rejected))
	}
	for i, w := range c.Rejected {
		event := requests[0].events[w.Event]
		var codes []string
		for _, p := range got[i].Problems {
			codes = append(codes, p.Code)
		}
		if !bytes.Equal(got[i].Event, event) || !slices.Equal(codes, w.Codes) || !bytes.Contains(event, []byte(`"id":"`+got[i].ID+`"`)) {
			t.Errorf("rejection %d is %+v, want %v of %s", i, got[i], w.Codes, event)
		}
	}
}

const testKey = "eye_w_testkey"

func codeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}

func closeNow(c *Client) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = c.Close(ctx)
}

// fakeClock is a wall clock that can be set.
type fakeClock struct {
	start  time.Time
	wall   time.Time
	mu     sync.Mutex
	offset time.Duration
}

func (c *fakeClock) now() (time.Time, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	elapsed := time.Since(c.start)
	return c.wall.Add(elapsed + c.offset), elapsed
}

func (c *fakeClock) set(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += by
}

// recorder keeps what the callbacks get.
type recorder struct {
	mu         sync.Mutex
	errors     []*Error
	rejections []Rejection
	outages    []string
}

func (r *recorder) outage(cause string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outages = append(r.outages, cause)
}

// causes returns the causes of outages so far, "" for the end of one.
func (r *recorder) causes() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.outages)
}

func (r *recorder) error(err *Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errors = append(r.errors, err)
}

func (r *recorder) reject(rejected Rejection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rejections = append(r.rejections, rejected)
}

// all returns the errors so far.
func (r *recorder) all() []*Error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.errors)
}

// rejected returns the rejections so far.
func (r *recorder) rejected() []Rejection {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.rejections)
}

// codes returns the codes of the errors so far.
func (r *recorder) codes() (codes []Code) {
	for _, err := range r.all() {
		codes = append(codes, err.Code)
	}
	return codes
}

// fakeServer is a transport that gives answers in turn; the last one repeats.
type fakeServer struct {
	mu       sync.Mutex
	answers  []contractAnswer
	requests []fakeRequest
}

type fakeRequest struct {
	at     time.Time
	header http.Header
	wire   []byte // as sent
	body   []byte
	sentAt string
	events []json.RawMessage
}

func newFakeServer(answers []contractAnswer) *fakeServer { return &fakeServer{answers: answers} }

func (s *fakeServer) received() []fakeRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// ids returns the ids of the events received, in their order.
func (s *fakeServer) ids() (ids []string) {
	for _, r := range s.received() {
		for _, e := range r.events {
			var event struct {
				ID string `json:"id"`
			}
			_ = json.Unmarshal(e, &event)
			ids = append(ids, event.ID)
		}
	}
	return ids
}

func (s *fakeServer) RoundTrip(r *http.Request) (*http.Response, error) {
	got := fakeRequest{at: time.Now(), header: r.Header.Clone()}
	var err error
	if got.wire, err = io.ReadAll(r.Body); err != nil {
		return nil, err
	}
	got.body = got.wire
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(bytes.NewReader(got.wire))
		if err != nil {
			return nil, err
		}
		if got.body, err = io.ReadAll(unpacked); err != nil {
			return nil, err
		}
	}
	var document struct {
		SentAt string            `json:"sent_at"`
		Events []json.RawMessage `json:"events"`
	}
	decoder := json.NewDecoder(bytes.NewReader(got.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&document); err != nil {
		return nil, err
	}
	if r.Method != http.MethodPost || r.URL.RequestURI() != "/v1/events?quiet=1" || r.Header.Get("Authorization") != "Bearer "+testKey {
		return nil, errors.New("the request is not as documented")
	}
	if packed := got.header.Get("Content-Encoding") == "gzip"; packed != (len(got.body) >= 1024) {
		return nil, errors.New("bodies of 1 KiB or more are compressed, and no others")
	}
	got.sentAt, got.events = document.SentAt, document.Events
	s.mu.Lock()
	a := s.answers[min(len(s.requests), len(s.answers)-1)]
	s.requests = append(s.requests, got)
	s.mu.Unlock()
	return a.give(r, len(document.Events))
}

// give makes the answer to a request of n events.
func (a *contractAnswer) give(r *http.Request, n int) (*http.Response, error) {
	select {
	case <-time.After(time.Duration(a.AfterMS) * time.Millisecond):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	switch a.Error {
	case "reset":
		return nil, errors.New("connection reset by peer; key " + testKey)
	case "hang":
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	body := ""
	switch {
	case a.Body != nil:
		body = *a.Body
	case a.Status == http.StatusAccepted:
		answer := map[string]any{"received": n, "accepted": n - len(a.Rejected), "rejected": len(a.Rejected), "duplicates": 0}
		var events []map[string]any
		for i, codes := range a.Rejected {
			var problems []map[string]string
			for _, code := range codes {
				problems = append(problems, map[string]string{"code": code, "pointer": "", "message": "m"})
			}
			events = append(events, map[string]any{"index": i, "id": "x", "status": "rejected", "problems": problems})
		}
		answer["events"] = events
		text, err := json.Marshal(answer)
		if err != nil {
			return nil, err
		}
		body = string(text)
	}
	h := http.Header{}
	for name, value := range a.Headers {
		h.Set(name, value)
	}
	return &http.Response{StatusCode: a.Status, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}
