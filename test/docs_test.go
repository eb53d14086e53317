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
		a := s.call("GET", path, "", "")
		s.must(a, 200)
		if kind := a.header.Get("Content-Type"); path != "/openapi.json" && !strings.HasPrefix(kind, "text/") && kind != "image/svg+xml; charset=utf-8" {
			t.Errorf("%s is served as %q", path, kind)
		}
		if got := regexp.MustCompile(`https?://[^"' ]+`).FindString(string(a.body)); got != "" && got != "http://www.w3.org/2000/svg" && path != "/openapi.json" {
			t.Errorf("%s takes something from %s", path, got)
		}
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
