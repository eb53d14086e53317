package test

import (
	"fmt"
	"strings"
	"testing"
)

// Every text that the intake takes for a session, and every argument, is one segment of a path for the
// command: what is asked for is what is erased, shown or revoked.
func TestTextsInPaths(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, session := range []string{".", "..", "...", "..a", "a/..", "../shop", "%", "%2E%2E", "a b", "a?b#c", "-x", "ü", "\\", strings.Repeat("😀", 200)} {
		s.must(s.call("POST", "/v1/events?wait=stored", s.write, fmt.Sprintf(`{"session_id":%q,"category":"c","name":"n","data":{},"timestamp":"2021-01-01T00:00:00Z"}`, session)), 201)
		cmd, out := s.eye("session", "--data", s.data, "--", session)
		if err := cmd.Run(); err != nil || !strings.Contains(out.String(), "2021-01-01") {
			t.Errorf("session %.20q: %v, %s", session, err, out)
		}
		cmd, out = s.eye("erase", "--data", s.data, "--session="+session)
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
