package test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The page of the interface comes from this server alone, and knows where to put
// each operation.
func TestDocs(t *testing.T) {
	t.Parallel()
	s := start(t)
	page := s.call("GET", "/docs", "", "")
	s.must(page, 200)
	if policy := page.header.Get("Content-Security-Policy"); !strings.Contains(policy, "script-src 'self';") || !strings.Contains(policy, "connect-src 'self'") {
		t.Errorf("the policy is %q", policy)
	}
	links := regexp.MustCompile(`(?:href|src)="([^"]*)"`).FindAllSubmatch(page.body, -1)
	if len(links) < 4 {
		t.Errorf("the page names only %d files: %s", len(links), page.body)
	}
	for _, link := range links {
		path := string(link[1])
		if !strings.HasPrefix(path, "/") {
			t.Errorf("%s is from elsewhere", path)
			continue
		}
		s.must(s.call("GET", path, "", ""), 200)
	}
	document := s.call("GET", "/openapi.json", "", "").json()
	var tags []string
	for _, tag := range document["tags"].([]any) {
		tags = append(tags, tag.(map[string]any)["name"].(string))
	}
	for path, item := range document["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			if tag := op.(map[string]any)["tags"].([]any)[0].(string); !slices.Contains(tags, tag) {
				t.Errorf("%s %s has the tag %q, which has no place among %q", method, path, tag, tags)
			}
		}
	}
}
