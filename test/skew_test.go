package test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Wrong clocks are corrected, which the event shows, and are told of in numbers.
func TestSkew(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.must(s.call("PATCH", "/v1/apps/shop", s.admin, `{"time_zone":"Asia/Kolkata"}`), 200)
	now := time.Now().UTC()
	send := func(id string, clock time.Duration, form, zone string) {
		at := now.Add(clock).Add(5*time.Hour + 30*time.Minute) // as a clock in Kolkata shows it
		sent := now.Add(clock).Format(time.RFC3339Nano)
		s.must(s.call("POST", "/v1/events?wait=stored", s.write, fmt.Sprintf(
			`{"id":%q,"session_id":"s","category":"c","name":"n","data":{},"timestamp":%q,"sent_at":%q}`, id, at.Format(form)+zone, sent)), 201)
	}
	const zoneless = "2006-01-02 15:04:05.000000"
	send("right", 0, zoneless, "")
	send("behind", -2*time.Hour, zoneless, "")
	send("ahead", 26*time.Hour, "2006-01-02T15:04:05.000000", "+05:30")
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, fine), 201) // says nothing of its clock

	for id, want := range map[string]float64{"right": 0, "behind": 7200e3, "ahead": -26 * 3600e3} {
		e := s.call("GET", "/v1/events/"+id, s.read, "").json()
		by, shown := e["corrected_by_ms"].(float64)
		if shown != (want != 0) || by < want-1 || by > want+60e3 {
			t.Errorf("%s was corrected by %v ms, want %v: %v", id, by, want, e)
		}
		at, err := time.Parse(time.RFC3339, fmt.Sprint(e["occurred_at"]))
		if off := at.Sub(now); err != nil || off.Abs() > time.Minute {
			t.Errorf("%s is said to have occurred %v off", id, off)
		}
		if e["sent_at"] == nil || e["timestamp"] == nil {
			t.Errorf("%s does not show what was sent: %v", id, e)
		}
	}
	skew := s.call("GET", "/v1/apps/shop", s.admin, "").json()["skew"].(map[string]any)
	if fmt.Sprint(skew["events"], " ", skew["corrected"]) != "3 2" || skew["max_ms"].(float64) < 26*3600e3-60e3 || skew["p50_ms"].(float64) < 7200e3 || skew["p50_ms"].(float64) > 7200e3*9/8+60e3 {
		t.Errorf("of three clocks it tells %v", skew)
	}
	metrics := string(s.call("GET", "/metrics", s.admin, "").body)
	for _, line := range []string{`eye_intake_skew_seconds_bucket{le="-86400"} 1`, `eye_intake_skew_seconds_bucket{le="60"} 2`, `eye_intake_skew_seconds_count 3`} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("/metrics lacks %s", line)
		}
	}
}
