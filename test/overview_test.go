package test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func (s *server) ago(d time.Duration) string {
	return time.Now().Add(-d).UTC().Format(time.RFC3339Nano)
}

func (s *server) event(session string, ago time.Duration, more string) string {
	return fmt.Sprintf(`{"session_id":%q,"category":"page interaction","name":"pageview","data":{"path":"/x","ago":%q},"timestamp":%q%s}`, session, ago, s.ago(ago), more)
}

func dig(v any, path ...string) any {
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

// The overview compares a span with the one before, and shows a key only what it may see.
func TestOverview(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.must(s.call("POST", "/v1/apps", s.admin, `{"app":"blog"}`), 201)
	blog := s.key("blog", "write")
	for _, e := range []string{s.event("a", time.Hour, ""), s.event("a", time.Minute, ""), s.event("b", 30*time.Hour, ""), s.event("c", 30*time.Hour, "")} {
		s.must(s.call("POST", "/v1/events?wait=stored", s.write, e), 201)
	}
	s.must(s.call("POST", "/v1/events?wait=stored", blog, s.event("a", 2*time.Hour, "")), 201)
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, `{"session_id":"a"}`), 422)
	s.must(s.call("PUT", "/v1/types/page%20interaction/pageview", s.admin, `{"type":"object"}`), 200)
	all := s.call("GET", "/v1/overview", s.admin, "")
	s.must(all, 200)
	for path, want := range map[string]any{
		"events.count": 3., "events.before": 2., "sessions.count": 1., "sessions.before": 2., "sessions.approximate": false,
		"rejected.count": 1., "rejected.share": .25, "rejected.before": 0., "rejected.share_before": 0., "visible.events": 6.,
		"state.text": "all accounted for", "state.level": "ok", "state.balanced": true, "state.pending": 0., "state.ready": true,
	} {
		if got := dig(all.json(), strings.Split(path, ".")...); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	if p99, _ := dig(all.json(), "visible", "p99_ms").(float64); p99 <= 0 || p99 > 60_000 {
		t.Errorf("p99 %v", p99)
	}
	if marks, _ := dig(all.json(), "marks").([]any); len(marks) != 1 || dig(marks[0], "name") != "pageview" || dig(marks[0], "version") != 1. {
		t.Errorf("marks %v", marks)
	}
	one := s.call("GET", "/v1/overview", s.read, "").json()
	if dig(one, "events", "count") != 2. || dig(one, "sessions", "count") != 1. || dig(one, "rejected", "count") != 1. {
		t.Errorf("of one application: %v", one)
	}
	if got := s.call("GET", "/v1/overview?app=blog", s.admin, "").json(); dig(got, "events", "count") != 1. || dig(got, "rejected", "count") != 0. {
		t.Errorf("of blog: %v", got)
	}
	s.must(s.call("GET", "/v1/overview?app=blog", s.read, ""), 403)
	s.must(s.call("GET", "/v1/overview?from=2021-01-02&to=2021-01-01", s.read, ""), 400)
	s.must(s.call("GET", "/v1/overview?where=data.x=1", s.read, ""), 400)
	if got := s.call("GET", "/v1/overview?from=2021-01-01&to=2021-01-02", s.read, "").json(); dig(got, "events", "count") != 0. || dig(got, "rejected", "share") != 0. {
		t.Errorf("of another time: %v", got)
	}
}

// An application tells when something last came, also after a restart, and whether it is silent.
func TestSilentApplications(t *testing.T) {
	t.Parallel()
	s := start(t)
	last := func() any { return s.call("GET", "/v1/apps/shop", s.admin, "").json()["last_event_at"] }
	if got := last(); got != nil {
		t.Errorf("before any event: %v", got)
	}
	s.must(s.call("PATCH", "/v1/apps/shop", s.admin, `{"silent_after":"1m"}`), 200)
	for _, bad := range []string{`"1s"`, `"soon"`, `-1`} {
		if a := s.call("PATCH", "/v1/apps/shop", s.admin, `{"silent_after":`+bad+`}`); a.status != 422 && a.status != 400 {
			t.Errorf("%s: %d %s", bad, a.status, a.body)
		}
	}
	began := time.Now()
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, `{"session_id":"a"}`), 422)
	check := func(what string) {
		t.Helper()
		at, err := time.Parse(time.RFC3339, fmt.Sprint(last()))
		if err != nil || at.Before(began.Add(-time.Second)) || at.After(time.Now()) {
			t.Errorf("%s: %v", what, last())
		}
		if silent, _ := s.call("GET", "/v1/overview", s.read, "").json()["silent"].([]any); len(silent) != 0 {
			t.Errorf("%s: silent %v", what, silent)
		}
		seconds, ok := s.call("GET", "/metrics", s.admin, "").values(t)[`eye_app_silent_seconds{app="shop"}`]
		if !ok || seconds < 0 || seconds > 60 {
			t.Errorf("%s: silent for %v s, %v", what, seconds, ok)
		}
	}
	check("a rejection")
	s.shutDown()
	s.launch()
	check("after a restart")
	list := s.call("GET", "/v1/apps", s.admin, "").json()["apps"].([]any)
	for _, app := range list {
		if got := dig(app, "last_event_at"); (dig(app, "app") == "shop") != (got != nil) {
			t.Errorf("%v", app)
		}
	}
}

func TestSessionsHaveEnds(t *testing.T) {
	t.Parallel()
	s := start(t)
	for i, name := range []string{"first", "second", "last"} {
		body := strings.Replace(s.event("a", time.Hour-time.Duration(i)*time.Minute, ""), "pageview", name, 1)
		s.must(s.call("POST", "/v1/events?wait=stored", s.write, strings.Replace(body, "/x", "/"+name, 1)), 201)
	}
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, `{"session_id":"a","category":"c","name":"n","data":[]}`), 422)
	list := s.call("GET", "/v1/sessions", s.read, "").json()["sessions"].([]any)
	for _, session := range []any{list[0], s.call("GET", "/v1/sessions/a", s.read, "").json()["session"]} {
		if dig(session, "first", "name") != "first" || dig(session, "first", "path") != "/first" || dig(session, "last", "path") != "/last" ||
			dig(session, "last", "category") != "page interaction" || dig(session, "rejections") != 1. {
			t.Errorf("%v", session)
		}
	}
}

// A search finds an event by its id and by its payload, a session, a rejection and the text of an
// error, and shows a key only what it may see.
func TestFind(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.must(s.call("POST", "/v1/apps", s.admin, `{"app":"blog"}`), 201)
	blog := s.key("blog", "read")
	payload := s.event("visitor", time.Hour, "")
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, payload), 201)
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, s.event("visitor", time.Hour, `,"id":"order-1"`)), 201)
	bad := `{"session_id":"visitor","category":"c","name":"n","data":[],"timestamp":"yesterday"}`
	a := s.call("POST", "/v1/events?wait=stored", s.write, bad)
	s.must(a, 422)
	s.must(s.call("POST", "/v1/events", "eye_w_unknown-and-long-enough", fine), 401)
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, `{"session_id":"only wrong"}`), 422)
	find := func(key, text string) map[string]any {
		t.Helper()
		body := fmt.Sprintf(`{"q":%q}`, text)
		a := s.call("POST", "/v1/find", key, body)
		s.must(a, 200)
		return a.json()
	}
	sizes := func(v map[string]any) string {
		text := fmt.Sprint(v["as"])
		for _, kind := range []string{"receipts", "sessions", "rejections", "groups", "refused"} {
			list, _ := v[kind].([]any)
			text += fmt.Sprint(" ", len(list))
		}
		return text
	}
	rejection := fmt.Sprint(dig(s.call("GET", "/v1/rejections?session_id=visitor", s.read, "").json()["rejections"].([]any)[0], "id"))
	for _, c := range []struct{ key, text, want string }{
		{s.read, "order-1", "id 1 0 0 0 0"},
		{s.admin, " order-1\n", "id 1 0 0 0 0"},
		{blog, "order-1", "id 0 0 0 0 0"},
		{s.read, "visitor", "id 0 1 0 0 0"},
		{blog, "visitor", "id 0 0 0 0 0"},
		{s.read, payload, "payload 1 1 0 0 0"},
		{s.read, bad, "payload 0 1 1 0 0"},
		{blog, payload, "payload 0 0 0 0 0"},
		{s.read, "[" + payload + "," + bad + "]", "payload 1 1 1 0 0"},
		{s.read, `{"sent_at":"2026-01-01T00:00:00Z","events":[` + bad + "]}", "payload 0 1 1 0 0"},
		{s.read, "[1,2]", "id 0 0 0 0 0"},
		{s.read, "only wrong", "id 0 0 1 0 0"},
		{blog, "only wrong", "id 0 0 0 0 0"},
		{s.read, rejection, "id 0 0 1 0 0"},
		{blog, rejection, "id 0 0 0 0 0"},
		{s.read, "not a valid time", "id 0 0 0 1 0"},
		{blog, "not a valid time", "id 0 0 0 0 0"},
		{s.read, "nothing like it", "id 0 0 0 0 0"},
		{s.admin, "nothing like it", "id 0 0 0 0 1"},
		{s.read, strings.Repeat("long ", 100), "text 0 0 0 0 0"},
	} {
		if got := sizes(find(c.key, c.text)); got != c.want {
			t.Errorf("%.60s: %s, want %s", c.text, got, c.want)
		}
	}
	if got := find(s.admin, "nothing like it")["refused"].([]any)[0]; dig(got, "reason") != "unknown_key" || dig(got, "count") != 1. {
		t.Errorf("refused: %v", got)
	}
	s.must(s.call("POST", "/v1/find", s.read, `{"q":"  "}`), 400)
	s.must(s.call("POST", "/v1/find", s.read, `{"q":"`+strings.Repeat("x", 65<<10)+`"}`), 413)
	s.must(s.call("POST", "/v1/find", s.write, `{"q":"x"}`), 403)
	cookie, _ := s.signIn(s.read)
	s.must(s.as(cookie, "POST", "/v1/find", `{"q":"visitor"}`), 200)
}

// A summary in parts says when each problem occurred.
func TestSummaryInParts(t *testing.T) {
	t.Parallel()
	s := start(t)
	for range 3 {
		s.must(s.call("POST", "/v1/events?wait=stored", s.write, `{"session_id":"a"}`), 422)
	}
	a := s.call("GET", "/v1/rejections/summary?parts=4&from="+s.ago(time.Hour), s.read, "")
	s.must(a, 200)
	groups, _ := a.json()["groups"].([]any)
	for _, g := range groups {
		if got := fmt.Sprint(dig(g, "parts")); got != "[0 0 0 3]" {
			t.Errorf("the parts are %s", got)
		}
	}
	if len(groups) == 0 || strings.Contains(string(s.call("GET", "/v1/rejections/summary", s.read, "").body), "parts") {
		t.Errorf("%d groups, or parts that nobody asked for", len(groups))
	}
	for query, want := range map[string]string{
		"parts=4": "requires from", "parts=0&from=2020-01-01": "from 1 to 200", "parts=201&from=2020-01-01": "from 1 to 200", "parts=x&from=2020-01-01": "from 1 to 200",
		"parts=4&from=2020-01-02&to=2020-01-02": "must be before to",
	} {
		if a := s.call("GET", "/v1/rejections/summary?"+query, s.read, ""); a.status != 400 || !strings.Contains(string(a.body), want) {
			t.Errorf("%s: %d %s", query, a.status, a.body)
		}
	}
}
