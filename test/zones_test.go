package test

import (
	"net/url"
	"strings"
	"testing"
)

// Times without a zone, and the days of a series, are in the zone of the key's application or in
// that of time_zone.
func TestZonesOfQueries(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.must(s.call("PATCH", "/v1/apps/shop", s.admin, `{"time_zone":"America/New_York"}`), 200)
	var events []string
	for _, at := range []string{"2024-11-02 23:59:59", "2024-11-03 00:00:00", "2024-11-03 23:59:59", "2024-11-04 00:00:00"} { // a day of 25 hours
		events = append(events, `{"session_id":"s","category":"c","name":"n","data":{},"timestamp":"`+at+`"}`)
	}
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, "["+strings.Join(events, ",")+"]"), 201)
	const there, utc = "time_zone=America/New_York&", "time_zone=UTC&"
	for _, test := range []struct{ key, query, want string }{
		{s.read, "from=2024-11-03&to=2024-11-04", "2"},
		{s.read, "from=2024-11-03+00:00:00&to=2024-11-04T00:00:00", "2"},
		{s.admin, there + "from=2024-11-03&to=2024-11-04", "2"},
		{s.read, "to=2024-11-03", "1"},
		{s.admin, "to=2024-11-03", "0"},
		{s.admin, there + "to=2024-11-03+00:00:00", "1"},
		{s.read, utc + "to=2024-11-03", "0"},
		{s.read, "from=2024-11-03T04:00:00Z&to=2024-11-04T05:00:00Z", "2"},
		{s.read, "where=" + url.QueryEscape("occurred_at>=2024-11-03 00:00:00") + "&where=" + url.QueryEscape("occurred_at<2024-11-04"), "2"},
		{s.read, utc + "where=" + url.QueryEscape("occurred_at>=2024-11-04 00:00:00"), "2"},
	} {
		if a := s.call("GET", "/v1/count?"+test.query, test.key, ""); !strings.HasPrefix(string(a.body), `{"count":`+test.want+"}") {
			t.Errorf("%s: answered %d %s, want %s", test.query, a.status, a.body, test.want)
		}
		if a := s.call("GET", "/v1/export?"+test.query, test.key, ""); strings.Count(string(a.body), "\n") != int(test.want[0]-'0') {
			t.Errorf("%s: exported %d %s, want %s", test.query, a.status, a.body, test.want)
		}
	}
	const days = `{"interval":"day","time_zone":"America/New_York","series":[{"group":"","points":[{"at":"2024-11-02T04:00:00.000000Z","count":1},` +
		`{"at":"2024-11-03T04:00:00.000000Z","count":2},{"at":"2024-11-04T05:00:00.000000Z","count":1}]}]}`
	for query, key := range map[string]string{"interval=day": s.read, there + "interval=day": s.admin} {
		if a := s.call("GET", "/v1/series?"+query, key, ""); strings.TrimSpace(string(a.body)) != days {
			t.Errorf("%s: answered %d %s, want %s", query, a.status, a.body, days)
		}
	}
	a := s.call("GET", "/v1/series?interval=hour&from=2024-11-03&to=2024-11-04", s.read, "")
	if n := strings.Count(string(a.body), `"at":`); n != 25 {
		t.Errorf("the day has %d hours: %s", n, a.body)
	}
	for _, path := range []string{"/v1/count", "/v1/sessions", "/v1/rejections", "/v1/audit"} {
		if a := s.call("GET", path+"?time_zone=Berlin", s.admin, ""); a.status != 400 || !strings.Contains(string(a.body), "Europe/Berlin") {
			t.Errorf("%s: answered %d %s", path, a.status, a.body)
		}
	}
}
