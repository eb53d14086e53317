package test

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// order returns an event that its sender calls by a text; n makes its body.
func order(id string, n int) string {
	return fmt.Sprintf(`{"id":%q,"session_id":"s","category":"c","name":"n","data":{"n":%d},"timestamp":"2021-01-01T00:00:00Z"}`, id, n)
}

// sendAs sends a body, waits until it is stored, and returns the answer's events.
func (s *server) sendAs(key, body string, header ...string) []map[string]any {
	s.t.Helper()
	a := s.call("POST", "/v1/events?wait=stored", key, body, append([]string{"Content-Type", "application/json"}, header...)...)
	if a.status != 201 && a.status != 422 {
		s.t.Fatalf("sent %s: %d %s", body, a.status, a.body)
	}
	var events []map[string]any
	for _, e := range a.json()["events"].([]any) {
		events = append(events, e.(map[string]any))
	}
	return events
}

// A page's key is public. Whatever is sent with it first, a server's event with the same id is
// stored, and the page learns nothing about it.
func TestAPageCannotTakeTheIDsOfAServer(t *testing.T) {
	t.Parallel()
	s := start(t)
	pages := s.keyWith("write", map[string]any{"origins": []string{page}}).text("key")
	from := []string{"Origin", page}
	lines := append([]string{"Content-Type", "application/x-ndjson"}, from...)
	const ofServer, ofPage = 1, 2
	for form, body := range map[string]func(id string, n int) string{
		"one":      order,
		"batch":    func(id string, n int) string { return "[" + order(id, n) + "," + order(id+" again", n) + "]" },
		"envelope": func(id string, n int) string { return `{"events":[` + order(id, n) + `]}` },
		"lines":    func(id string, n int) string { return order(id, n) + "\n" + order(id, n) + "\n" },
	} {
		header := from
		if form == "lines" {
			header = lines
		}
		first := s.sendAs(pages, body(form, ofPage), header...)
		server := s.sendAs(s.write, body(form, ofServer), header[:len(header)-2]...)
		again := s.sendAs(pages, body(form, ofPage), header...)
		if first[0]["status"] != "accepted" || server[0]["status"] != "accepted" || again[0]["status"] != "duplicate" {
			t.Errorf("%s: the page's event was %v, the server's %v, the page's again %v", form, first, server, again)
		}
		if first[0]["id"] == server[0]["id"] || first[0]["client_id"] != form || server[0]["client_id"] != form {
			t.Errorf("%s: the page has %v, the server %v", form, first, server)
		}
		if form == "lines" && (first[1]["status"] != "duplicate" || server[1]["status"] != "duplicate") {
			t.Errorf("twice in a request: %v, %v", first[1], server[1])
		}
		s.found(form, server[0]["id"], first[0]["id"])
	}
	// A page finds its own conflicts alone.
	s.sendAs(s.write, order("only the server's", 1))
	if got := s.sendAs(pages, order("only the server's", 2), from...); got[0]["status"] != "accepted" {
		t.Errorf("a page learns of a server's id: %v", got)
	}
	if got := s.sendAs(pages, order("one", 3), from...); got[0]["status"] != "rejected" {
		t.Errorf("a page's id with another body: %v", got)
	}
	if got := s.sendAs(s.write, order("one", 3)); got[0]["status"] != "rejected" {
		t.Errorf("a server's id with another body: %v", got)
	}
	a := s.call("GET", "/v1/rejections?event_id=one", s.read, "")
	s.must(a, 200)
	if n := len(a.json()["rejections"].([]any)); n != 2 {
		t.Errorf("%d rejections of both: %s", n, a.body)
	}
	a = s.call("GET", "/v1/rejections?event_id=one&app=shop&event_id="+uuid.NewString(), s.admin, "")
	if n := len(a.json()["rejections"].([]any)); n != 2 {
		t.Errorf("%d rejections of both, for all applications: %s", n, a.body)
	}
	a = s.call("GET", "/v1/rejections/summary?event_id=nobody's", s.read, "")
	if n := len(a.json()["groups"].([]any)); n != 0 {
		t.Errorf("rejections of an id that never came: %s", a.body)
	}
	a = s.call("POST", "/v1/rejections/replay", s.admin, `{"filter":{"event_id":"one"},"dry_run":true}`)
	s.must(a, 202)
	if a.text("matched") != "2" {
		t.Errorf("a replay of both: %s", a.body)
	}
}

// found asks for a text that a server and a page have used.
func (s *server) found(text string, ofServer, ofPage any) {
	s.t.Helper()
	for _, path := range []string{"/v1/events/", "/v1/receipts/"} {
		for _, c := range []struct{ key, id, want, also string }{
			{s.read, text, fmt.Sprint(ofServer), fmt.Sprint(ofPage)},
			{s.admin, text, fmt.Sprint(ofServer), fmt.Sprint(ofPage)},
			{s.read, fmt.Sprint(ofPage), fmt.Sprint(ofPage), "<nil>"},
			{s.admin, fmt.Sprint(ofServer), fmt.Sprint(ofServer), "<nil>"},
		} {
			a := s.call("GET", path+url.PathEscape(c.id), c.key, "")
			s.must(a, 200)
			if a.text("id") != c.want || a.text("also_id") != c.also || a.text("client_id") != text {
				s.t.Errorf("%s%s: %s", path, c.id, a.body)
			}
		}
	}
}

// UUIDs are taken from pages as they are; idempotency keys are not shared.
func TestWhatElseNamesEvents(t *testing.T) {
	t.Parallel()
	s := start(t, "--legacy-app", "old")
	pages := s.keyWith("write", map[string]any{"origins": []string{page}}).text("key")
	id := uuid.NewString()
	ofPage := s.sendAs(pages, order(strings.ToUpper(id), 1), "Origin", page)
	ofServer := s.sendAs(s.write, order(id, 1))
	if ofPage[0]["id"] != id || ofServer[0]["id"] != id || ofServer[0]["status"] != "duplicate" {
		t.Errorf("a UUID: %v, %v", ofPage, ofServer)
	}
	unnamed := strings.Replace(order("", 1), `"id":"",`, "", 1)
	ofPage = s.sendAs(pages, unnamed, "Origin", page, "Idempotency-Key", "once")
	ofServer = s.sendAs(s.write, strings.Replace(unnamed, `"n":1`, `"n":2`, 1), "Idempotency-Key", "once")
	if ofPage[0]["status"] != "accepted" || ofServer[0]["status"] != "accepted" || ofPage[0]["id"] == ofServer[0]["id"] {
		t.Errorf("an idempotency key: %v, %v", ofPage, ofServer)
	}
	if again := s.sendAs(pages, unnamed, "Origin", page, "Idempotency-Key", "once"); again[0]["status"] != "duplicate" || again[0]["id"] != ofPage[0]["id"] {
		t.Errorf("an idempotency key again: %v", again)
	}
	// The address of --legacy-app takes no key at all.
	s.must(s.call("POST", "/event/", "", order("order-1", 1)), 201)
	if got := s.sendAs(s.key("old", "write"), order("order-1", 2)); got[0]["status"] != "accepted" {
		t.Errorf("a stranger took the id of a server: %v", got)
	}
}

// A page that sends the same again and again does not push a server's event of the same name out of
// its receipt.
func TestAReceiptThatAPageFills(t *testing.T) {
	t.Parallel()
	s := start(t)
	pages := s.keyWith("write", map[string]any{"origins": []string{page}}).text("key")
	server := s.sendAs(s.write, order("order-1", 1))
	many := make([]string, 150)
	for i := range many {
		many[i] = order("order-1", 2)
	}
	ofPage := s.sendAs(pages, "["+strings.Join(many, ",")+"]", "Origin", page)
	for _, key := range []string{s.read, s.admin} {
		a := s.call("GET", "/v1/receipts/order-1", key, "")
		s.must(a, 200)
		if a.text("id") != server[0]["id"] || a.text("status") != "stored" || a.text("also_id") != ofPage[0]["id"] || len(a.json()["arrivals"].([]any)) != 1 {
			t.Errorf("%.300s", a.body)
		}
	}
}

// The application that comes first by name is told, whatever became of its event.
func TestAnIDThatSeveralApplicationsUse(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.must(s.call("POST", "/v1/apps", s.admin, `{"app":"blog"}`), 201)
	s.must(s.call("POST", "/v1/apps", s.admin, `{"app":"wiki"}`), 201)
	blog, wiki := s.key("blog", "write"), s.key("wiki", "write")
	id := uuid.NewString()
	for _, name := range []string{"order-1", id} {
		s.sendAs(s.write, order(name, 1))
		s.sendAs(blog, order(name, 2))
		s.call("POST", "/v1/events?wait=stored", wiki, strings.Replace(order(name, 3), `"category"`, `"kategory"`, 1))
		for _, path := range []string{"/v1/events/", "/v1/receipts/"} {
			for query, want := range map[string]string{"": "blog", "?app=shop": "shop", "?app=blog": "blog"} {
				a := s.call("GET", path+name+query, s.admin, "")
				if a.status != 200 || a.text("app") != want {
					t.Errorf("%s%s%s: %d %s", path, name, query, a.status, a.body)
				}
				also := "<nil>"
				if query == "" {
					also = "[shop wiki]" // also of what was rejected
				}
				if a.text("also_in") != also {
					t.Errorf("%s%s%s: also in %s, want %s", path, name, query, a.text("also_in"), also)
				}
			}
			if a := s.call("GET", path+name, s.read, ""); a.text("app") != "shop" || a.text("also_in") != "<nil>" {
				t.Errorf("%s%s: a key of one application sees %s", path, name, a.body)
			}
		}
	}
	// What one sends again and again does not hide the others.
	again := make([]string, 150)
	for i := range again {
		again[i] = order(id, 1)
	}
	s.sendAs(s.write, "["+strings.Join(again, ",")+"]")
	for _, path := range []string{"/v1/events/", "/v1/receipts/"} {
		if a := s.call("GET", path+id, s.admin, ""); a.text("app") != "blog" || a.text("also_in") != "[shop wiki]" {
			t.Errorf("%s: %.300s", path, a.body)
		}
	}
	// One that has it as a rejection alone is named by the event of another.
	s.call("POST", "/v1/events?wait=stored", blog, strings.Replace(order("order-2", 2), `"category"`, `"kategory"`, 1))
	s.sendAs(s.write, order("order-2", 1))
	for path, want := range map[string]string{"/v1/events/": "shop [blog]", "/v1/receipts/": "blog [shop]"} {
		if a := s.call("GET", path+"order-2", s.admin, ""); a.text("app")+" "+a.text("also_in") != want {
			t.Errorf("%sorder-2: %s, want %s", path, a.body, want)
		}
	}
	if list := s.call("GET", "/v1/rejections?event_id=order-1", s.admin, ""); list.status != 200 {
		t.Errorf("%d %s", list.status, list.body)
	}
}

// In data of a program that gave pages the ids of servers, what a page sent then is recognised, and
// keeps nothing from being stored now.
func TestPagesOfEarlierPrograms(t *testing.T) {
	t.Parallel()
	for _, archive := range []string{"killed", "backup"} {
		t.Run(archive, func(t *testing.T) {
			data, keys := unpack(t, filepath.Join("testdata", "old", "1454d48", archive+".tar.zst"))
			if archive == "backup" {
				data = restoreTo(t, data)
			}
			s := &server{t: t, data: data, admin: keys.Admin}
			for range 2 { // what is known of the directory's age outlives a start
				s.launch()
				s.opens(keys, "with ids of before")
				s.settled()
				s.pagesGoOn(keys)
				s.shutDown()
			}
		})
	}
}

func (s *server) pagesGoOn(keys oldKeys) {
	s.t.Helper()
	from := []string{"Origin", page}
	send := func(body string, header ...string) string {
		s.t.Helper()
		return fmt.Sprint(s.sendAs(keys.Page, body, append(slices.Clone(from), header...)...)[0]["status"])
	}
	if got := send(oldEvent("page-1", "visitor-2", 60)); got != "duplicate" {
		s.t.Errorf("what the page sent before: %s", got)
	}
	if got := send(fine, "Idempotency-Key", "once"); got != "duplicate" {
		s.t.Errorf("what was sent with an idempotency key before: %s", got)
	}
	// Now it is free to use any name.
	if got := send(oldEvent("page-1", "visitor-2", 61)); got != "accepted" && got != "duplicate" {
		s.t.Errorf("another body under the name of before: %s", got)
	}
	if got := send(oldEvent("order-2", "visitor-2", 777)); got != "accepted" && got != "duplicate" {
		s.t.Errorf("a name that a server has used: %s", got)
	}
	if got := send(oldEvent("page-1", "visitor-2", 62)); got != "rejected" {
		s.t.Errorf("a third body: %s", got)
	}
	a := s.call("GET", "/v1/events/page-1?app=shop", keys.Admin, "")
	s.must(a, 200)
	if n := a.json()["data"].(map[string]any)["n"]; fmt.Sprint(n) != "60.5" || a.text("also_id") == "<nil>" {
		s.t.Errorf("%s", a.body)
	}
}
