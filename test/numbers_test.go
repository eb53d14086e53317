package test

import (
	"net/url"
	"strings"
	"testing"
)

// Numbers are compared and counted by their exact values.
func TestNumbersAreExact(t *testing.T) {
	t.Parallel()
	s := start(t)
	var events []string
	for _, v := range []string{"1234567890123456789", "1234567890123456788", "1234567890123456789.0", "1.0", "1", "10e-1", `"1"`, "0.1234567890123456789"} {
		events = append(events, `{"session_id":"s","category":"c","name":"n","timestamp":"2021-01-01T00:00:00Z","data":{"v":`+v+`}}`)
	}
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, "["+strings.Join(events, ",")+"]"), 201)
	for where, want := range map[string]string{
		"data.v=1234567890123456789":   `{"count":2}`,
		"data.v=1234567890123456788":   `{"count":1}`,
		"data.v>1234567890123456788":   `{"count":2}`,
		"data.v=1":                     `{"count":4}`,
		"data.v=0.1234567890123456789": `{"count":1}`,
		"data.v=0.123456789012345678":  `{"count":0}`,
	} {
		if a := s.call("GET", "/v1/count?where="+url.QueryEscape(where), s.read, ""); !strings.HasPrefix(string(a.body), want[:len(want)-1]) {
			t.Errorf("%s: answered %d %s, want %s", where, a.status, a.body, want)
		}
	}
	const values = `{"field":"data.v","values":[{"value":"1","type":"number","count":3},{"value":"1234567890123456789","type":"number","count":2},` +
		`{"value":"0.1234567890123456789","type":"number","count":1},{"value":"1","count":1},{"value":"1234567890123456788","type":"number","count":1}],"other":0}`
	if a := s.call("GET", "/v1/values?field=data.v", s.read, ""); strings.TrimSpace(string(a.body)) != values {
		t.Errorf("the values are %s, want %s", a.body, values)
	}
	for _, long := range []string{strings.Repeat("1", 41), "1e309"} {
		if a := s.call("GET", "/v1/count?where=data.v="+long, s.read, ""); a.status != 400 || !strings.Contains(string(a.body), "40 digits") {
			t.Errorf("%s: answered %d %s", long, a.status, a.body)
		}
	}
}
