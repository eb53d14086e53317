package theeye

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// visit sends a request through Sessions and returns the session that the handler sees, and the cookie
// that the answer sets.
func visit(t *testing.T, o SessionOptions, change func(*http.Request)) (session string, cookie *http.Cookie) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://shop.example/", nil)
	change(r)
	w := httptest.NewRecorder()
	Sessions(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		session = SessionID(r.Context())
	}), o).ServeHTTP(w, r)
	if cookies := w.Result().Cookies(); len(cookies) > 0 {
		cookie = cookies[0]
	}
	return session, cookie
}

func withCookie(value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Cookie", "other=1; theeye_session="+value) }
}

func TestSessionBegins(t *testing.T) {
	session, cookie := visit(t, SessionOptions{}, func(*http.Request) {})
	if len(session) != 36 || cookie == nil {
		t.Fatalf("session %q, cookie %v", session, cookie)
	}
	if got, want := cookie.String(), "theeye_session="+session+"; Path=/; Max-Age=1800; SameSite=Lax"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	again, cookie := visit(t, SessionOptions{Domain: "example.com"}, withCookie(session))
	if again != session || cookie.Domain != "example.com" || cookie.MaxAge != 1800 || cookie.Secure {
		t.Errorf("session %q, cookie %v", again, cookie)
	}
	_, overTLS := visit(t, SessionOptions{}, func(r *http.Request) { r.TLS = &tls.ConnectionState{} })
	_, behindProxy := visit(t, SessionOptions{Secure: true}, func(*http.Request) {})
	if !overTLS.Secure || !behindProxy.Secure {
		t.Error("the cookie is not secure")
	}
}

func TestSessionEnds(t *testing.T) {
	old := newUUID(time.Now().Add(-25 * time.Hour))
	if session, _ := visit(t, SessionOptions{}, withCookie(old)); session == old || len(session) != 36 {
		t.Errorf("session %q", session)
	}
	late := newUUID(time.Now().Add(-24*time.Hour + 5*time.Minute))
	session, cookie := visit(t, SessionOptions{}, withCookie(late))
	if session != late || cookie.MaxAge < 290 || cookie.MaxAge > 300 {
		t.Errorf("session %q, cookie %v", session, cookie)
	}
}

func TestSessionIDsOfOthers(t *testing.T) {
	for _, id := range []string{"user 17", "é;,\"", strings.Repeat("é", 200), "2b1f8c1e-9c1a-4d6e-8f63-0d2a3c4b5e6f"} {
		session, cookie := visit(t, SessionOptions{}, withCookie(url.PathEscape(id)))
		if session != id || cookie.Value != url.PathEscape(id) || cookie.MaxAge != 1800 {
			t.Errorf("session %q, want %q; cookie %v", session, id, cookie)
		}
	}
	for _, value := range []string{"", "%zz", "%00", "%ff", strings.Repeat("x", 201)} {
		if session, _ := visit(t, SessionOptions{}, withCookie(value)); len(session) != 36 {
			t.Errorf("cookie %q gives session %q", value, session)
		}
	}
}

func TestGlobalPrivacyControl(t *testing.T) {
	known := newUUID(time.Now())
	session, cookie := visit(t, SessionOptions{}, func(r *http.Request) {
		withCookie(known)(r)
		r.Header.Set("Sec-GPC", "1")
	})
	if session == known || len(session) != 36 || cookie != nil {
		t.Errorf("session %q, cookie %v", session, cookie)
	}
}

func TestNoSession(t *testing.T) {
	if id := SessionID(t.Context()); id != "" {
		t.Error(id)
	}
}
