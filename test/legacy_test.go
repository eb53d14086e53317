package test

import (
	"net/url"
	"strings"
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
	if a := s.call("POST", "/event/", "", "["+legacyEvent+","+legacyEvent+"]"); a.status != 400 || a.text("message") != "send a single event, as a JSON object" {
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
		{"filter=time", `{"init_time":1609492527.24386,"end_time":1609492527.24386}`, found},
		{"filter=time", `{"init_time":1609492527,"end_time":1609492527.2438599999}`, none}, // which no float64 is
		{"filter=time&utm_source=x", `{"init_time":1609492527,"end_time":1609492528}`, found},
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
	for _, c := range []struct{ query, body, want string }{
		{"filter=session_id,%ff", "", "filter must be UTF-8 without NUL characters"},
		{"filter=category,%ed%a0%80", "", "filter must be UTF-8 without NUL characters"},
		{"filter=session_id,%00", "", "filter must be UTF-8 without NUL characters"},
		{"filter=time&init_time=%ff&end_time=%ff", "", "is not a valid time"},
		{"filter=session_id,%", "", "the query is not valid"},
		{"filter=session_id;x", "", "the query is not valid"},
		{"filter=time", `{"init_time":1,"end_time":1e1000000}`, "end_time: a number may have at most 40 digits"},
		{"filter=time", `{"init_time":1,"end_time":true}`, "end_time must be a time, not true"},
		{"filter=time", `{"init_time":1,"end_time":null}`, "end_time is missing"},
	} {
		a := s.call("GET", "/event/?"+c.query, "", c.body)
		if a.status != 400 || a.header.Get("Content-Type") != "application/json" || !strings.Contains(a.text("message"), c.want) {
			t.Errorf("%s %s: %d %s", c.query, c.body, a.status, a.body)
		}
	}
	if a := s.call("PUT", "/event/", "", ""); a.status != 405 || a.header.Get("Allow") != "GET, HEAD, POST" || !strings.Contains(a.text("message"), "PUT is not allowed") {
		t.Errorf("PUT: %d %v %s", a.status, a.header, a.body)
	}
	if strings.Contains(s.output.String(), "ERROR") {
		t.Errorf("the log has an error:\n%s", s.output)
	}
	if a := start(t).call("POST", "/event/", "", legacyEvent); a.status != 404 {
		t.Errorf("without --legacy-app: %d", a.status)
	}
}
