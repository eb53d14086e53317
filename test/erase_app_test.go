package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fillTwo sends events and rejections of two applications.
func (s *server) fillTwo() {
	s.t.Helper()
	for n := range 4 {
		s.must(s.call("POST", "/v1/events?wait=stored", s.write, "["+about(mary, "2021-01-01T00:00:00Z", n)+","+about("other", "2021-01-01T00:00:00Z", n)+"]"), 201)
		s.must(s.call("POST", "/v1/events?wait=stored", s.keyOf("blog", "write"), about(mary, "2021-01-01T00:00:00Z", n)), 201)
	}
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, `{"session_id":"`+mary+`","category":"c","data":{},"timestamp":"2021-01-01T00:00:00Z"}`), 422)
	s.must(s.call("POST", "/v1/events", s.write, "no JSON of "+mary), 400)
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, about(mary, "2021-01-01T00:00:00Z", 0)), 201) // a duplicate
}

// keyOf makes a key of another application.
func (s *server) keyOf(app, kind string) string {
	s.t.Helper()
	_ = s.call("POST", "/v1/apps", s.admin, `{"app":"`+app+`"}`)
	return s.key(app, kind)
}

// gone checks that nothing is left of "shop", and that "blog" is whole.
func (s *server) gone() {
	s.t.Helper()
	s.must(s.call("GET", "/v1/apps/shop", s.admin, ""), 404)
	s.must(s.call("POST", "/v1/events", s.write, fine), 401)
	s.must(s.call("GET", "/v1/events", s.read, ""), 401)
	for _, path := range []string{"/v1/events?app=shop", "/v1/rejections?app=shop", "/v1/sessions?app=shop"} {
		if a := s.call("GET", path, s.admin, ""); a.status == 200 && strings.Contains(string(a.body), `"shop"`) {
			s.t.Errorf("%s still gives %s", path, a.body)
		}
	}
	books := s.call("GET", "/v1/books", s.admin, "")
	s.must(books, 200)
	for _, x := range books.json()["apps"].([]any) {
		account := x.(map[string]any)
		got := fmt.Sprintln(account["received"], account["stored"], account["rejected"], account["duplicate"], account["erased"], account["balanced"])
		if want := map[any]string{"shop": "11 0 0 1 10 true\n", "blog": "4 4 0 0 0 true\n"}[account["app"]]; got != want {
			s.t.Errorf("the books say %v", account)
		}
	}
	if got := s.call("GET", "/v1/count", s.admin, "").text("count"); got != "4" {
		s.t.Errorf("%s events are left, want 4", got)
	}
}

// An application goes with everything it sent; another one of its name begins empty, and may be
// sent the same again.
func TestEraseApp(t *testing.T) {
	t.Parallel()
	s := start(t, "--flush-rows", "3")
	s.fillTwo()
	s.must(s.call("DELETE", "/v1/apps/shop", s.admin, ""), 409)
	s.must(s.call("DELETE", "/v1/apps/shop?erase=yes", s.admin, ""), 400)
	s.must(s.call("DELETE", "/v1/apps/shop?erase=1", s.read, ""), 403)
	if got := s.call("GET", "/v1/count?app=shop", s.admin, "").text("count"); got != "8" {
		t.Fatalf("%s events are left of an application that was not erased", got)
	}
	backup := filepath.Join(t.TempDir(), "backup")
	if code, out := runEye(t, nil, "backup", backup, "--data", s.data); code != 0 {
		t.Fatal(out)
	}
	code, out := runEye(t, nil, "apps", "delete", "shop", "--erase", "--yes", "--data", s.data)
	if code != 0 || !strings.Contains(out, "erased 8 events and 2 rejections") {
		t.Fatalf("eye apps delete printed %s", out)
	}
	s.gone()
	s.kill()
	s.launch()
	s.gone()

	s.must(s.call("POST", "/v1/apps", s.admin, `{"app":"shop"}`), 201)
	s.must(s.call("POST", "/v1/events", s.write, fine), 401) // the keys of then
	s.must(s.call("DELETE", "/v1/apps/shop", s.admin, ""), 204)
	s.must(s.call("POST", "/v1/apps", s.admin, `{"app":"shop"}`), 201)
	s.write, s.read = s.key("shop", "write"), s.key("shop", "read")
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, about(mary, "2021-01-01T00:00:00Z", 1)), 201)
	s.kill()
	s.launch()
	if got := s.call("GET", "/v1/sessions/"+mary, s.read, ""); got.status != 200 || fmt.Sprint(got.json()["session"].(map[string]any)["events"]) != "1" {
		t.Errorf("what was sent again is shown as %s", got.body)
	}

	// With the tombstones a backup of before does not bring it back.
	data := filepath.Join(t.TempDir(), "data")
	if code, out := runEye(t, nil, "restore", backup, "--data", data, "--tombstones", filepath.Join(s.data, "tombstones")); code != 0 {
		t.Fatal(out)
	}
	other := &server{t: t, data: data}
	other.launch()
	other.eventually("what was erased to be gone", func() bool { return other.call("GET", "/v1/count?app=shop", other.admin, "").text("count") == "0" })
	if got := other.call("GET", "/v1/count?app=blog", other.admin, "").text("count"); got != "4" {
		t.Errorf("%s events of the other application were restored", got)
	}
}

// A kill at any step of it does not end it.
func TestEraseAppSurvivesKills(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"before tombstone:1", "before manifest:1", "tombstone written:1", "before erasure:1", "segment written:1", "manifest written:3"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			s := &server{t: t, tags: "eyefault", data: t.TempDir(), args: []string{"--flush-rows", "1000"}}
			s.launch()
			s.prepare()
			s.fillTwo()
			s.shutDown()
			s.env = []string{"EYE_FAULT_KILL=" + step}
			s.launch()
			if a, err := s.try("DELETE", "/v1/apps/shop?erase=1", s.admin, nil); err == nil {
				t.Fatalf("the step was not reached: %s", a.body)
			}
			<-s.exited
			s.env = nil
			s.launch()
			s.eventually("the application to be gone", func() bool { return s.call("GET", "/v1/apps/shop", s.admin, "").status == 404 })
			s.gone()
			s.eventually("the trail to tell of it", func() bool {
				return actsOf(s.trail("&app=shop")[:2]) == "finishErasure done, deleteApp begun"
			})
		})
	}
}

// An erasure that cannot be finished is answered with 503 and goes on: the application goes without
// another request.
func TestEraseAppGoesOn(t *testing.T) {
	t.Parallel()
	s := &server{t: t, tags: "eyefault", data: t.TempDir(), args: []string{"--flush-rows", "1000"}}
	s.launch()
	s.prepare()
	s.fillTwo()
	s.shutDown()
	s.env = []string{"EYE_FAULT_FAIL=before erasure:1"}
	s.launch()
	s.must(s.call("DELETE", "/v1/apps/shop?erase=1", s.admin, ""), 503)
	s.must(s.call("GET", "/v1/apps/shop", s.admin, ""), 200)
	s.eventually("the application to be gone", func() bool { return s.call("GET", "/v1/apps/shop", s.admin, "").status == 404 })
	s.gone()
}

// An application that was erased while the clock was ahead, and created again, keeps the events
// that it sends when the clock is right: an erasure of an application goes by frames, not by times.
func TestErasedApplicationIsMadeAgainAfterAWrongClock(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "off")
	setClock(t, file, 24*time.Hour)
	s := &server{t: t, tags: "eyefault", data: t.TempDir(), env: []string{"EYE_FAULT_CLOCK=" + file}}
	s.launch()
	s.prepare()
	s.post(numbered(0, 10))
	s.must(s.call("DELETE", "/v1/apps/shop?erase=1", s.admin, ""), 200)
	setClock(t, file, 0)
	s.prepare()
	s.post(numbered(0, 10))
	s.counts(10)
	s.kill()
	s.launch()
	s.counts(10)
	s.must(s.call("DELETE", "/v1/sessions/s0", s.admin, ""), 200) // a pass over everything
	s.post(numbered(20, 30))
	s.kill()
	s.launch()
	if got := s.call("GET", "/v1/count?session_id=s2", s.read, "").text("count"); got != "10" {
		t.Errorf("%s events of a session that was never erased", got)
	}
}

// After a finished erasure, a start trims the queue up to the frame up to which the erasure trimmed
// it, and no further: later frames stay, from which a damaged segment can be rebuilt.
func TestAnErasureTrimsOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.post(about(mary, "2021-01-01T00:00:00Z", 1))
	s.must(s.call("DELETE", "/v1/sessions/"+mary, s.admin, ""), 200)
	s.post(numbered(0, 100))
	s.shutDown() // flushes
	s.launch()
	s.eventually("erasures to have been looked at", func() bool { return s.call("GET", "/v1/books", s.read, "").status == 200 })
	for range 2 {
		s.must(s.call("DELETE", "/v1/sessions/nobody", s.read, ""), 403)
		if m := string(s.call("GET", "/metrics", s.admin, "").body); strings.Contains(m, "\neye_queue_frames 0\n") {
			t.Error("the start has trimmed what came after the erasure")
		}
		s.kill()
		s.launch()
	}
	s.shutDown()
	if err := os.Truncate(s.segments()[len(s.segments())-1], 10_000); err != nil {
		t.Fatal(err)
	}
	s.launch()
	s.eventually("the segment to be rebuilt", func() bool { return s.account()["lost"] == 0.0 })
	s.counts(100)
}
