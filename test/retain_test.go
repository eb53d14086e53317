package test

import (
	"fmt"
	"testing"
	"time"
)

// What is older on arrival than it would be kept is accepted and not stored; an
// application may keep longer than the server.
func TestRetention(t *testing.T) {
	t.Parallel()
	s := start(t, "--retain", "30d")
	old := fmt.Sprintf(`{"session_id":"s","category":"c","name":"n","data":{},"timestamp":%q}`, time.Now().UTC().AddDate(0, -2, 0).Format(time.RFC3339))
	a := s.call("POST", "/v1/events?wait=stored", s.write, old)
	s.must(a, 201)
	if a.text("accepted") != "1" {
		t.Errorf("answered %s", a.body)
	}
	book := func() map[string]any {
		return s.call("GET", "/v1/books", s.read, "").json()["apps"].([]any)[0].(map[string]any)
	}
	if b := book(); fmt.Sprint(b["expired"]) != "1" || b["balanced"] != true {
		t.Errorf("the books say %v", b)
	}
	s.must(s.call("PATCH", "/v1/apps/shop", s.admin, `{"retain":"soon"}`), 422)
	s.must(s.call("PATCH", "/v1/apps/shop", s.admin, `{"retain":"1s"}`), 422)
	s.must(s.call("PATCH", "/v1/apps/shop", s.admin, `{"retain":"365d"}`), 200)
	if got := s.call("GET", "/v1/apps/shop", s.admin, "").text("retain"); got != "365d" {
		t.Errorf("retain is %q", got)
	}
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, old), 201)
	if b := book(); fmt.Sprint(b["expired"]) != "1" || fmt.Sprint(b["stored"]) != "1" || b["balanced"] != true {
		t.Errorf("the books say %v", b)
	}
}

// A kill at any step of an expiry changes nothing of what is left in the end: what
// has expired is counted once, and the rest is there once.
func TestExpirySurvivesKills(t *testing.T) {
	t.Parallel()
	recent := time.Now().UTC().Format(time.RFC3339)
	for _, step := range []string{
		"before expiry:1", "before expiry>before manifest:1", "before expiry>manifest written:1", "before expiry:2",
		"before expiry>segment filled:1", "before expiry>segment written:1", "before expiry>segment named:1",
		"before expiry>before manifest:2", "before expiry>manifest written:2",
	} {
		t.Run(step, func(t *testing.T) {
			s := &server{t: t, tags: "eyefault", data: t.TempDir()}
			s.launch()
			s.prepare()
			// Two segments: one expires as a whole, the other in part.
			const old = "2021-01-01T00:00:00Z"
			s.must(s.call("POST", "/v1/events?wait=stored", s.write, "["+about("a", old, 0)+","+about("a", old, 1)+"]"), 201)
			s.shutDown()
			s.launch()
			s.must(s.call("POST", "/v1/events?wait=stored", s.write, "["+about("a", old, 2)+","+about("b", recent, 0)+","+about("b", recent, 1)+"]"), 201)
			s.must(s.call("PATCH", "/v1/apps/shop", s.admin, `{"retain":"30d"}`), 200)
			s.shutDown()
			s.env = []string{"EYE_FAULT_KILL=" + step}
			s.run()
			s.killedByItself()
			s.env = nil
			s.launch()
			s.eventually("what has expired to be gone", func() bool {
				a := s.call("GET", "/v1/books", s.read, "")
				return a.status == 200 && fmt.Sprint(s.account()["expired"]) == "3"
			})
			if b := s.account(); fmt.Sprint(b["stored"]) != "2" || fmt.Sprint(b["received"]) != "5" || b["balanced"] != true {
				t.Errorf("the books say %v", b)
			}
			for session, want := range map[string]string{"a": "0", "b": "2"} {
				if got := s.call("GET", "/v1/count?session_id="+session, s.read, "").text("count"); got != want {
					t.Errorf("session %s has %s events, want %s", session, got, want)
				}
			}
		})
	}
}
