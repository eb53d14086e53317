package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// signIn signs in with a key, and returns the cookie as a request sends it, and the id of the login.
func (s *server) signIn(key string, header ...string) (cookie, id string) {
	s.t.Helper()
	a := s.call("POST", "/v1/logins", "", `{"key":"`+key+`"}`, header...)
	s.must(a, 201)
	cookie, _, _ = strings.Cut(a.header.Get("Set-Cookie"), ";")
	return cookie, a.text("login_id")
}

// as calls with a cookie, as a page of the server does.
func (s *server) as(cookie, method, path, body string) reply {
	s.t.Helper()
	return s.call(method, path, "", body, "Cookie", cookie, "Sec-Fetch-Site", "same-origin", "Origin", s.url)
}

// Who may do what is asked for each route of the document, with a cookie, a key and both, by pages
// of the same origin, of the same site, of another site and of no origin, and by programs. A cookie
// counts only without a key, and never for the intake; what it authenticates and changes something
// must come from the same origin. A key counts wherever it comes from.
func TestCookiesCountLessThanKeys(t *testing.T) {
	t.Parallel()
	s := start(t, "--legacy-app", "legacy")
	places := map[string][]string{
		"same origin": {"Sec-Fetch-Site", "same-origin", "Origin", s.url},
		"same site":   {"Sec-Fetch-Site", "same-site", "Origin", "http://127.0.0.1:1"},
		"cross-site":  {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"},
		"Origin null": {"Origin", "null"},
		"a program":   nil,
	}
	foreign := map[string]bool{"same site": true, "cross-site": true, "Origin null": true}
	cookie, _ := s.signIn(s.admin)
	ends := map[string]bool{"DELETE /v1/logins/current": true}
	for _, o := range s.operations() {
		safe := o.method == http.MethodGet
		for place, header := range places {
			if ends[o.String()] {
				cookie, _ = s.signIn(s.admin)
			}
			right := s.admin
			if o.access == "write" {
				right = s.write
			}
			wrong := "eye_a_unknown-and-long-enough"
			with := append([]string{"Cookie", cookie}, header...)
			for _, c := range []struct {
				name string
				caller
				want int // 0 for neither 401 nor 403
			}{
				{"cookie", caller{header: with}, s.wantOfCookie(o, safe, foreign[place])},
				{"key", caller{key: right, header: header}, s.wantOfKey(o, foreign[place])},
				{"both", caller{key: right, header: with}, s.wantOfKey(o, foreign[place])},
				{"cookie and a wrong key", caller{key: wrong, header: with}, s.wantOfNone(o, foreign[place])},
				{"cookie and a wrong ?key=", caller{header: with, query: "key=" + wrong}, s.wantOfNone(o, foreign[place])},
				{"cookie and another scheme", caller{header: append([]string{"Authorization", "Digest x"}, with...)}, s.wantOfNone(o, foreign[place])},
			} {
				got := s.status(o, c.caller)
				if got != http.StatusUnauthorized && got != http.StatusForbidden {
					got = 0
				}
				if got != c.want {
					t.Errorf("%s, %s, %s: %d, want %d", o, c.name, place, got, c.want)
				}
			}
		}
	}
}

// wantOfCookie is the refusal of a request that has only the cookie of an administrator.
func (s *server) wantOfCookie(o operation, safe, foreign bool) int {
	switch {
	case o.access == "open":
		return s.wantOfKey(o, foreign)
	case o.access == "write":
		return http.StatusUnauthorized
	case foreign && !safe:
		return http.StatusForbidden
	}
	return 0
}

// wantOfKey is the refusal of a request with the right key: a sign-in from elsewhere.
func (s *server) wantOfKey(o operation, foreign bool) int {
	if o.String() == "POST /v1/logins" && foreign {
		return http.StatusForbidden
	}
	return 0
}

// wantOfNone is the refusal of a request with a wrong key.
func (s *server) wantOfNone(o operation, foreign bool) int {
	if o.access == "open" {
		return s.wantOfKey(o, foreign)
	}
	return http.StatusUnauthorized
}

// The legacy address and shared routes answer as if there were no cookie.
func TestIntakeLooksAtNoCookie(t *testing.T) {
	t.Parallel()
	s := start(t)
	cookie, _ := s.signIn(s.admin)
	for _, path := range []string{"/v1/events", "/v1/events/"} {
		a := s.call("POST", path, "", fine, "Cookie", cookie, "Origin", page)
		s.must(a, 401)
		if a.header.Get("Access-Control-Allow-Credentials") != "" && a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: another origin may read the answer: %v", path, a.header)
		}
	}
	for _, path := range []string{"/v1/events", "/v1/overview", "/v1/logins/current", "/"} {
		a := s.call("GET", path, "", "", "Cookie", cookie, "Origin", page)
		for name := range a.header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s answers %s", path, name)
			}
		}
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	s := start(t)
	a := s.call("POST", "/v1/logins", "", `{"key":"`+s.read+`"}`)
	s.must(a, 201)
	set := a.header.Get("Set-Cookie")
	if !regexp.MustCompile(`^eye_[0-9a-f]{8}=eye_l_\w+; Path=/; Max-Age=604800; HttpOnly; SameSite=Strict$`).MatchString(set) {
		t.Errorf("the cookie is %q", set)
	}
	cookie, _, _ := strings.Cut(set, ";")
	if got := s.as(cookie, "GET", "/v1/logins/current", ""); got.text("login_id") != a.text("login_id") || got.text("kind") != "read" || got.text("app") != "shop" {
		t.Errorf("current: %s, signed in: %s", got.body, a.body)
	}
	ends, err := time.Parse(time.RFC3339, a.text("ends_at"))
	if d := time.Until(ends); err != nil || d < 11*time.Hour || d > 12*time.Hour {
		t.Errorf("it ends in %v, %v", d, err)
	}
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, fine), 201)
	if a := s.as(cookie, "GET", "/v1/count", ""); a.text("count") != "1" {
		t.Errorf("count: %s", a.body)
	}
	s.must(s.as(cookie, "GET", "/v1/apps", ""), 403)
	s.must(s.as(cookie, "GET", "/v1/events?app=default", ""), 403)
	s.must(s.call("GET", "/v1/events", "", "", "Cookie", cookie+"; "+cookie), 401)
	s.must(s.call("GET", "/v1/events", strings.TrimPrefix(cookie, cookie[:strings.Index(cookie, "=")+1]), ""), 401)
	s.must(s.call("GET", "/v1/logins/current", s.read, ""), 404)
	s.must(s.call("DELETE", "/v1/logins/current", s.read, ""), 404)

	again, _ := s.signIn(s.read, "Cookie", cookie)
	if again == cookie {
		t.Error("a second sign-in has the same cookie")
	}
	s.must(s.as(cookie, "GET", "/v1/events", ""), 401)
	out := s.as(again, "DELETE", "/v1/logins/current", "")
	s.must(out, 204)
	if set := out.header.Get("Set-Cookie"); !strings.Contains(set, "=; Path=/; Max-Age=0") {
		t.Errorf("signing out sets %q", set)
	}
	s.must(s.as(again, "GET", "/v1/events", ""), 401)
}

func TestSignInIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	for body, want := range map[string]int{
		`{"key":"` + s.write + `"}`:           403,
		`{"key":"` + s.read + `x"}`:           401,
		`{"key":""}`:                          400,
		`{}`:                                  400,
		`{"key":"` + s.read + `","link":"x"}`: 400,
		`{"link":"` + strings.Repeat("x", 60) + `"}`: 401,
		`{"link":"` + s.admin + `"}`:                 401,
		`{"key":1}`:                                  400,
		`{"user":"x"}`:                               400,
		``:                                           400,
		`{"key":"` + strings.Repeat("x", 8<<10) + `"}`:    413,
		`{"key":"` + strings.Repeat("\\u0078", 50) + `"}`: 401,
	} {
		a := s.call("POST", "/v1/logins", "", body)
		if s.must(a, want); a.header.Get("Set-Cookie") != "" {
			t.Errorf("%.80s sets a cookie", body)
		}
	}
	cookie, id := s.signIn(s.read)
	s.must(s.as(cookie, "DELETE", "/v1/logins/"+id, ""), 403)
	s.must(s.as(cookie, "POST", "/v1/logins/links", ""), 403)
	s.must(s.call("DELETE", "/v1/logins/none", s.admin, ""), 404)
}

// Whatever a login has begun ends within a second of its key, or of the login.
func TestTailEndsWithItsLogin(t *testing.T) {
	t.Parallel()
	s := start(t)
	for name, end := range map[string]func(keyID, loginID string){
		"the key is revoked":  func(keyID, _ string) { s.must(s.call("DELETE", "/v1/keys/"+keyID, s.admin, ""), 204) },
		"the login is ended":  func(_, id string) { s.must(s.call("DELETE", "/v1/logins/"+id, s.admin, ""), 204) },
		"the key has expired": func(string, string) {},
	} {
		expires := ""
		if name == "the key has expired" {
			expires = `,"expires_at":"` + time.Now().Add(3*time.Second).Format(time.RFC3339Nano) + `"`
		}
		k := s.call("POST", "/v1/keys", s.admin, `{"kind":"read"`+expires+`}`)
		s.must(k, 201)
		cookie, id := s.signIn(k.text("key"))
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/v1/tail", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Cookie", cookie)
		a, err := http.DefaultClient.Do(req)
		if err != nil || a.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v, %v", name, a, err)
		}
		if _, err := a.Body.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		end(k.text("key_id"), id)
		_, err = io.Copy(io.Discard, a.Body)
		_ = a.Body.Close()
		limit := time.Second
		if expires != "" {
			limit += 3 * time.Second
		}
		if took := time.Since(began); took > limit || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: the tail went on for %v, %v", name, took, err)
		}
		s.must(s.as(cookie, "GET", "/v1/events", ""), 401)
	}
}

// A restart signs nobody out; an administrator sees and ends the logins of all keys, and the audit
// log has who signed in and what was done.
func TestLoginsOfAll(t *testing.T) {
	t.Parallel()
	s := start(t)
	ended, endedID := s.signIn(s.read)
	read, _ := s.signIn(s.read)
	admin, adminID := s.signIn(s.admin)
	s.must(s.as(admin, "DELETE", "/v1/logins/"+endedID, ""), 204)
	s.kill()
	s.launch()
	s.must(s.as(ended, "GET", "/v1/events", ""), 401)
	s.must(s.as(read, "GET", "/v1/events", ""), 200)
	s.must(s.as(admin, "POST", "/v1/apps", `{"app":"made-at-the-page"}`), 201)
	list := s.as(admin, "GET", "/v1/logins", "").json()["logins"].([]any)
	if len(list) != 2 {
		t.Errorf("logins: %v", list)
	}
	acts := map[string]string{}
	for _, e := range s.trail("") {
		detail, _ := e["detail"].(map[string]any)
		acts[fmt.Sprint(e["act"])] = fmt.Sprint(detail["login_id"])
	}
	for _, act := range []string{"signIn", "endLogin", "createApp"} {
		if acts[act] != adminID && act != "createApp" || acts["createApp"] == "" {
			t.Errorf("%s was recorded with the login %q, want %q: %v", act, acts[act], adminID, acts)
		}
	}

	dir := filepath.Join(t.TempDir(), "backup")
	s.backup(dir)
	r := s.restored(dir)
	for _, cookie := range []string{read, admin} {
		_, token, _ := strings.Cut(cookie, "=")
		other, _ := r.signIn(r.admin)
		name, _, _ := strings.Cut(other, "=")
		if strings.HasPrefix(cookie, name+"=") {
			t.Error("the restored server has the same cookie")
		}
		r.must(r.as(name+"="+token, "GET", "/v1/events", ""), 401)
	}
}

// The cookie of an encrypted connection is for this host alone, whether the server or a trusted
// proxy encrypts.
func TestCookieOfAnEncryptedConnection(t *testing.T) {
	t.Parallel()
	want := regexp.MustCompile(`^__Host-eye=eye_l_\w+; Path=/; Max-Age=604800; HttpOnly; Secure; SameSite=Strict$`)
	certFile, keyFile := certificate(t, "127.0.0.1")
	s := &server{t: t, data: t.TempDir(), args: []string{"--tls-cert", certFile, "--tls-key", keyFile}, client: trusting(t, certFile)}
	s.launch()
	s.prepare()
	a := s.call("POST", "/v1/logins", "", `{"key":"`+s.read+`"}`)
	s.must(a, 201)
	if set := a.header.Get("Set-Cookie"); !want.MatchString(set) {
		t.Errorf("TLS: %q", set)
	}
	cookie, _, _ := strings.Cut(a.header.Get("Set-Cookie"), ";")
	s.must(s.as(cookie, "GET", "/v1/events", ""), 200)

	proxied := start(t, "--trusted-proxies", "127.0.0.0/8")
	for header, encrypted := range map[[2]string]bool{
		{"X-Forwarded-Proto", "https"}:             true,
		{"X-Forwarded-Proto", "http, https"}:       true,
		{"Forwarded", "for=192.0.2.1;proto=https"}: true,
		{"X-Forwarded-Proto", "http"}:              false,
		{"Forwarded", "for=192.0.2.1;proto=http"}:  false,
		{"Accept", "*/*"}:                          false,
	} {
		a := proxied.call("POST", "/v1/logins", "", `{"key":"`+proxied.read+`"}`, header[0], header[1])
		proxied.must(a, 201)
		set := a.header.Get("Set-Cookie")
		if want.MatchString(set) != encrypted {
			t.Errorf("%v: %q", header, set)
		}
		cookie, _, _ := strings.Cut(set, ";")
		proxied.must(proxied.call("GET", "/v1/events", "", "", "Cookie", cookie, header[0], header[1]), 200)
	}
	direct := start(t)
	if a := direct.call("POST", "/v1/logins", "", `{"key":"`+direct.read+`"}`, "X-Forwarded-Proto", "https"); want.MatchString(a.header.Get("Set-Cookie")) {
		t.Error("a stranger's X-Forwarded-Proto is believed")
	}
}

// The first start prints a link that signs in once; `eye open` prints others.
func TestLinksSignInOnce(t *testing.T) {
	t.Parallel()
	s := &server{t: t, data: t.TempDir(), args: []string{"--print-keys"}}
	s.launch()
	s.prepare()
	printed := regexp.MustCompile(`http://127\.0\.0\.1:\d+/signin#link=(eye_o_\w+)`)
	first := printed.FindStringSubmatch(s.output.String())
	if first == nil || !strings.HasPrefix(first[0], s.url) {
		t.Fatalf("the first start prints no link to %s: %s", s.url, s.output)
	}
	use := func(link string) reply { return s.call("POST", "/v1/logins", "", `{"link":"`+link+`"}`) }
	a := use(first[1])
	if s.must(a, 201); a.text("kind") != "admin" {
		t.Errorf("signed in as %s", a.body)
	}
	s.must(use(first[1]), 401)

	code, out := runEye(t, nil, "open", "--print", "--data", s.data)
	fresh := printed.FindStringSubmatch(out)
	if code != 0 || fresh == nil || strings.TrimSpace(out) != fresh[0] || !strings.HasPrefix(out, s.url) {
		t.Fatalf("eye open --print: %d, %q", code, out)
	}
	code, out = runEye(t, []string{"EYE_KEY=" + s.admin}, "open", "--print", "--url", s.url+"/")
	if code != 0 || !printed.MatchString(out) {
		t.Errorf("eye open --url: %d, %q", code, out)
	}
	if code, out := runEye(t, []string{"DISPLAY=", "WAYLAND_DISPLAY="}, "open", "--data", s.data); code != 0 || !strings.Contains(out, "No browser") {
		t.Errorf("eye open without a browser: %d, %q", code, out)
	}
	if code, _ := runEye(t, []string{"EYE_KEY=" + s.read}, "open", "--print", "--url", s.url); code == 0 {
		t.Error("a read key opens the page as an administrator")
	}
	s.shutDown()
	s.launch()
	if strings.Contains(s.output.String(), "#link=") {
		t.Error("the second start prints a link")
	}
	cookie, _, _ := strings.Cut(use(fresh[1]).header.Get("Set-Cookie"), ";")
	s.must(s.as(cookie, "GET", "/v1/apps", ""), 200)
	link := s.as(cookie, "POST", "/v1/logins/links", "")
	s.must(link, 201)
	s.must(use(link.text("link")), 201)
	if detail := fmt.Sprint(s.trail("")); strings.Contains(detail, "eye_o_") || strings.Contains(detail, "eye_l_") {
		t.Errorf("the audit log has a secret: %s", detail)
	}
}
