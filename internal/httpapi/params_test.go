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
	"theeye/internal/registry"
)

// No route ignores a parameter: it might be what makes a request harmless, as dry_run=1 does.
func TestParametersOfAllRoutes(t *testing.T) {
	var write string
	a := startAPI(t, func(o *httpapi.Options) {
		o.LegacyApp = "shop"
		var err error
		if _, write, err = o.Registry.CreateKey(t.Context(), "shop", registry.Write); err != nil {
			t.Fatal(err)
		}
	})
	ask := func(rt httpapi.TestedRoute, query string) (int, string) {
		path := regexp.MustCompile(`\{[a-z_]+\}`).ReplaceAllString(rt.Path, "x")
		r, err := http.NewRequestWithContext(t.Context(), rt.Method, a.url+path+"?"+query, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		key := a.keys[""]
		if rt.ForWrite {
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
	for _, rt := range httpapi.TestedRoutes() {
		if rt.Path == "/event/" { // the first Eye ignored what it did not know
			if status, body := ask(rt, "nonsense=1"); strings.Contains(body, "nonsense") {
				t.Errorf("%s %s: %d %s", rt.Method, rt.Path, status, body)
			}
			continue
		}
		if rt.Probed {
			if status, body := ask(rt, "nonsense=1"); status == http.StatusBadRequest {
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
		known := slices.Concat(rt.Single, rt.Repeatable)
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
		for _, name := range rt.Single {
			refused(name+"=1&"+name+"=1", "only once")
		}
	}
}
