package test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

const (
	strict = `{"type":"object","required":["form"],"properties":{"form":{"type":"object","required":["first_name","last_name"]}}}`
	loose  = `{"type":"object","required":["form"],"properties":{"form":{"type":"object","required":["first_name"]}}}`
)

// replayed is what the answer of a replay tells.
type replayed struct {
	ReplayID   string `json:"replay_id"`
	State      string `json:"state"`
	Matched    int    `json:"matched"`
	WouldPass  int    `json:"would_pass"`
	WouldFail  int    `json:"would_fail"`
	Stored     int    `json:"stored"`
	Duplicates int    `json:"duplicates"`
	Rejected   int    `json:"still_rejected"`
	Conflicts  int    `json:"conflicts"`
	Erased     int    `json:"erased"`
	Examples   []struct {
		Passes bool   `json:"passes"`
		Diff   string `json:"diff"`
	} `json:"examples"`
}

// replay runs a replay to its end.
func (s *server) replay(body string) replayed {
	s.t.Helper()
	a := s.call("POST", "/v1/rejections/replay", s.admin, body)
	s.must(a, 202)
	return s.replayEnds(a)
}

func (s *server) replayEnds(a reply) (r replayed) {
	s.t.Helper()
	s.eventually("the replay to end", func() bool {
		if err := json.Unmarshal(a.body, &r); err != nil {
			s.t.Fatal(err)
		}
		if r.State != "running" {
			return true
		}
		a = s.call("GET", "/v1/replays/"+r.ReplayID, s.admin, "")
		return false
	})
	return r
}

// submit is an event of a form; last is its last_name, none when empty.
func submit(n int, session, last string) string {
	if last != "" {
		last = `,"last_name":"` + last + `"`
	}
	return fmt.Sprintf(`{"id":%q,"session_id":%q,"category":"form interaction","name":"submit","data":{"form":{"first_name":"J%d"%s},"price":1.50},"timestamp":"2021-01-01T09:15:00Z","sender":"web","seq":%d}`,
		formID(n), session, n, last, n)
}

func formID(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

func (s *server) putType(schema string) {
	s.t.Helper()
	s.must(s.call("PUT", "/v1/types/form%20interaction/submit", s.admin, schema), 200)
}

// sendAll sends a batch and waits until it is stored.
func (s *server) sendAll(events ...string) {
	s.t.Helper()
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, "["+strings.Join(events, ",")+"]"), 201)
}

// ledger is the account of shop: received, stored, rejected, duplicate, erased.
func (s *server) ledger() [5]int {
	s.t.Helper()
	a := s.call("GET", "/v1/books", s.read, "")
	var books struct {
		Apps     []struct{ Received, Stored, Rejected, Duplicate, Erased, Pending int }
		Balanced bool
	}
	if err := json.Unmarshal(a.body, &books, json.MatchCaseInsensitiveNames(true)); err != nil || !books.Balanced || len(books.Apps) != 1 || books.Apps[0].Pending != 0 {
		s.t.Fatalf("books: %v %s", err, a.body)
	}
	b := books.Apps[0]
	return [5]int{b.Received, b.Stored, b.Rejected, b.Duplicate, b.Erased}
}

// sequence returns the seq of the events of a session, in order.
func (s *server) sequence(session string) (list []int) {
	s.t.Helper()
	a := s.call("GET", "/v1/sessions/"+session, s.read, "")
	s.must(a, 200)
	var answer struct {
		Events []struct {
			Seq int `json:"seq"`
		} `json:"events"`
	}
	if err := json.Unmarshal(a.body, &answer); err != nil {
		s.t.Fatal(err)
	}
	for _, e := range answer.Events {
		list = append(list, e.Seq)
	}
	return list
}

func (s *server) same(what string, want, got any) {
	s.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// What a wrong schema refused is found, understood, and stored where it belongs
// once the schema is right.
func TestRejectionsAreReplayed(t *testing.T) {
	t.Parallel()
	s := start(t, "--flush-rows", "20")
	s.putType(strict)
	s.sendAll(submit(1, "s", "Doe"), submit(2, "s", ""), submit(3, "s", ""), submit(4, "s", "Roe"), submit(5, "t", ""))
	s.same("books", [5]int{5, 2, 3, 0, 0}, s.ledger())
	summary := s.call("GET", "/v1/rejections/summary", s.read, "")
	if !strings.Contains(string(summary.body), "UTC: 'form interaction/submit' from shop lacks /data/form/last_name") {
		t.Errorf("summary: %s", summary.body)
	}
	if a := s.call("GET", "/v1/sessions/s", s.read, ""); !strings.Contains(string(a.body), `"missing":[{"sender":"web","from_seq":2,"to_seq":3,"count":2,"after":"`+formID(1)+`","before":"`+formID(4)+`"}]`) {
		t.Errorf("session: %s", a.body)
	}
	bySession := `{"filter":{"code":"schema_violation","session_id":["s"]}`
	if r := s.replay(bySession + "}"); r.Matched != 2 || r.WouldFail != 2 || r.Rejected != 2 || r.Stored != 0 {
		t.Errorf("before the schema is right: %+v", r)
	}
	s.putType(loose)
	if r := s.replay(bySession + `,"dry_run":true}`); r.Matched != 2 || r.WouldPass != 2 || r.Stored != 0 || len(r.Examples) != 2 || r.Examples[0].Diff != "" {
		t.Errorf("dry run: %+v", r)
	}
	s.same("a dry run changes nothing", [5]int{5, 2, 3, 0, 0}, s.ledger())
	first := s.replay(bySession + "}")
	if first.Matched != 2 || first.Stored != 2 || first.State != "done" {
		t.Errorf("replay: %+v", first)
	}
	check := func(when string) {
		t.Helper()
		s.same("books "+when, [5]int{5, 4, 1, 0, 0}, s.ledger())
		s.same("session "+when, []int{1, 2, 3, 4}, s.sequence("s"))
		open := s.call("GET", "/v1/rejections?replayed=false", s.read, "")
		if n := strings.Count(string(open.body), `"became"`); n != 0 || !strings.Contains(string(open.body), formID(5)) {
			t.Errorf("open %s: %s", when, open.body)
		}
		done := s.call("GET", "/v1/rejections?replayed=true&event_id="+formID(2), s.read, "")
		if want := `"became":{"event_id":"` + formID(2) + `","fate":"stored"`; !strings.Contains(string(done.body), want) || !strings.Contains(string(done.body), first.ReplayID) {
			t.Errorf("became %s: %s", when, done.body)
		}
		receipt := s.call("GET", "/v1/receipts/"+formID(3), s.read, "")
		if receipt.text("status") != "stored" || !strings.Contains(string(receipt.body), `"fate":"rejected"`) || !strings.Contains(string(receipt.body), `"replay_id":"`+first.ReplayID+`"`) {
			t.Errorf("receipt %s: %s", when, receipt.body)
		}
		if e := s.call("GET", "/v1/events/"+formID(2), s.read, ""); e.text("schema_version") != "2" || !strings.Contains(string(e.body), `"price":1.50`) {
			t.Errorf("event %s: %s", when, e.body)
		}
	}
	check("at once")
	if again := s.replay(bySession + "}"); again.Matched != 0 || again.Stored != 0 {
		t.Errorf("a second replay: %+v", again)
	}
	check("after a second replay")
	s.shutDown()
	s.launch()
	check("after a restart")
	s.kill()
	s.launch()
	check("after a kill")
	for i := range 60 { // segments are written and merged
		s.sendAll(submit(100+i, "u", "x"))
	}
	receipt := s.call("GET", "/v1/receipts/"+formID(3), s.read, "")
	if receipt.text("status") != "stored" || !strings.Contains(string(receipt.body), first.ReplayID) {
		t.Errorf("receipt from segments: %s", receipt.body)
	}
	s.same("session from segments", []int{1, 2, 3, 4}, s.sequence("s"))
	s.same("books of segments", [5]int{65, 64, 1, 0, 0}, s.ledger())
}

// A patch repairs what was sent; what is stored meanwhile decides.
func TestPatchedReplays(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.putType(strict)
	s.sendAll(submit(1, "s", ""), submit(2, "s", ""), submit(3, "s", ""), `{"category":"c","name":"n","data":{},"timestamp":1,"id":"mine"}`)
	s.sendAll(submit(2, "s", "Doe"), submit(3, "s", "Other"))
	patch := `"patch":[{"op":"add","path":"/data/form/last_name","value":"Doe"}]`
	dry := s.replay(`{"filter":{"pointer":"/data/form/last_name"},"dry_run":true,` + patch + `}`)
	if dry.WouldPass != 3 || len(dry.Examples) != 3 || !strings.Contains(dry.Examples[0].Diff, `+      "last_name": "Doe"`) || !strings.Contains(dry.Examples[0].Diff, `"price": 1.50`) {
		t.Errorf("dry run: %+v", dry)
	}
	r := s.replay(`{"filter":{"pointer":"/data/form/last_name"},` + patch + `}`)
	if r.Stored != 1 || r.Duplicates != 1 || r.Conflicts != 1 || r.Rejected != 1 {
		t.Errorf("replay: %+v", r)
	}
	s.same("books", [5]int{6, 3, 2, 1, 0}, s.ledger())
	if r := s.replay(`{"filter":{"pointer":"/session_id"},"session_id":"late"}`); r.Stored != 1 {
		t.Errorf("a session is put in: %+v", r)
	}
	if a := s.call("GET", "/v1/sessions/late", s.read, ""); a.status != 200 || !strings.Contains(string(a.body), `"client_id":"mine"`) {
		t.Errorf("its session: %s", a.body)
	}
	if a := s.call("GET", "/v1/receipts/mine", s.read, ""); a.text("status") != "stored" {
		t.Errorf("its receipt: %s", a.body)
	}
	if r := s.replay(`{"filter":{},"patch":[{"op":"remove","path":"/data/none"}]}`); r.Matched != 1 || r.WouldFail != 1 {
		t.Errorf("a patch that does not fit: %+v", r)
	}
	s.same("books", [5]int{6, 4, 1, 1, 0}, s.ledger())
}

func TestReplaysThatAreRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.putType(strict)
	s.sendAll(submit(1, "s", ""))
	for body, want := range map[string]int{
		`{"filter":{},"patch":{"op":"add"}}`:                                    422,
		`{"filter":{},"patch":[{"op":"add","path":"/a"}]}`:                      422,
		`{"filter":{},"patch":[{"op":"change","path":"/a","value":1}]}`:         422,
		`{"filter":{},"patch":[{"op":"add","path":"data","value":1}]}`:          422,
		`{"filter":{},"patch":[{"op":"replace","path":"/id","value":"x"}]}`:     422,
		`{"filter":{},"patch":[{"op":"remove","path":"/id"}]}`:                  422,
		`{"filter":{},"patch":[{"op":"move","from":"/id","path":"/sender"}]}`:   422,
		`{"filter":{},"patch":[{"op":"add","path":"/app","value":"blog"}]}`:     422,
		`{"filter":{},"patch":[{"op":"replace","path":"","value":{"id":"x"}}]}`: 422,
		`{"filter":{},"time_zone":"Mars/Olympus"}`:                              422,
		`{"filter":{},"session_id":"` + strings.Repeat("x", 201) + `"}`:         422,
		`{}`:                             422,
		`{"filter":{"replayed":"true"}}`: 422,
		`{"filter":{"color":"red"}}`:     400,
		`{"filter":{"code":7}}`:          400,
		`{"filter":{},"paths":[]}`:       400,
		`[`:                              400,
	} {
		if a := s.call("POST", "/v1/rejections/replay", s.admin, body); a.status != want {
			t.Errorf("%s: %d %s, want %d", body, a.status, a.body, want)
		}
	}
	s.must(s.call("POST", "/v1/rejections/replay", s.read, `{"filter":{}}`), 403)
	s.must(s.call("GET", "/v1/replays", s.write, ""), 403)
	s.must(s.call("GET", "/v1/replays/"+uuid.NewString(), s.admin, ""), 404)
	s.must(s.call("DELETE", "/v1/replays/x", s.admin, ""), 404)
	if a := s.call("GET", "/v1/replays?cursor=x", s.admin, ""); a.status != 400 || !strings.Contains(a.text("detail"), "is not a cursor of this list; use next_cursor") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := s.call("GET", "/v1/replays", s.admin, ""); string(a.body) != `{"replays":[],"next_cursor":null}`+"\n" {
		t.Errorf("what was refused is listed: %s", a.body)
	}
	s.same("nothing changed", [5]int{1, 0, 1, 0, 0}, s.ledger())
}

// What is erased is not replayed into existence.
func TestErasedRejectionsAreNotReplayed(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.putType(strict)
	s.sendAll(submit(1, "s", ""), submit(2, "s", "Doe"), submit(3, "t", ""))
	s.putType(loose)
	s.must(s.call("DELETE", "/v1/sessions/s", s.admin, ""), 200)
	if r := s.replay(`{"filter":{}}`); r.Matched != 1 || r.Stored != 1 {
		t.Errorf("replay: %+v", r)
	}
	s.must(s.call("GET", "/v1/sessions/s", s.read, ""), 404)
	s.same("books", [5]int{3, 1, 0, 0, 2}, s.ledger())
	// What a replay brought through is erased with its rejection.
	s.must(s.call("DELETE", "/v1/sessions/t", s.admin, ""), 200)
	s.same("books", [5]int{3, 0, 0, 0, 3}, s.ledger())
	if a := s.call("GET", "/v1/receipts/"+formID(3), s.read, ""); a.text("status") != "erased" {
		t.Errorf("receipt: %s", a.body)
	}
	if a := s.call("GET", "/v1/rejections", s.read, ""); strings.Contains(string(a.body), "raw") {
		t.Errorf("rejections: %s", a.body)
	}
}

// A rejection says where in the text its problems are.
func TestRejectionsSayWhere(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, "{\n \"session_id\": \"s\",\n \"category\":\"c\", \"nam\":\"n\", \"data\":{},\"timestamp\":1}"), 422)
	list := s.call("GET", "/v1/rejections?"+url.Values{"code": {"invalid_field"}, "pointer": {"/nam"}, "category": {"c"}, "session_id": {"s"}}.Encode(), s.read, "")
	var found struct {
		Rejections []struct {
			ID string `json:"id"`
		} `json:"rejections"`
	}
	if err := json.Unmarshal(list.body, &found); err != nil || len(found.Rejections) != 1 {
		t.Fatalf("%v %s", err, list.body)
	}
	one := s.call("GET", "/v1/rejections/"+found.Rejections[0].ID, s.read, "")
	if want := `"pointer":"/nam","message":"unknown field; did you mean \"name\"?","line":3,"column":18,"offset":39`; !strings.Contains(string(one.body), want) {
		t.Errorf("%s\nlacks %s", one.body, want)
	}
}
