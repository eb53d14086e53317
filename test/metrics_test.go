package test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// values reads an answer of /metrics.
func (a reply) values(t *testing.T) map[string]float64 {
	t.Helper()
	values := map[string]float64{}
	for line := range strings.SplitSeq(string(a.body), "\n") {
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		v, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		values[line[:at]] = v
	}
	return values
}

// stored waits until everything that was acknowledged is stored.
func (s *server) stored() {
	s.t.Helper()
	s.eventually("everything to be stored", func() bool {
		a := s.call("GET", "/v1/books", s.read, "")
		return a.status == 200 && strings.Contains(string(a.body), `"pending":0,`)
	})
}

func TestMetricsNeedAKey(t *testing.T) {
	t.Parallel()
	s := start(t, "--metrics-listen", "127.0.0.1:0")
	all := s.call("POST", "/v1/keys", s.admin, `{"kind":"read"}`)
	s.must(all, 201)
	for _, c := range []struct {
		name, key string
		want      int
	}{
		{"no key", "", 401},
		{"a key that does not exist", "eye_r_x", 401},
		{"a write key", s.write, 403},
		{"a read key of one application", s.read, 403},
		{"a read key of all applications", all.text("key"), 200},
		{"an admin key", s.admin, 200},
	} {
		if a := s.call("GET", "/metrics", c.key, ""); a.status != c.want {
			t.Errorf("%s: %d, want %d", c.name, a.status, c.want)
		}
	}
	own := *s
	address := regexp.MustCompile(`"metrics","address":"([^"]+)"`).FindStringSubmatch(s.output.String())
	if address == nil {
		t.Fatalf("the log does not tell where metrics are:\n%s", s.output)
	}
	own.url = "http://" + address[1]
	get := func(path, key string) reply { // not what the OpenAPI document describes
		t.Helper()
		a, err := own.try("GET", path, key, nil)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	a := get("/metrics", "")
	own.must(a, 200)
	if _, ok := a.values(t)["eye_queue_frames"]; !ok {
		t.Errorf("metrics on an address of their own: %s", a.body)
	}
	for _, path := range []string{"/", "/v1/events", "/healthz"} {
		if a := get(path, s.admin); a.status != 404 {
			t.Errorf("%s on the address of metrics: %d", path, a.status)
		}
	}
}

// Each series moves by what was sent.
func TestMetricsMove(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.must(s.call("POST", "/v1/events", s.write, fine), 202)
	s.stored()
	before := s.call("GET", "/metrics", s.admin, "").values(t)
	s.must(s.call("POST", "/v1/events", s.write, fine), 202)
	s.must(s.call("POST", "/v1/events", s.write, `{"session_id":"s"}`), 422)
	s.must(s.call("POST", "/v1/events", s.write, `[`), 400)
	s.stored()
	s.must(s.call("GET", "/v1/events", s.read, ""), 200)
	after := s.call("GET", "/metrics", s.admin, "").values(t)

	want := map[string]float64{
		`eye_intake_events_total{status="accepted"}`:                   1,
		`eye_intake_events_total{status="rejected"}`:                   1,
		`eye_intake_problems_total{code="missing_field"}`:              3,
		`eye_intake_problems_total{code="timestamp_missing"}`:          1,
		`eye_intake_problems_total{code="invalid_json"}`:               1,
		`eye_intake_requests_total{result="acknowledged"}`:             2,
		`eye_intake_requests_total{result="unreadable"}`:               1,
		`eye_http_answers_total{route="POST /v1/events",status="202"}`: 1,
		`eye_http_answers_total{route="POST /v1/events",status="422"}`: 1,
		`eye_http_answers_total{route="POST /v1/events",status="400"}`: 1,
		`eye_http_seconds_count{route="GET /v1/events"}`:               1,
		`eye_queue_frame_bytes_count`:                                  3,
		`eye_queue_publish_seconds_count`:                              3,
		`eye_queue_frames`:                                             3,
		`eye_worker_records_total{fate="stored"}`:                      1,
		`eye_worker_records_total{fate="rejected"}`:                    2,
		`eye_worker_position`:                                          3,
	}
	got := map[string]float64{}
	for name := range want {
		if _, ok := after[name]; !ok {
			t.Errorf("%s is not there", name)
		}
		got[name] = after[name] - before[name]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what moved (-want +got):\n%s", diff)
	}
	// Of these there may be several, by kind and by place.
	sum := func(values map[string]float64, name, label string) (sum float64) {
		for series, v := range values {
			if strings.HasPrefix(series, name+"{") && strings.Contains(series, label) {
				sum += v
			}
		}
		return sum
	}
	for label, want := range map[string]float64{`table="events"`: 1, `table="rejections"`: 2} {
		if got := sum(after, "eye_store_rows", label) - sum(before, "eye_store_rows", label); got != want {
			t.Errorf("rows of the store with %s: %v more, want %v", label, got, want)
		}
	}
	const queries = "eye_store_query_seconds_count"
	if sum(after, queries, "") <= sum(before, queries, "") {
		t.Errorf("queries of the store: %v before, %v after", sum(before, queries, ""), sum(after, queries, ""))
	}
	for _, name := range []string{"eye_queue_frame_bytes_sum", "eye_queue_publish_seconds_sum", "eye_queue_bytes", "eye_queue_age_seconds"} {
		if after[name] <= before[name] {
			t.Errorf("%s: %v before, %v after", name, before[name], after[name])
		}
	}
	for _, name := range []string{"eye_worker_lag_seconds", "eye_queue_quota_bytes", "go_goroutines", "process_resident_memory_bytes"} {
		if after[name] <= 0 {
			t.Errorf("%s is %v", name, after[name])
		}
	}
}
