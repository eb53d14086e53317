package test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// planted is in everything that shop sends, and nowhere else.
const planted = "only-for-shop"

// sendPlanted stores events and rejections of shop, and events of blog in the
// same session and of the same type. It returns ids of what shop sent.
func (s *server) sendPlanted(blogWrite string) (event, rejection string) {
	s.t.Helper()
	a := s.call("POST", "/v1/events?wait=stored", s.write, `[`+
		`{"id":"order-1","session_id":"shared","category":"c","name":"n","data":{"text":"`+planted+`"},"timestamp":"2021-01-01 09:00:00"},`+
		`{"session_id":"`+planted+`","category":"`+planted+`","name":"`+planted+`","data":{"text":"x"},"timestamp":"2021-01-01 09:00:01","sender":"`+planted+`"},`+
		`{"session_id":"shared","category":"c","name":"n","data":{"text":"`+planted+`"},"timestamp":"`+planted+`"}]`)
	s.must(a, 201)
	event = a.json()["events"].([]any)[0].(map[string]any)["id"].(string)
	s.must(s.call("POST", "/v1/events?wait=stored", blogWrite, `[`+
		`{"session_id":"shared","category":"c","name":"n","data":{"text":"of blog"},"timestamp":"2021-01-01 09:00:02"},`+
		`{"session_id":"shared","category":"c","name":"n","data":{"text":"of blog"},"timestamp":"no time"}]`), 201)
	return event, s.rejections("")[0]["id"].(string)
}

// A read key of one application sees nothing of another's: not in a list, not by
// an id that it knows, not in a count, whatever is asked for. Each reading route
// of the document is asked, also those that come later; shop's own key must see
// what is planted on those that show data.
func TestAReadKeySeesItsApplicationAlone(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.must(s.call("POST", "/v1/apps", s.admin, `{"app":"blog"}`), 201)
	blog := s.key("blog", "read")
	event, rejection := s.sendPlanted(s.key("blog", "write"))
	seen := map[string]bool{}
	for _, o := range s.operations() {
		if o.access != "read" || o.path == "/v1/tail" { // the tail has no end: it is for a test of its own
			continue
		}
		for _, path := range planting(o.path, event, rejection) {
			for _, app := range []string{"", "app=shop"} {
				a := s.call(o.method, join(path, app), blog, "")
				if strings.Contains(string(a.body), planted) && a.status == http.StatusOK || strings.Contains(string(a.body), `"shop"`) {
					t.Errorf("blog's key reads %s: %d %s", join(path, app), a.status, a.body)
				}
				if app != "" && o.app && a.status != http.StatusForbidden && a.status != http.StatusBadRequest {
					t.Errorf("blog's key asks %s: %d", join(path, app), a.status)
				}
			}
			if a := s.call(o.method, path, s.read, ""); strings.Contains(string(a.body), planted) || strings.Contains(string(a.body), `"shop"`) {
				seen[o.path] = true
			}
		}
	}
	for _, path := range []string{
		"/v1/events", "/v1/events/{id}", "/v1/sessions", "/v1/sessions/{id}", "/v1/rejections", "/v1/rejections/{id}", "/v1/rejections/summary",
		"/v1/series", "/v1/values", "/v1/receipts/{id}", "/v1/books", "/v1/export",
	} {
		if !seen[path] {
			t.Errorf("shop's own key sees nothing at %s, so nothing is shown by blog's seeing nothing", path)
		}
	}
	s.countsOfBlog(blog, event, rejection)
}

func join(path, param string) string {
	switch {
	case param == "":
		return path
	case strings.Contains(path, "?"):
		return path + "&" + param
	}
	return path + "?" + param
}

// planting returns paths of a route that ask for what shop sent.
func planting(path, event, rejection string) []string {
	filters := []string{
		"", "session_id=shared", "session_id=" + planted, "category=" + planted, "where=" + url.QueryEscape("data.text="+planted),
		"where=" + url.QueryEscape("app=shop"), "where=" + url.QueryEscape("app!=blog"),
	}
	var list []string
	add := func(path string, always ...string) {
		for _, f := range filters {
			list = append(list, join(path, strings.Trim(strings.Join(append(always, f), "&"), "&")))
		}
	}
	switch path {
	case "/v1/series":
		for _, by := range []string{"category", "name", "app", "status"} {
			add(path, "interval=hour", "group_by="+by)
		}
	case "/v1/values":
		for _, field := range []string{"data.text", "app", "session_id", "category", "name", "sender", "id"} {
			add(path, "field="+field)
		}
	case "/v1/export":
		add(path, "format=ndjson")
		add(path, "format=csv")
	default:
		for _, id := range []string{event, rejection, "order-1", "shared", planted} {
			add(strings.NewReplacer("{id}", id, "{category}", "c", "{name}", "n", "{version}", "1").Replace(path))
		}
	}
	return list
}

// countsOfBlog checks what has numbers and no names.
func (s *server) countsOfBlog(blog, event, rejection string) {
	s.t.Helper()
	for path, want := range map[string]string{
		"/v1/count":                          `{"count":1}`,
		"/v1/count?session_id=" + planted:    `{"count":0}`,
		"/v1/count?where=data.text~only-for": `{"count":0}`,
		"/v1/values?field=data.text":         `{"field":"data.text","values":[{"value":"of blog","count":1}],"other":0}`,
		"/v1/values?field=app":               `{"field":"app","values":[{"value":"blog","count":1}],"other":0}`,
	} {
		if a := s.call("GET", path, blog, ""); strings.TrimSpace(string(a.body)) != want {
			s.t.Errorf("%s: %s, want %s", path, a.body, want)
		}
	}
	for _, path := range []string{
		"/v1/events/" + event, "/v1/events/order-1", "/v1/receipts/" + event, "/v1/receipts/order-1", "/v1/rejections/" + rejection, "/v1/sessions/" + planted,
	} {
		s.must(s.call("GET", path, blog, ""), 404)
	}
	shared := s.call("GET", "/v1/sessions/shared", blog, "").json()
	if session := shared["session"].(map[string]any); fmt.Sprint(session["apps"]) != "[blog]" || fmt.Sprint(session["events"]) != "1" ||
		session["started_at"] != "2021-01-01T09:00:02.000000Z" || len(shared["events"].([]any)) != 1 {
		s.t.Errorf("the shared session as blog sees it: %v", shared)
	}
	series := string(s.call("GET", "/v1/series?interval=hour&group_by=status", blog, "").body)
	if strings.Count(series, `"count":1`) != 2 {
		s.t.Errorf("blog's arrivals: %s", series)
	}
	// A cursor of another key gives nothing of that key's.
	page := s.call("GET", "/v1/events?limit=1", s.read, "")
	cursor := page.text("next_cursor")
	if a := s.call("GET", "/v1/events?limit=1&cursor="+url.QueryEscape(cursor), blog, ""); a.status == http.StatusOK && strings.Contains(string(a.body), planted) {
		s.t.Errorf("blog goes on with shop's cursor: %s", a.body)
	}
}
