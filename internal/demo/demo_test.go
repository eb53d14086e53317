package demo

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"theeye/internal/client"
	"theeye/internal/schema"
)

func TestSamplesAreMostlyRight(t *testing.T) {
	types := map[string]*schema.Type{}
	for _, each := range Types(appName) {
		compiled, err := schema.Compile(each.Category, each.Name, 1, each.Schema)
		if err != nil {
			t.Fatal(err)
		}
		types[each.Category+"/"+each.Name] = compiled
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := newSampler(1)
	names, wrong, sessions := map[string]int{}, 0, map[string]int{}
	const n = 5000
	for range n {
		e := s.next(now)
		names[e.Name]++
		sessions[e.SessionID]++
		if at, err := time.Parse(time.RFC3339Nano, e.Timestamp); err != nil || !at.Equal(now) || len(types[e.Category+"/"+e.Name].Check(e.Data)) > 0 {
			wrong++
		}
	}
	if wrong < n/wrongEvery/2 || wrong > n/wrongEvery*2 {
		t.Errorf("%d of %d are wrong", wrong, n)
	}
	if names["pageview"] < n/3 || names["cta click"] < n/5 || names["submit"] < n/20 {
		t.Errorf("names %v", names)
	}
	if perSession := n / len(sessions); perSession < 8 || perSession > 16 {
		t.Errorf("%d events in a session", perSession)
	}
}

func TestDemoPreparesSendsAndRevokes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var calls []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls = append(calls, r.Method+" "+r.URL.EscapedPath()+" "+r.Header.Get("Authorization"))
		switch r.URL.Path {
		case "/v1/apps":
			w.WriteHeader(http.StatusConflict)
		case "/v1/apps/demo/keys":
			_, _ = io.WriteString(w, `{"key_id":"k1","app":"demo","kind":"write","key":"eye_w_demo"}`)
		case "/v1/events":
			events := eventsIn(t, r)
			if len(events) == 0 || events[0].Sender == "" {
				t.Errorf("%+v", events)
			}
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, `{"received":1,"accepted":1,"rejected":0,"duplicates":0,"events":[]}`)
			cancel()
		}
	}))
	defer server.Close()
	c, err := client.New(server.URL, "eye_a_x")
	if err != nil {
		t.Fatal(err)
	}
	if err := Run(ctx, Options{Client: c}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"POST /v1/apps Bearer eye_a_x",
		"PUT /v1/types/demo%20page%20interaction/pageview Bearer eye_a_x",
		"PUT /v1/types/demo%20page%20interaction/cta%20click Bearer eye_a_x",
		"PUT /v1/types/demo%20form%20interaction/submit Bearer eye_a_x",
		"POST /v1/apps/demo/keys Bearer eye_a_x",
		"POST /v1/events Bearer eye_w_demo",
		"DELETE /v1/apps/demo/keys/k1 Bearer eye_a_x",
	}
	server.Close() // waits for the handlers
	// What comes while the first events are sent is sent at the end.
	if diff := cmp.Diff(want, slices.Compact(calls)); diff != "" {
		t.Error(diff)
	}
}

// eventsIn returns the events of a request of the Go client.
func eventsIn(t *testing.T, r *http.Request) []Event {
	t.Helper()
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(body)
		if err != nil {
			t.Fatal(err)
		}
		body = unpacked
	}
	var sent struct {
		SentAt string  `json:"sent_at"`
		Events []Event `json:"events"`
	}
	if err := json.UnmarshalRead(body, &sent, json.RejectUnknownMembers(true)); err != nil {
		t.Error(err)
	}
	return sent.Events
}
