package cli

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"

	"theeye/internal/bench"
	"theeye/internal/demo"
)

func TestBenchReports(t *testing.T) {
	var mu sync.Mutex // guards polled
	polled := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case strings.HasSuffix(r.URL.Path, "/keys"):
			_, _ = io.WriteString(w, `{"key_id":"k1","kind":"write","key":"eye_w_bench"}`)
		case r.URL.RawQuery == "quiet=1":
			_, _ = io.WriteString(w, `{"received":10,"accepted":9,"rejected":1,"duplicates":0,"events":[]}`)
		case r.URL.Path == "/v1/events":
			var events []demo.Event
			if err := json.Unmarshal(body, &events); err != nil || len(events) != 1 {
				t.Errorf("probe %s", body)
				return
			}
			_, _ = io.WriteString(w, `{"received":1,"accepted":1,"rejected":0,"duplicates":0,"events":[{"index":0,"id":"`+events[0].ID.String()+`","status":"accepted"}]}`)
		case r.Method == http.MethodGet:
			mu.Lock()
			defer mu.Unlock()
			if polled[r.URL.Path]++; polled[r.URL.Path] < 3 {
				w.WriteHeader(http.StatusNotFound)
			}
		}
	}))
	defer server.Close()
	var out, errOut bytes.Buffer
	code := run([]string{"bench", "--url", server.URL, "--key", "eye_a_x", "--rate", "1000", "--batch", "10", "--duration", "300ms", "--json"}, nil, &out, &errOut)
	if code != 0 || errOut.Len() > 0 {
		t.Fatalf("exit %d: %s", code, &errOut)
	}
	var r bench.Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if r.Requests < 1 || r.Acknowledged != 9*int(r.Requests) || r.Rejected != int(r.Requests) || r.Codes["200"] != int(r.Requests) {
		t.Errorf("got %+v", r)
	}
	if r.Asked != 1000 || r.Sent <= 0 {
		t.Errorf("asked for %d, sent %f", r.Asked, r.Sent)
	}
	if r.Latency.P999 <= 0 || r.Visible == nil || r.Visible.Probes < 1 || r.Visible.Unseen+r.Visible.Failed > 0 || r.Visible.P50 <= 0 {
		t.Errorf("got %+v, visible %+v", r, r.Visible)
	}
}
