package test

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// awkward are texts that a path may take for something else.
func awkward() []string {
	return []string{
		".", "..", "...", "..a", "/", "//", "a/..", "../shop", "/a", "a/", "%", "%2F", "%2E%2E", "a b", "+", "a?b#c", ";", "&", "-x", "ü", "\\", "\n", `"`, strings.Repeat("😀", 200),
	}
}

// written are the ways to write a text as one segment of a path.
func written(text string) []string {
	ways := []string{url.PathEscape(text)}
	if strings.Trim(text, ".") == "" {
		ways = append(ways, strings.ReplaceAll(text, ".", "%2E"))
	}
	every := ""
	for _, b := range []byte(text) {
		every += fmt.Sprintf("%%%02X", b)
	}
	return append(ways, every)
}

// Every text that the intake takes can be addressed, by a client that sends a path as it is
// written.
func TestEveryTextCanBeAddressed(t *testing.T) {
	t.Parallel()
	s := start(t)
	for n, text := range awkward() {
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		event := fmt.Sprintf(`{"id":%s,"session_id":%s,"category":%s,"name":%s,"data":{},"timestamp":"2021-01-01T00:00:00Z"}`, quoted, quoted, quoted, quoted)
		s.must(s.call("POST", "/v1/events?wait=stored", s.write, event), 201)
		for _, way := range written(text) {
			typed := "/v1/types/" + way + "/" + way
			if a := s.call("PUT", typed, s.admin, `{"type":"object"}`); a.status/100 != 2 || a.text("category") != text || a.text("name") != text {
				t.Errorf("PUT %s is answered %d %s", typed, a.status, a.body)
			}
			for _, path := range []string{
				typed, typed + "/versions", "/v1/events/" + way, "/v1/receipts/" + way, "/v1/sessions/" + way, "/v1/sessions?exact=1&session_id=" + url.QueryEscape(text),
			} {
				if a := s.call("GET", path, s.admin, ""); a.status != 200 || !bytes.Contains(a.body, quoted) {
					t.Errorf("GET %s is answered %d %s", path, a.status, a.body)
				}
			}
			s.must(s.call("DELETE", typed, s.admin, ""), 204)
		}
		ways := written(text)
		way := ways[n%len(ways)]
		if a := s.call("DELETE", "/v1/sessions/"+way, s.admin, ""); a.status != 200 || a.text("session_id") != text || !strings.Contains(string(a.body), `"events":1`) {
			t.Errorf("DELETE %q as %s is answered %d %s", text, way, a.status, a.body)
		}
		if a := s.call("GET", "/v1/sessions/"+way, s.admin, ""); a.status != 404 {
			t.Errorf("after its erasure %q is answered %d %s", text, a.status, a.body)
		}
	}
	for _, text := range []string{".", "..", "/"} {
		s.must(s.call("POST", "/v1/events?wait=stored", s.write, fmt.Sprintf(`{"session_id":%q,"category":"c","name":"n","data":{},"timestamp":%q}`, text, time.Now().UTC().Format(time.RFC3339Nano))), 201)
		if a := s.call("DELETE", "/v1/sessions?exact=1&app=shop&session_id="+url.QueryEscape(text), s.admin, ""); a.status != 200 || !strings.Contains(string(a.body), `"events":1`) {
			t.Errorf("DELETE %q exactly is answered %d %s", text, a.status, a.body)
		}
	}
}

// A path or a query that is not what its sender meant changes, erases and answers nothing.
func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	s := start(t, "--legacy-app", "old")
	s.post(numbered(0, 3))
	for _, request := range []string{
		"DELETE /v1/sessions/s?app=rep%", "DELETE /v1/sessions/s?app=blog;", "DELETE /v1/apps/shop?erase=1;x", "GET /v1/count?where=data.l=50%", "GET /v1/events?session_id=a;b",
		"PUT /v1/types/c/n?dry_run=1;&force=1", "POST /v1/events?wait=stored%", "POST /event/?x=%", "GET /event/?filter=%zz", "GET /readyz?%", "GET /nothing?%",
		"GET /v1/sessions/%ff", "GET /v1/sessions/%c0%af", "GET /v1/sessions/%ed%a0%80", "DELETE /v1/sessions/%ff", "PUT /v1/types/%ff/n", "GET /v1/events/a%ff", "GET /v1/receipts/%ff", "GET /%ff",
		"DELETE /v1/sessions?session_id=s&exact=1", "DELETE /v1/sessions?session_id=s&app=shop", "DELETE /v1/sessions?exact=1&app=shop", "DELETE /v1/sessions?session_id=s&exact=0&app=shop",
		"DELETE /v1/sessions?session_id=s&session_id=t&exact=1&app=shop", "DELETE /v1/sessions?session_id=s&exact=1&app=shop&app=old", "DELETE /v1/sessions?session_id=&exact=1&app=shop",
		"DELETE /v1/sessions?session_id=s&exact=1&app=shop&x=1", "DELETE /v1/sessions?session_id=%ff&exact=1&app=shop", "DELETE /v1/sessions",
		"GET /v1/sessions?exact=1", "GET /v1/sessions?exact=0&session_id=s", "GET /v1/sessions?exact=1&session_id=s&session_id=t",
	} {
		method, path, _ := strings.Cut(request, " ")
		key := s.admin
		if method == "POST" {
			key = s.write
		}
		if a := s.call(method, path, key, `{"type":"object"}`); a.status != 400 || a.header.Get("Location") != "" {
			t.Errorf("%s is answered %d %s", request, a.status, a.body)
		}
	}
	for _, request := range []string{"DELETE /v1//apps/shop?erase=1", "DELETE /v1/apps/./shop?erase=1", "DELETE /v1/x/../apps/shop?erase=1", "GET /v1//count", "GET /v1/apps/", "GET /v1/events//receipt", "GET //readyz"} {
		method, path, _ := strings.Cut(request, " ")
		if a := s.call(method, path, s.admin, ""); a.status != 404 {
			t.Errorf("%s is answered %d %s", request, a.status, a.body)
		}
	}
	s.sums(3, 3, 0)
	if a := s.call("GET", "/v1/types", s.admin, ""); strings.Contains(string(a.body), "category") {
		t.Errorf("there are types: %s", a.body)
	}
	if m := s.call("GET", "/metrics", s.admin, "").values(t); m["eye_http_malformed_total"] < 19 {
		t.Errorf("%v are counted", m["eye_http_malformed_total"])
	}
}

// Senders may end the addresses of the intake with a slash, or not.
func TestSlashAtTheEnd(t *testing.T) {
	t.Parallel()
	s := start(t, "--legacy-app", "old")
	body := `{"session_id":"s","category":"c","name":"n","data":{},"timestamp":"2021-01-01 00:00:00"}`
	for path, status := range map[string]int{"/v1/events": 202, "/v1/events/": 202, "/event": 201, "/event/": 201} {
		if a := s.call("POST", path, s.write, body); a.status != status {
			t.Errorf("POST %s is answered %d %s", path, a.status, a.body)
		}
	}
	for path, allow := range map[string]string{"/v1/events/": "POST, OPTIONS", "/v1/events": "GET, HEAD, POST, OPTIONS", "/v1/apps/shop": "GET, HEAD, PATCH, DELETE", "/v1/count": "GET, HEAD"} {
		if a := s.call("TRACE", path, s.admin, ""); a.status != 405 || a.header.Get("Allow") != allow {
			t.Errorf("%s: %d, Allow: %s", path, a.status, a.header.Get("Allow"))
		}
	}
}

// Every text that the intake takes for a session, and every argument, is one segment of a path for
// the command: what is asked for is what is erased, shown or revoked.
func TestTextsInPaths(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, session := range awkward() {
		s.must(s.call("POST", "/v1/events?wait=stored", s.write, fmt.Sprintf(`{"session_id":%q,"category":"c","name":"n","data":{},"timestamp":"2021-01-01T00:00:00Z"}`, session)), 201)
		cmd, out := s.eye("session", "--data", s.data, "--", session)
		if err := cmd.Run(); err != nil || !strings.Contains(out.String(), "2021-01-01") {
			t.Errorf("session %.20q: %v, %s", session, err, out)
		}
		cmd, out = s.eye("erase", "--yes", "--data", s.data, "--session="+session)
		if err := cmd.Run(); err != nil || !strings.Contains(out.String(), "shop  1 ") {
			t.Errorf("erase %.20q: %v, %s", session, err, out)
		}
	}
	if a := s.call("GET", "/v1/count", s.admin, ""); a.text("count") != "0" {
		t.Errorf("%s events are left", a.text("count"))
	}
	s.must(s.call("POST", "/v1/apps", s.admin, `{"app":"empty"}`), 201)
	for _, args := range [][]string{
		{"keys", "revoke", "..", "--app", "empty"}, {"keys", "revoke", ".", "--app", "empty"}, {"keys", "revoke", "../../empty"},
		{"events", ".."}, {"receipt", ".."}, {"rejections", ".."}, {"apps", "delete", "../apps/empty"}, {"replays", "show", ".."},
	} {
		cmd, out := s.eye(append(args, "--data", s.data)...)
		if err := cmd.Run(); err == nil {
			t.Errorf("eye %s: %s", strings.Join(args, " "), out)
		}
	}
	s.must(s.call("GET", "/v1/apps/empty/keys", s.admin, ""), 200)
}
