package test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// keyWith makes a key of shop with restrictions and returns the answer.
func (s *server) keyWith(kind string, rules map[string]any) reply {
	s.t.Helper()
	rules["kind"] = kind
	body, err := json.Marshal(rules)
	if err != nil {
		s.t.Fatal(err)
	}
	a := s.call("POST", "/v1/apps/shop/keys", s.admin, string(body))
	s.must(a, 201)
	return a
}

const page = "https://shop.example.com"

// lookAlikes are what a careless comparison would take for page.
func lookAlikes() []string {
	return []string{
		"null", "https://shop.example.com.evil.com", "https://evil.com/https://shop.example.com", "http://shop.example.com",
		"https://shop.example.com:8443", "https://shop.example.com:443", "https://shop.example.com/", "https://www.shop.example.com",
		"https://example.com", "https://shopxexample.com", "HTTPS://SHOP.EXAMPLE.COM", "https://shop.example.com, https://evil.com",
		"*", "https://shop.example.com.", "https://shop.example.co", " ", "",
	}
}

func TestAKeyIsTakenFromItsOriginsAlone(t *testing.T) {
	t.Parallel()
	s := start(t)
	key := s.keyWith("write", map[string]any{"origins": []string{page, "http://localhost:5173"}}).text("key")
	refused := s.call("POST", "/v1/events", s.read, fine) // of the wrong kind
	s.must(refused, 403)
	stored := 0
	for _, origin := range []string{page, "http://localhost:5173"} {
		for _, kind := range []string{"application/json", "text/plain;charset=UTF-8"} {
			a := s.call("POST", "/v1/events?wait=stored&key="+key, "", fine, "Origin", origin, "Content-Type", kind)
			s.must(a, 201)
			stored++
			s.readable(a, origin)
		}
	}
	for _, origin := range lookAlikes() {
		for _, kind := range []string{"application/json", "text/plain;charset=UTF-8"} {
			header := []string{"Content-Type", kind}
			if origin != "" {
				header = append(header, "Origin", origin)
			}
			a := s.call("POST", "/v1/events", key, fine, header...)
			if a.status != 403 || string(a.body) != string(refused.body) {
				t.Errorf("%q: %d %s", origin, a.status, a.body)
			}
			s.unreadable(a)
		}
	}
	twice, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/v1/events?key="+key, strings.NewReader(fine))
	if err != nil {
		t.Fatal(err)
	}
	twice.Header["Origin"] = []string{page, "https://evil.com"}
	answer, err := http.DefaultClient.Do(twice)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusForbidden {
		t.Errorf("two origins: %d", answer.StatusCode)
	}
	s.balanced(stored)
}

// readable checks that a browser shows an answer to a page of an origin, with
// the headers that a sender goes by.
func (s *server) readable(a reply, origin string) {
	s.t.Helper()
	h := a.header
	exposed := strings.ToLower(strings.Join(h.Values("Access-Control-Expose-Headers"), ", "))
	if h.Get("Access-Control-Allow-Origin") != origin || h.Get("Access-Control-Allow-Credentials") != "true" || !slices.Contains(h.Values("Vary"), "Origin") ||
		!strings.Contains(exposed, "retry-after") || !strings.Contains(exposed, "ratelimit") {
		s.t.Errorf("%d cannot be read by %s: %v", a.status, origin, h)
	}
}

func (s *server) unreadable(a reply) {
	s.t.Helper()
	for name := range a.header {
		if strings.HasPrefix(name, "Access-Control-") {
			s.t.Errorf("%d has %s: %s", a.status, name, a.header.Get(name))
		}
	}
}

func TestErrorsOfTheIntakeCanBeReadByAPage(t *testing.T) {
	t.Parallel()
	s := start(t, "--max-request-bytes", "1000", "--max-event-bytes", "500")
	key := s.keyWith("write", map[string]any{"origins": []string{page}}).text("key")
	for body, want := range map[string]int{
		`{"session_id":"s"}`: 422, `{`: 400, strings.Repeat(" ", 2000): 413,
	} {
		a := s.call("POST", "/v1/events", key, body, "Origin", page)
		s.must(a, want)
		s.readable(a, page)
	}
	unknown := s.call("POST", "/v1/events", "eye_w_unknown-and-long-enough", fine, "Origin", page)
	s.must(unknown, 401)
	s.readable(unknown, page)
	elsewhere := s.call("POST", "/v1/events", "eye_w_unknown-and-long-enough", fine, "Origin", "https://evil.com")
	s.must(elsewhere, 401)
	s.unreadable(elsewhere)
	// A key that names no origins is no browser's.
	a := s.call("POST", "/v1/events", s.write, fine, "Origin", page)
	s.must(a, 202)
	s.unreadable(a)
}

// preflight asks as a browser does before it sends JSON.
func (s *server) preflight(path, origin string, header ...string) reply {
	s.t.Helper()
	return s.call("OPTIONS", path, "", "", append([]string{
		"Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type",
	}, header...)...)
}

func TestPreflights(t *testing.T) {
	t.Parallel()
	s := start(t)
	made := s.keyWith("write", map[string]any{"origins": []string{page}})
	other := s.keyWith("write", map[string]any{"origins": []string{"https://blog.example.com"}}).text("key")
	key := made.text("key")
	with := func(key string) string { return "/v1/events?key=" + url.QueryEscape(key) }
	for _, path := range []string{"/v1/events", with(key)} {
		a := s.preflight(path, page)
		s.must(a, 204)
		if a.header.Get("Access-Control-Allow-Origin") != page || a.header.Get("Access-Control-Allow-Methods") != "POST" ||
			a.header.Get("Access-Control-Allow-Headers") != "authorization,content-type" || a.header.Get("Access-Control-Max-Age") != "7200" ||
			a.header.Get("Access-Control-Allow-Credentials") != "true" ||
			!strings.Contains(a.header.Get("Vary"), "Origin") {
			t.Errorf("%s: %v", path, a.header)
		}
	}
	for _, origin := range lookAlikes() {
		s.unreadable(s.preflight("/v1/events", origin))
		s.unreadable(s.preflight(with(key), origin))
	}
	s.unreadable(s.preflight(with(other), page))
	s.unreadable(s.preflight(with(s.write), page))
	s.unreadable(s.preflight(with("eye_w_unknown-and-long-enough"), page))
	s.unreadable(s.preflight("/v1/events", page, "Access-Control-Request-Method", "DELETE"))
	for _, path := range []string{"/v1/count", "/v1/events/1", "/v1/keys", "/event/"} { // reading has no pages of others
		s.unreadable(s.preflight(path, page))
	}
	plain := s.call("OPTIONS", "/v1/events", "", "")
	s.must(plain, 204)
	if plain.header.Get("Allow") != "OPTIONS, POST" {
		t.Errorf("OPTIONS allows %q", plain.header.Get("Allow"))
	}
	// With the key ends what it allowed.
	s.must(s.call("DELETE", "/v1/apps/shop/keys/"+made.text("key_id"), s.admin, ""), 204)
	s.unreadable(s.preflight("/v1/events", page))
	a := s.call("GET", "/v1/count", s.read, "", "Origin", page)
	s.must(a, 200)
	s.unreadable(a)
}

func TestKeysAreListedWithTheirRestrictionsAndUse(t *testing.T) {
	t.Parallel()
	s := start(t)
	expires := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	made := []reply{
		s.keyWith("write", map[string]any{"origins": []string{"https://SHOP.example.com:443"}, "expires_at": expires.Format(time.RFC3339)}),
		s.keyWith("write", map[string]any{"signing": true}),
	}
	s.must(s.call("POST", "/v1/events", made[0].text("key"), fine, "Origin", page), 202)
	list := s.call("GET", "/v1/apps/shop/keys", s.admin, "")
	s.must(list, 200)
	if text := string(list.body); strings.Contains(text, "eye_w_") || strings.Contains(text, "whsec_") {
		t.Errorf("a secret is listed: %s", text)
	}
	keys := list.json()["keys"].([]any)
	first, second := keys[len(keys)-2].(map[string]any), keys[len(keys)-1].(map[string]any)
	if fmt.Sprint(first["origins"]) != "["+page+"]" || first["expires_at"] != expires.Format("2006-01-02T15:04:05.000000Z") ||
		first["signing"] != false || first["last_used_at"] == nil {
		t.Errorf("first: %v", first)
	}
	if fmt.Sprint(second["origins"]) != "[]" || second["expires_at"] != nil || second["signing"] != true || second["last_used_at"] != nil {
		t.Errorf("second: %v", second)
	}
	for body, field := range map[string]string{
		`{"kind":"write","expires_at":"2020-01-01T00:00:00Z"}`:          "expires_at",
		`{"kind":"write","origins":["https://*.example.com"]}`:          "origins",
		`{"kind":"write","origins":[]}`:                                 "origins",
		`{"kind":"read","origins":["https://shop.example.com"]}`:        "origins",
		`{"kind":"read","signing":true}`:                                "signing",
		`{"kind":"write","signing":true,"origins":["https://a.b"]}`:     "signing",
		`{"kind":"write","origins":["https://shop.example.com/a"]}`:     "origins",
		`{"kind":"write","origins":["null"]}`:                           "origins",
		`{"kind":"write","origins":["https://a.b","ftp:opaque"]}`:       "origins",
		`{"kind":"write","origins":["https://user:secret@a.example"]}`:  "origins",
		`{"kind":"write","origins":["https://a.example:80a"]}`:          "origins",
		`{"kind":"write","origins":["https://shop.example.com:99999"]}`: "origins",
	} {
		a := s.call("POST", "/v1/apps/shop/keys", s.admin, body)
		if a.status != 422 || !strings.HasPrefix(a.text("detail"), field) {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	s.must(s.call("POST", "/v1/apps/shop/keys", s.admin, `{"kind":"write","expires_at":"tomorrow"}`), 400)
}

// Several keys are valid at once, so that one follows another without a gap.
func TestRotation(t *testing.T) {
	t.Parallel()
	s := start(t)
	old := s.keyWith("write", map[string]any{})
	next := s.keyWith("write", map[string]any{})
	for _, key := range []string{old.text("key"), next.text("key"), old.text("key")} {
		s.must(s.call("POST", "/v1/events", key, fine), 202)
	}
	s.must(s.call("DELETE", "/v1/apps/shop/keys/"+old.text("key_id"), s.admin, ""), 204)
	s.must(s.call("POST", "/v1/events", old.text("key"), fine), 401)
	s.must(s.call("POST", "/v1/events", next.text("key"), fine), 202)
	soon := s.keyWith("write", map[string]any{"expires_at": time.Now().Add(5 * time.Second).Format(time.RFC3339Nano)})
	s.must(s.call("POST", "/v1/events", soon.text("key"), fine), 202)
	var last reply
	s.eventually("the key to expire", func() bool { last = s.call("POST", "/v1/events", soon.text("key"), fine); return last.status != 202 })
	unknown := s.call("POST", "/v1/events", "eye_w_unknown-and-long-enough", fine)
	if last.status != 401 || string(last.body) != string(unknown.body) {
		t.Errorf("an expired key: %d %s", last.status, last.body)
	}
}
