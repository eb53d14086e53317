package test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// keysOfRuns returns the keys that servers with --demo created for themselves, oldest first.
func (s *server) keysOfRuns(app string) (list []map[string]any) {
	for _, k := range s.keys(app) {
		if k["expires_at"] != nil {
			list = append(list, k)
		}
	}
	return list
}

// The write keys of the demo end with its server: after a clean shutdown by being revoked, after a
// kill by expiring. The lock file names a process only while that has the directory.
func TestDemoKeysEnd(t *testing.T) {
	t.Parallel()
	s := &server{t: t, data: t.TempDir(), args: []string{"--demo"}}
	for round := 1; round <= 2; round++ {
		s.launch()
		s.eventually("the demo to send with its key", func() bool {
			keys := s.keysOfRuns("shop")
			return len(keys) == round && keys[round-1]["last_used_at"] != nil
		})
		for _, app := range []string{"shop", "callcenter", "blog"} {
			if keys := s.keysOfRuns(app); len(keys) != round || keys[round-1]["kind"] != "write" {
				t.Errorf("round %d: of %s, these keys expire: %v", round, app, keys)
			}
		}
		if b, err := os.ReadFile(filepath.Join(s.data, "lock")); err != nil || len(b) == 0 {
			t.Errorf("the lock names nobody: %v", err)
		}
		if round == 1 {
			s.kill()
		}
	}
	s.shutDown()
	if b, err := os.ReadFile(filepath.Join(s.data, "lock")); err != nil || len(b) > 0 {
		t.Errorf("after an ordered end the lock says %s, %v", b, err)
	}
	s.args = nil
	s.launch()
	if keys := s.keysOfRuns("shop"); len(keys) != 2 || keys[1]["revoked_at"] == nil {
		t.Errorf("after an ordered end the demo's keys are %v", keys)
	}
}

// historyOf returns how many events the applications have received, and how many of those are
// duplicates. The books must balance.
func (s *server) historyOf() (received, duplicates int) {
	s.t.Helper()
	a := s.call("GET", "/v1/books", s.admin, "")
	s.must(a, 200)
	var books struct {
		Balanced bool `json:"balanced"`
		Apps     []struct {
			Received  int `json:"received"`
			Duplicate int `json:"duplicate"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(a.body, &books); err != nil || !books.Balanced {
		s.t.Fatalf("the books: %s, %v", a.body, err)
	}
	for _, app := range books.Apps {
		received, duplicates = received+app.Received, duplicates+app.Duplicate
	}
	return received, duplicates
}

// A history that was interrupted is not called complete when other events were received since.
func TestDemoHistoryIsOvertaken(t *testing.T) {
	t.Parallel()
	s := &server{t: t, tags: "eyefault", data: t.TempDir(), args: []string{"--demo"}, env: []string{"EYE_FAULT_KILL=history frame:3"}}
	if s.launched() {
		t.Fatal("the server was not killed")
	}
	s.args, s.env = nil, nil
	s.launch()
	s.must(s.call("POST", "/v1/events?wait=stored", s.key("shop", "write"), s.event("now", 0, "")), 201)
	s.shutDown()
	s.args = []string{"--demo"}
	s.launch()
	if text := string(s.call("GET", "/readyz", "", "").body); !strings.Contains(text, "stays incomplete") {
		t.Errorf("/readyz says %s", text)
	}
	if strings.Contains(s.output.String(), "history is complete") {
		t.Errorf("the log says that it is complete:\n%s", s.output)
	}
}

// A history that a kill has interrupted is completed by the next start with --demo: nothing is there
// twice, and nothing is missing. A start without --demo says that it is incomplete, and changes
// nothing.
func TestDemoHistoryIsInterrupted(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"1", "3", "25"} {
		t.Run("at frame "+at, func(t *testing.T) {
			s := &server{t: t, tags: "eyefault", data: t.TempDir(), args: []string{"--demo"}, env: []string{"EYE_FAULT_KILL=history frame:" + at}}
			if s.launched() {
				t.Fatal("the server was not killed")
			}
			s.args, s.env = nil, nil
			s.launch()
			half, _ := s.historyOf()
			if half > 45_000 {
				t.Errorf("%d events came before the kill", half)
			}
			if text := string(s.call("GET", "/readyz", "", "").body); !strings.Contains(text, "week of history is incomplete") || !strings.Contains(text, "eye serve --demo") {
				t.Errorf("/readyz says %s", text)
			}
			s.shutDown()
			if !strings.Contains(s.output.String(), "week of history is incomplete") {
				t.Errorf("the log says nothing of it:\n%s", s.output)
			}
			s.args = []string{"--demo"}
			s.launch()
			received, duplicates := s.historyOf()
			if received < 48_000 || received > 52_000 || duplicates > 600 {
				t.Errorf("%d events were received, %d of them again", received, duplicates)
			}
			ready := s.call("GET", "/readyz", "", "")
			if text := string(ready.body); !strings.Contains(text, `"reasons":[]`) {
				t.Errorf("/readyz says %s", text)
			}
			var created []string
			for _, entry := range s.trail("") {
				if act, _ := entry["act"].(string); act == "createApp" && entry["outcome"] == "done" {
					created = append(created, entry["app"].(string))
				}
			}
			if slices.Sort(created); !slices.Equal(created, []string{"blog", "callcenter", "shop"}) {
				t.Errorf("these applications were created: %v", created)
			}
			if keys := string(s.call("GET", "/v1/apps/callcenter/keys", s.admin, "").body); !strings.Contains(keys, `"revoked_at":"`) {
				t.Errorf("no key of the call center was revoked: %s", keys)
			}
			s.shutDown()
			s.launch()
			if again, _ := s.historyOf(); again < received || again > received+500 {
				t.Errorf("%d events after another start, %d before", again, received)
			}
		})
	}
}
