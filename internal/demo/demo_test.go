package demo

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"theeye/internal/client"
)

// server answers the demo's calls. Each first event of an application is told to received.
func server(t *testing.T, received func(app string, e Event)) (connect func(key string) *client.Client, calls func() []string) {
	t.Helper()
	var mu sync.Mutex
	var list []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		call := r.Method + " " + r.URL.EscapedPath() + " " + key
		if !slices.Contains(list, call) {
			list = append(list, call)
		}
		app, ofKeys := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/v1/apps/"), "/keys")
		switch {
		case ofKeys:
			_, _ = io.WriteString(w, `{"key_id":"k","app":"`+app+`","kind":"write","key":"eye_w_`+app+`"}`)
		case r.Method == http.MethodGet && r.URL.Path != "/v1/apps/"+blog: // which is not there
			_, _ = io.WriteString(w, "{}")
		case r.Method == http.MethodGet:
			w.WriteHeader(http.StatusNotFound)
		case r.URL.Path == "/v1/events":
			for _, e := range eventsIn(t, r) {
				received(strings.TrimPrefix(key, "eye_w_"), e)
			}
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, `{"received":1,"accepted":1,"rejected":0,"duplicates":0,"events":[]}`)
		}
	}))
	t.Cleanup(s.Close)
	connect = func(key string) *client.Client {
		c, err := client.New(s.URL, key)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	return connect, func() []string {
		mu.Lock()
		defer mu.Unlock()
		slices.Sort(list)
		return list
	}
}

// Live traffic goes on with the visitors who were there, and ends with its keys revoked.
func TestRunSendsAndRevokes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	rest := newTraffic(5, false).visit(History{}.Until)
	rest[0].app = callCenter
	of := map[string]string{}
	connect, calls := server(t, func(app string, e Event) {
		of[e.ID.String()] = app
		if of[rest[0].event.ID.String()] == callCenter && len(of) > len(rest) {
			cancel()
		}
	})
	if err := Run(ctx, Options{Connect: connect, AdminKey: "eye_a_x", Seed: 1, Rest: Rest{events: rest}}); err != nil {
		t.Fatal(err)
	}
	want := []string{"POST /v1/apps eye_a_x"}
	for _, app := range []string{shop, callCenter, blog} {
		want = append(want, "GET /v1/apps/"+app+" eye_a_x", "POST /v1/apps/"+app+"/keys eye_a_x", "DELETE /v1/apps/"+app+"/keys/k eye_a_x")
	}
	sent := slices.DeleteFunc(calls(), func(call string) bool { return strings.HasPrefix(call, "POST /v1/events ") })
	slices.Sort(want)
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Error(diff)
	}
}

// A guest sends everything from one application, in categories that nobody else has.
func TestGuestKeepsToItself(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	connect, calls := server(t, func(app string, e Event) {
		if app != guestApp || !strings.HasPrefix(e.Category, "demo ") {
			t.Errorf("%s sends %+v", app, e)
		}
		cancel()
	})
	if err := Run(ctx, Options{Connect: connect, AdminKey: "eye_a_x", Guest: true}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"DELETE /v1/apps/demo/keys/k eye_a_x",
		"GET /v1/apps/demo eye_a_x",
		"POST /v1/apps/demo/keys eye_a_x",
		"POST /v1/events eye_w_demo",
		"PUT /v1/types/demo%20article/read eye_a_x",
		"PUT /v1/types/demo%20call/call%20ended eye_a_x",
		"PUT /v1/types/demo%20call/call%20started eye_a_x",
		"PUT /v1/types/demo%20form/submit eye_a_x",
		"PUT /v1/types/demo%20page/click eye_a_x",
		"PUT /v1/types/demo%20page/view eye_a_x",
	}
	if diff := cmp.Diff(want, calls()); diff != "" {
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
			t.Error(err)
			return nil
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
