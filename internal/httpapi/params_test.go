package httpapi_test

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"theeye/internal/httpapi"
	"theeye/internal/httpapi/apitest"
	"theeye/internal/httpapi/openapi"
	"theeye/internal/registry"
)

// allRoutes returns the routes of a node and those of every server.
func allRoutes() []httpapi.Route {
	return httpapi.New(httpapi.Options{Routes: openapi.Routes(true)}).Routes()
}

// No route ignores a parameter: it might make a request harmless, as dry_run=1 does.
func TestParametersOfAllRoutes(t *testing.T) {
	var write string
	a := apitest.Start(t, func(o *apitest.Parts) {
		o.LegacyApp = "shop"
		var err error
		if _, write, err = o.Registry.CreateKey(t.Context(), "shop", registry.Write); err != nil {
			t.Fatal(err)
		}
	})
	ask := func(rt httpapi.Route, query string) (int, string) {
		path := regexp.MustCompile(`\{[a-z_]+\}`).ReplaceAllString(rt.Path, "x")
		r, err := http.NewRequestWithContext(t.Context(), rt.Method, a.URL+path+"?"+query, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		key := a.Keys[""]
		if rt.Access == httpapi.ForWrite {
			key = write
		}
		r.Header.Set("Authorization", "Bearer "+key)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(body)
	}
	for _, rt := range allRoutes() {
		if rt.Path == "/event/" { // it ignores unknown parameters
			if status, body := ask(rt, "nonsense=1"); strings.Contains(body, "nonsense") {
				t.Errorf("%s %s: %d %s", rt.Method, rt.Path, status, body)
			}
			continue
		}
		if rt.Access == httpapi.Open || rt.Access == httpapi.ForMetrics { // probes and scrapers send parameters of their own
			if status, body := ask(rt, "nonsense=1"); status == http.StatusBadRequest && strings.Contains(body, "nonsense") {
				t.Errorf("%s %s: %d %s", rt.Method, rt.Path, status, body)
			}
			continue
		}
		refused := func(query, want string) {
			t.Helper()
			if status, body := ask(rt, query); status != http.StatusBadRequest || !strings.Contains(body, want) {
				t.Errorf("%s %s?%s: %d %.200s; want %s", rt.Method, rt.Path, query, status, body, want)
			}
		}
		var known, single []string
		for _, p := range rt.Doc.Params {
			if p.In != "" && p.In != "query" {
				continue
			}
			known = append(known, p.Name)
			if !p.Repeatable {
				single = append(single, p.Name)
			}
		}
		for _, name := range []string{"dry_run", "nonsense", "app", ""} {
			if !slices.Contains(known, name) {
				refused(name+"=1", `unknown parameter \"`+name)
			}
		}
		for _, name := range known {
			name = url.QueryEscape(name)
			refused(name+"=", "it is empty")
			refused(name+"=%ff", "must be UTF-8")
			refused(name+"=%00", "must be UTF-8")
		}
		for _, name := range single {
			refused(name+"=1&"+name+"=1", "only once")
		}
	}
}
