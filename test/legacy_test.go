package test

import (
	"net/url"
	"testing"
)

const legacyEvent = `{"session_id":"x","category":"page, interaction","name":"n","data":{"a":1.50},"timestamp":"2021-01-01 09:15:27.243860"}`

func TestTheFirstEye(t *testing.T) {
	t.Parallel()
	s := start(t, "--legacy-app", "old")
	saved := s.call("POST", "/event/", "", legacyEvent, "Content-Type", "application/json")
	s.must(saved, 201)
	if string(saved.body) != "{\"message\":\"Event has been Saved!\"}\n" {
		t.Errorf("saved: %s", saved.body)
	}
	for _, c := range []struct{ name, body, want string }{
		{"the first missing field is named", `{"name":"n","data":{}}`, `{"message":{"session_id":"missing field 'session_id'"}}`},
		{"a missing time", `{"session_id":"x","category":"c","name":"n","data":{}}`, `{"message":{"timestamp":"missing field 'timestamp'"}}`},
		{"what validation refuses", `{"session_id":"x","category":"c","name":"n","data":[],"timestamp":1}`, `{"message":"data: data must be a JSON object, not an array"}`},
	} {
		a := s.call("POST", "/event/", "", c.body)
		s.must(a, 400)
		if string(a.body) != c.want+"\n" {
			t.Errorf("%s: %s", c.name, a.body)
		}
	}
	if a := s.call("POST", "/event/", "", "["+legacyEvent+","+legacyEvent+"]"); a.status != 400 || a.text("message") != "send one event, an object" {
		t.Errorf("a list: %d %s", a.status, a.body)
	}
	const found = `{"events":[{"session_id":"x","category":"page, interaction","name":"n","data":{"a":1.50},"timestamp":"2021-01-01 09:15:27.243860"}]}` + "\n"
	const none = `{"events":[]}` + "\n"
	at := url.Values{"filter": {"time"}, "init_time": {"2021-01-01 09:15:27.243860"}, "end_time": {"2021-01-01 09:15:27.243860"}}.Encode()
	for _, c := range []struct{ query, body, want string }{
		{"filter=session_id,x", "", found},
		{"filter=session_id,y", "", none},
		{"filter=category," + url.QueryEscape("page, interaction"), "", found},
		{at, "", found},
		{"filter=time", `{"init_time":"2021-01-01 09:15:27.243860","end_time":"2021-01-01 09:15:27.243860"}`, found},
		{"filter=time", `{"init_time":"2021-01-01 09:15:27.243861","end_time":"2022-01-01 00:00:00"}`, none},
	} {
		a := s.call("GET", "/event/?"+c.query, "", c.body)
		s.must(a, 200)
		if string(a.body) != c.want {
			t.Errorf("%s %s: %s", c.query, c.body, a.body)
		}
	}
	for _, query := range []string{"", "filter=name,x", "filter=session_id", "filter=time"} {
		if a := s.call("GET", "/event/?"+query, "", ""); a.status != 400 || a.text("message") == "<nil>" {
			t.Errorf("%q: %d %s", query, a.status, a.body)
		}
	}
	if a := start(t).call("POST", "/event/", "", legacyEvent); a.status != 404 {
		t.Errorf("without --legacy-app: %d", a.status)
	}
}
