package test

import (
	"fmt"
	"strings"
	"testing"
)

// The most frequent values of a time are shown as events show times.
func TestValuesOfTimes(t *testing.T) {
	t.Parallel()
	s := start(t)
	const one = `{"session_id":"s","category":"c","name":"n","data":{},"timestamp":"2021-01-01T01:00:00.25+01:00","sent_at":"2021-01-01T00:00:01Z"}`
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, "["+one+","+one+"]"), 201)
	event := s.call("GET", "/v1/events?limit=1", s.read, "").json()["events"].([]any)[0].(map[string]any)
	for _, field := range []string{"occurred_at", "received_at", "sent_at"} {
		want := fmt.Sprintf(`{"field":%q,"values":[{"value":%q,"count":2}],"other":0}`, field, event[field])
		if a := s.call("GET", "/v1/values?field="+field, s.read, ""); a.status != 200 || strings.TrimSpace(string(a.body)) != want {
			t.Errorf("answered %d %s, want %s", a.status, a.body, want)
		}
	}
}
