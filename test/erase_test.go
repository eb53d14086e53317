package test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

// mary is what must never be seen again.
const mary = "mary-e41c"

func about(session, at string, n int) string {
	return fmt.Sprintf(`{"id":"%s-%d","session_id":%q,"category":"c","name":"n","data":{"n":%d},"timestamp":%q}`, session, n, session, n, at)
}

// An erased session is gone from every answer, and neither a retry nor a rebuild
// brings it back; what happens later in it is stored.
func TestErase(t *testing.T) {
	t.Parallel()
	s := start(t, "--flush-rows", "3")
	const before, after = "2021-01-01T00:00:00Z", "2021-01-01T00:00:01Z"
	for n := range 8 {
		s.must(s.call("POST", "/v1/events?wait=stored", s.write, "["+about(mary, before, n)+","+about("other", before, n)+"]"), 201)
	}
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, `{"session_id":"`+mary+`","category":"c","data":{},"timestamp":"2021-01-01T00:00:00Z"}`), 422)
	a := s.call("DELETE", "/v1/sessions/"+mary, s.admin, "")
	s.must(a, 200)
	if got := fmt.Sprint(a.json()["apps"]); got != "[map[app:shop events:8 rejections:1]]" {
		t.Errorf("the report says %s", got)
	}
	s.erased(8, 9)
	if a := s.call("GET", "/metrics", s.admin, ""); !strings.Contains(string(a.body), "\neye_queue_frames 0\n") {
		t.Error("the queue still holds frames of before the erasure")
	}

	// Again, as a sender that had no answer would: it is acknowledged and not kept.
	a = s.call("POST", "/v1/events?wait=stored", s.write, about(mary, before, 1))
	s.must(a, 201)
	if got := a.text("accepted"); got != "1" {
		t.Errorf("a retry was answered %s", a.body)
	}
	s.erased(8, 10)
	s.kill()
	s.launch()
	s.erased(8, 10)
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, `{"session_id":"`+mary+`","category":"c","name":"n","data":{},"timestamp":"2099-01-01T00:00:00Z"}`), 422)
	s.must(s.call("DELETE", "/v1/sessions/"+mary+"?app=nobody", s.admin, ""), 404)
	s.must(s.call("DELETE", "/v1/sessions/"+mary, s.read, ""), 403)
}

// erased checks what is left: so many events of the other session, and so many
// erased arrivals in the books.
func (s *server) erased(others, erased int) {
	s.t.Helper()
	s.eventually("the store to have caught up", func() bool { return s.call("GET", "/v1/books", s.read, "").status == 200 })
	s.must(s.call("GET", "/v1/sessions/"+mary, s.read, ""), 404)
	for _, path := range []string{"/v1/events?session_id=", "/v1/rejections?session_id=", "/v1/sessions?session_id="} {
		a := s.call("GET", path+mary, s.read, "")
		s.must(a, 200)
		for _, list := range []string{"events", "rejections", "sessions"} {
			if items, _ := a.json()[list].([]any); len(items) > 0 {
				s.t.Errorf("%s still gives %s", path, a.body)
			}
		}
	}
	if got := s.call("GET", "/v1/count", s.read, "").text("count"); got != fmt.Sprint(others) {
		s.t.Errorf("%s events, want %d", got, others)
	}
	book := s.call("GET", "/v1/books", s.read, "").json()["apps"].([]any)[0].(map[string]any)
	if book["balanced"] != true || fmt.Sprint(book["erased"]) != fmt.Sprint(erased) || fmt.Sprint(book["rejected"]) != "0" {
		s.t.Errorf("the books say %v", book)
	}
	a := s.call("GET", "/v1/receipts/"+url.PathEscape(mary+"-1"), s.read, "")
	s.must(a, 200)
	if a.text("status") != "erased" {
		s.t.Errorf("the receipt says %s", a.body)
	}
}

// A kill at any step of an erasure does not end it: it is finished at the next start.
func TestEraseSurvivesKills(t *testing.T) {
	t.Parallel()
	for _, step := range []string{
		"before manifest:1", "manifest written:1", "tombstone written:1", "before erasure:1", "segment filled:1", "segment written:2",
		"segment named:2", "before manifest:3", "manifest written:3", "before erasure:3", "before manifest:5", "manifest written:5",
	} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			s := &server{t: t, tags: "eyefault", data: t.TempDir(), args: []string{"--flush-rows", "1000"}}
			s.launch()
			s.must(s.call("POST", "/v1/apps", s.admin, `{"app":"shop"}`), 201)
			s.write, s.read = s.key("shop", "write"), s.key("shop", "read")
			s.shutDown()
			for n := range 3 { // each start ends with a segment; of four, a merge would make one
				s.launch()
				for i := range 2 {
					s.must(s.call("POST", "/v1/events?wait=stored", s.write, "["+about(mary, "2021-01-01T00:00:00Z", 2*n+i)+","+about("other", "2021-01-01T00:00:00Z", 2*n+i)+"]"), 201)
				}
				s.shutDown()
			}
			s.env = []string{"EYE_FAULT_KILL=" + step}
			s.launch()
			if a, err := s.try("DELETE", "/v1/sessions/"+mary, s.admin, nil); err == nil {
				t.Fatalf("the step was not reached: %s", a.body)
			}
			<-s.exited
			s.env = nil
			s.launch()
			s.eventually("the erasure to be finished", func() bool {
				return s.call("GET", "/v1/sessions/"+mary, s.read, "").status == 404
			})
			s.erased(6, 6)
		})
	}
}

// What came before an erasure goes, and stays away, whatever the clock or the zone of
// its sender says.
func TestErasedWhereItIsLater(t *testing.T) {
	t.Parallel()
	s := start(t, "--flush-rows", "3")
	s.must(s.call("PATCH", "/v1/apps/shop", s.admin, `{"time_zone":"Asia/Tokyo"}`), 200)
	tokyo := time.Now().UTC().Add(9*time.Hour - time.Second).Format("2006-01-02 15:04:05")
	ahead := func() string { return time.Now().UTC().Add(time.Hour).Format(time.RFC3339Nano) } // a sender's clock
	zoneless, at := about(mary, tokyo, 0), ahead()
	corrected := func() string { return fmt.Sprintf(`{"events":[%s],"sent_at":%q}`, about(mary, at, 1), ahead()) }
	rejected := fmt.Sprintf(`{"session_id":%q,"category":"c","data":{},"timestamp":%q}`, mary, tokyo)
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, zoneless), 201)
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, corrected()), 201)
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, rejected), 422)
	a := s.call("DELETE", "/v1/sessions/"+mary, s.admin, "")
	s.must(a, 200)
	if got := fmt.Sprint(a.json()["apps"]); got != "[map[app:shop events:2 rejections:1]]" {
		t.Errorf("the report says %s", got)
	}
	s.erased(0, 3)
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, zoneless), 201)
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, corrected()), 201)
	s.erased(0, 5)
}

// What happens in a session after its erasure is stored, and so is what is rejected of it, also
// when the clock of its application shows an earlier hour than UTC. What came before stays away:
// sent again, sent again with another sent_at or after the zone has changed, and as a replay.
func TestErasedWhereItIsEarlier(t *testing.T) {
	t.Parallel()
	s := start(t, "--flush-rows", "3")
	s.must(s.call("PATCH", "/v1/apps/shop", s.admin, `{"time_zone":"America/Los_Angeles"}`), 200)
	zone, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		t.Fatal(err)
	}
	local := func(d time.Duration) string { return time.Now().Add(d).In(zone).Format("2006-01-02 15:04:05.000000") }
	send := func(status int, body string) reply {
		t.Helper()
		a := s.call("POST", "/v1/events?wait=stored", s.write, body)
		s.must(a, status)
		return a
	}
	first, at := about(mary, local(-time.Second), 1), local(-time.Second)
	send(201, first)
	send(201, fmt.Sprintf(`{"events":[%s],"sent_at":%q}`, about(mary, at, 2), at))
	send(422, fmt.Sprintf(`{"id":"%s-3","session_id":%q,"category":"c","data":{},"timestamp":%q}`, mary, mary, at))
	s.must(s.call("DELETE", "/v1/sessions/"+mary+"?app=shop", s.admin, ""), 200)
	s.erased(0, 3)

	send(201, about(mary, local(0), 4))
	rejected := fmt.Sprintf(`{"id":"%s-5","session_id":%q,"category":"c","data":{},"timestamp":%q}`, mary, mary, local(0))
	send(422, rejected)
	left := func(events, rejections int) {
		t.Helper()
		for list, want := range map[string]int{"events": events, "rejections": rejections} {
			a := s.call("GET", "/v1/"+list+"?session_id="+mary, s.read, "")
			s.must(a, 200)
			if items, _ := a.json()[list].([]any); len(items) != want {
				t.Errorf("%d %s are left, want %d: %s", len(items), list, want, a.body)
			}
		}
	}
	left(1, 1)

	// What has no time that can be read came after the erasure; of a clock that is ahead, the
	// corrected time is before it, also of what is rejected.
	send(422, fmt.Sprintf(`{"session_id":%q,"category":"c","name":"n","data":{},"timestamp":"yesterday"}`, mary))
	send(422, fmt.Sprintf(`{"session_id":%q,"category":"c","name":"n","data":{}}`, mary))
	left(1, 3)
	ahead := fmt.Sprintf(`{"session_id":%q,"category":"c","data":{},"timestamp":%q}`, mary, local(50*time.Minute))
	send(201, fmt.Sprintf(`{"events":[%s],"sent_at":%q}`, ahead, local(time.Hour)))
	left(1, 3)

	send(201, first)
	send(201, fmt.Sprintf(`{"events":[%s],"sent_at":%q}`, about(mary, at, 2), local(0)))
	s.must(s.call("PATCH", "/v1/apps/shop", s.admin, `{"time_zone":"America/New_York"}`), 200)
	send(201, first)
	left(1, 3)

	// A replay keeps its time of receipt, which is after the first erasure and before the second.
	s.must(s.call("PATCH", "/v1/apps/shop", s.admin, `{"time_zone":"America/Los_Angeles"}`), 200)
	s.must(s.call("DELETE", "/v1/sessions/"+mary+"?app=shop", s.admin, ""), 200)
	left(0, 0)
	send(201, strings.Replace(rejected, `"data"`, `"name":"n","data"`, 1))
	left(0, 0)
}

// An erasure that cannot be finished is answered with 503 and tried again; it does not keep others
// from being finished.
func TestEraseWhileAnotherFails(t *testing.T) {
	t.Parallel()
	s := &server{t: t, tags: "eyefault", data: t.TempDir(), args: []string{"--flush-rows", "1000"}}
	s.launch()
	s.must(s.call("POST", "/v1/apps", s.admin, `{"app":"shop"}`), 201)
	s.write, s.read = s.key("shop", "write"), s.key("shop", "read")
	for _, session := range []string{mary, "second"} { // a segment each
		s.must(s.call("POST", "/v1/events?wait=stored", s.write, "["+about(session, "2021-01-01T00:00:00Z", 1)+","+about("other", "2021-01-01T00:00:00Z", len(session))+"]"), 201)
		s.shutDown()
		s.env = []string{"EYE_FAULT_FAIL=before erasure:2"}
		s.launch()
	}
	a := s.call("DELETE", "/v1/sessions/"+mary, s.admin, "")
	s.must(a, 503)
	if a.header.Get("Retry-After") == "" || !strings.Contains(a.text("detail"), "continues in the background") {
		t.Errorf("the answer is %v %s", a.header, a.body)
	}
	s.must(s.call("DELETE", "/v1/sessions/second", s.admin, ""), 200)
	s.must(s.call("GET", "/v1/sessions/second", s.read, ""), 404)
	s.must(s.call("GET", "/v1/sessions/"+mary, s.read, ""), 200)
	s.must(s.call("DELETE", "/v1/sessions/"+mary, s.admin, ""), 200)
	s.must(s.call("GET", "/v1/sessions/"+mary, s.read, ""), 404)
}

// An erasure finds what was rejected by the session that it names, wherever in the body that
// stands, and says how many rejections have none.
func TestEraseFindsRejectionsThatCouldNotBeRead(t *testing.T) {
	t.Parallel()
	s := start(t)
	send := func(body string, headers ...string) {
		t.Helper()
		if a := s.call("POST", "/v1/events?wait=stored", s.write, body, headers...); !strings.Contains(string(a.body), `"status":"rejected"`) && a.status != 400 {
			t.Fatalf("%s was answered %d %s", body[:min(len(body), 100)], a.status, a.body)
		}
	}
	const rest = `"category":"c","name":"n","timestamp":"2021-01-01T00:00:00Z"`
	bodies := []string{
		`{"session_id":"` + mary + `","data":{"x":1,"x":2},` + rest + `}`,
		`{"data":{"x":1,"x":2},` + rest + `,"session_id":"` + mary + `"}`,
		`{"data":{"x":"\ud800"},` + rest + `,"session_id":"` + mary + `"}`,
		`{"data":{"x":"` + strings.Repeat("x", 300_000) + `"},"session_id":"` + mary + `"}`,
	}
	line := `{"session_id":"` + mary + `","data":{"x":1`
	all := func() {
		t.Helper()
		for _, body := range bodies {
			send(body)
		}
		send(line)
		send(line, "Content-Type", "application/x-ndjson")
	}
	all()
	send(`{"data":{},` + rest + `,"session_id":["another"]}`)
	a := s.call("DELETE", "/v1/sessions/"+mary, s.admin, "")
	s.must(a, 200)
	if got := fmt.Sprint(a.json()["apps"], a.json()["rejections_without_session"]); got != "[map[app:shop events:0 rejections:6]] 1" {
		t.Errorf("the report says %s", got)
	}
	if got := residue(t, s.data, []string{mary}); len(got) > 0 {
		t.Errorf("it is still in %v", got)
	}
	code, out := runEye(t, nil, "erase", "--session", "nobody", "--yes", "--data", s.data)
	if code != 0 || !strings.Contains(out, "eye: 1 rejection has no session, so it was not searched; check it with `eye rejections ") {
		t.Errorf("eye erase printed %s", out)
	}
}
