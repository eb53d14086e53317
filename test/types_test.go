package test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const pageview = "/v1/types/page%20interaction/pageview"

// pageviews sends so many events of the type with the given data, and waits until
// they are stored or rejected.
func (s *server) pageviews(n int, data string) {
	s.t.Helper()
	event := `{"session_id":"s","category":"page interaction","name":"pageview","data":` + data + `,"timestamp":"2021-01-01 09:15:27.243860"}`
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, "["+strings.TrimSuffix(strings.Repeat(event+",", n), ",")+"]"), 201)
}

func TestVersionsOfATypeAreKept(t *testing.T) {
	t.Parallel()
	s := start(t)
	const narrow, wide = `{"type":"object","required":["path"]}`, `{"type":"object"}`
	put := func(params, schema string, status int) reply {
		t.Helper()
		a := s.call("PUT", pageview+params, s.admin, schema)
		s.must(a, status)
		return a
	}
	for _, step := range []struct {
		params, schema string
		version, made  string
	}{
		{"", narrow, "1", "true"},
		{"", " { \"required\": [\"path\"], \"type\": \"object\" }", "1", "false"}, // the same, written otherwise
		{"?dry_run=1", wide, "2", "true"},
		{"", wide, "2", "true"},
	} {
		if a := put(step.params, step.schema, 200); a.text("version") != step.version || a.text("made") != step.made {
			t.Errorf("PUT%s %s: %s", step.params, step.schema, a.body)
		}
	}
	refused := put("", narrow, 409)
	want := []any{map[string]any{"pointer": "/required", "reason": "property 'path' is now required and was not before"}}
	if diff := cmp.Diff(want, refused.json()["reasons"]); diff != "" || refused.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s: %s", refused.header.Get("Content-Type"), diff)
	}
	put("?dry_run=1", narrow, 409)
	put("?force=2", narrow, 400)
	put("?forced=1", narrow, 400)
	put("", `{"type":"text"}`, 422)
	if a := put("?force=1", narrow, 200); a.text("version") != "3" || len(a.json()["reasons"].([]any)) != 1 {
		t.Errorf("forced back: %s", a.body)
	}
	s.must(s.call("DELETE", pageview, s.admin, ""), 204)
	s.must(s.call("GET", pageview, s.read, ""), 404)
	if a := put("", `{"type":"object","required":["path","host"]}`, 200); a.text("version") != "4" {
		t.Errorf("after its end: %s", a.body)
	}

	a := s.call("GET", pageview+"/versions", s.read, "")
	s.must(a, 200)
	got := ""
	for _, v := range a.json()["versions"].([]any) {
		m := v.(map[string]any)
		got += fmt.Sprint(m["version"], len(m["schema"].(map[string]any)), m["author"] != nil, m["created_at"] != nil, m["deleted_at"] != nil, " ")
	}
	if want := "1 2 true true false 2 1 true true false 3 2 true true true 4 2 true true false "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	s.must(s.call("GET", "/v1/types/no/such/versions", s.read, ""), 404)
	s.must(s.call("GET", pageview+"/versions", s.write, ""), 403)
	s.must(s.call("PUT", pageview, s.read, wide), 403)

	// They are the same after a crash.
	s.kill()
	s.launch()
	if again := s.call("GET", pageview+"/versions", s.read, ""); string(again.body) != string(a.body) {
		t.Errorf("after a crash: %s", again.body)
	}
}

func TestADraftIsTried(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.pageviews(9, `{"path":"/","n":1}`)
	s.must(s.call("PUT", pageview, s.admin, `{"properties":{"path":{"type":"string"}},"required":["path"]}`), 200)
	s.pageviews(5, `{"paht":"/"}`)
	s.must(s.call("POST", "/v1/events", s.write, `{"session_id":"s","category":"page interaction","name":"pageview","data":{"paht":"/"}}`), 422)
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, `{"session_id":"s","category":"page interaction","name":"other","data":{},"timestamp":1}`), 201)
	s.eventually("all to be rejected", func() bool { return len(s.rejections("category=page%20interaction")) == 6 })

	try := func(params, draft string) map[string]any {
		t.Helper()
		a := s.call("POST", pageview+"/try"+params, s.admin, draft)
		s.must(a, 200)
		return a.json()
	}
	sum := func(part any) string {
		m := part.(map[string]any)
		text := fmt.Sprint(m["checked"], " ", m["would_fail"], m["would_pass"], " ", len(m["examples"].([]any)))
		for _, p := range m["pointers"].([]any) {
			text += fmt.Sprint(" ", p.(map[string]any)["pointer"], " ", p.(map[string]any)["count"])
		}
		return text
	}
	for _, c := range []struct{ name, params, draft, stored, rejected string }{
		// The one without a timestamp would be refused whatever the schema says.
		{"nothing is required", "", `{"properties":{"path":{"type":"string"}}}`, "9 0 <nil> 0", "6 <nil> 5 5 /timestamp 1"},
		{"the same as now", "", `{"properties":{"path":{"type":"string"}},"required":["path"]}`, "9 0 <nil> 0", "6 <nil> 0 0 /data/path 6 /timestamp 1"},
		{"more is required", "", `{"required":["path","host"],"properties":{"n":{"minimum":2}}}`, "9 9 <nil> 9 /data/host 9 /data/n 9", "6 <nil> 0 0 /data/host 6 /data/path 6 /timestamp 1"},
		{"the newest alone", "?last=4", `{}`, "4 0 <nil> 0", "4 <nil> 3 3 /timestamp 1"},
	} {
		got := try(c.params, c.draft)
		if stored, rejected := sum(got["stored"]), sum(got["rejected"]); stored != c.stored || rejected != c.rejected {
			t.Errorf("%s: stored %s, rejected %s; want %s, %s", c.name, stored, rejected, c.stored, c.rejected)
		}
	}
	answer := try("", `{"required":["path","host"]}`)
	example := answer["stored"].(map[string]any)["examples"].([]any)[0].(map[string]any)
	s.must(s.call("GET", "/v1/events/"+example["id"].(string), s.read, ""), 200)
	if reasons := answer["reasons"].([]any); len(reasons) != 1 {
		t.Errorf("a draft that breaks: %v", reasons)
	}
	passes := try("", `{}`)["rejected"].(map[string]any)["examples"].([]any)[0].(map[string]any)
	s.must(s.call("GET", "/v1/rejections/"+passes["id"].(string), s.read, ""), 200)

	// Nothing was changed, and what is asked wrongly is told.
	if a := s.call("GET", pageview, s.read, ""); a.text("version") != "1" {
		t.Errorf("trying made a version: %s", a.body)
	}
	s.must(s.call("POST", pageview+"/try", s.admin, `{"type":"text"}`), 422)
	for _, params := range []string{"?last=0", "?last=100001", "?last=x", "?first=1"} {
		s.must(s.call("POST", pageview+"/try"+params, s.admin, `{}`), 400)
	}
	s.must(s.call("POST", pageview+"/try", s.read, `{}`), 403)

	// What a replay has brought through is settled.
	s.must(s.call("PUT", pageview, s.admin, `{}`), 200)
	s.must(s.call("POST", "/v1/rejections/replay", s.admin, `{"filter":{}}`), 202)
	if got := sum(try("", `{}`)["rejected"]); got != "1 <nil> 0 0 /timestamp 1" {
		t.Errorf("after a replay: rejected %s", got)
	}
	s.balanced(16)
}

func TestASchemaIsProposed(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.must(s.call("POST", pageview+"/propose", s.admin, ""), 404)

	// A type whose events are all refused is drawn from them.
	s.must(s.call("PATCH", "/v1/apps/shop", s.admin, `{"unknown_types":"reject"}`), 200)
	s.pageviews(30, `{"path":"/","at":"2026-01-01T00:00:00Z"}`)
	s.must(s.call("POST", "/v1/events", s.write, `{"session_id":"s","category":"page interaction","name":"pageview","data":[],"timestamp":1}`), 422)
	s.eventually("all to be rejected", func() bool { return len(s.rejections("code=unknown_event_type")) == 31 })
	tried := s.call("POST", pageview+"/try", s.admin, `{}`).json()["rejected"].(map[string]any)
	if fmt.Sprint(tried["checked"], tried["would_pass"]) != "31 30" {
		t.Errorf("with a type they are not unknown any more: %v", tried)
	}
	a := s.call("POST", pageview+"/propose", s.admin, "")
	s.must(a, 200)
	if a.text("source") != "rejected" || a.text("events") != "30" {
		t.Errorf("of rejections: %s", a.body)
	}
	schema := a.json()["schema"].(map[string]any)
	want := map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "required": []any{"at", "path"},
		"properties": map[string]any{"path": map[string]any{"type": "string"}, "at": map[string]any{"type": "string", "format": "date-time"}},
	}
	if diff := cmp.Diff(want, schema); diff != "" {
		t.Error(diff)
	}

	// It can be put as it is, and then the same events are stored.
	body := string(a.body)
	document := body[strings.Index(body, `"schema":`)+len(`"schema":`) : strings.Index(body, `,"evidence":`)]
	s.must(s.call("PUT", pageview, s.admin, document), 200)
	s.pageviews(29, `{"path":"/","at":"2026-01-01T00:00:00Z","more":1}`)
	a = s.call("POST", pageview+"/propose?last=20", s.admin, "")
	s.must(a, 200)
	if a.text("source") != "stored" || a.text("events") != "20" || !strings.Contains(string(a.body), `{"pointer":"/properties/more","statement":"required","seen":20,"of":20,"exceptions":0}`) {
		t.Errorf("of stored events: %s", a.body)
	}
	s.must(s.call("POST", pageview+"/propose?last=0", s.admin, ""), 400)
	s.must(s.call("POST", pageview+"/propose", s.read, ""), 403)
}
