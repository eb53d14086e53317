package theeye

import (
	"context"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	sessionCookie     = "theeye_session"
	sessionIdle       = 30 * time.Minute
	sessionLength     = 24 * time.Hour
	maxSessionIDRunes = 200
)

type sessionKey struct{}

// WithSession returns a context with a session id.
func WithSession(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, sessionKey{}, id)
}

// SessionID returns the session id in a context, which [Sessions] puts into that of each request. It
// is empty if there is none, so Track uses that of the client.
func SessionID(ctx context.Context) string {
	id, _ := ctx.Value(sessionKey{}).(string)
	return id
}

// SessionOptions describe the cookie of [Sessions].
type SessionOptions struct {
	Domain string // as cookieDomain of the client in browsers; empty for the host of the request alone
	Secure bool   // for HTTPS alone; needed behind a proxy that ends TLS, else it follows the request
}

// Sessions returns a handler that puts the id of the browser's session into the context of each
// request, and then calls next.
//
// The id is in the cookie theeye_session, which the client in browsers uses as well when it has a
// cookieDomain. A session ends after 30 minutes without a request, and after 24 hours if its id is a
// UUIDv7, as those that the clients make. Every answer sets the cookie, so answers that caches may
// keep for several visitors, such as static files, should not go through this handler.
//
// A request with the header Sec-GPC: 1 (Global Privacy Control) has a session of its own, and its
// answer sets no cookie.
func Sessions(next http.Handler, o SessionOptions) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := time.Now()
		if r.Header.Get("Sec-GPC") == "1" {
			next.ServeHTTP(w, r.WithContext(WithSession(r.Context(), newUUID(now))))
			return
		}
		id := cookieSession(r)
		left := sessionLeft(id, now)
		if left < time.Second {
			id, left = newUUID(now), sessionLength
		}
		http.SetCookie(w, &http.Cookie{ //nolint:gosec // scripts of the page share it
			Name: sessionCookie, Value: url.PathEscape(id), Path: "/", Domain: o.Domain,
			MaxAge: int(min(sessionIdle, left) / time.Second), Secure: o.Secure || r.TLS != nil, SameSite: http.SameSiteLaxMode,
		})
		next.ServeHTTP(w, r.WithContext(WithSession(r.Context(), id)))
	})
}

// cookieSession returns the session id in the cookie of a request, or "".
func cookieSession(r *http.Request) string {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return ""
	}
	id, err := url.PathUnescape(cookie.Value)
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if err != nil || !utf8.ValidString(id) || utf8.RuneCountInString(id) > maxSessionIDRunes || strings.ContainsFunc(id, unprintable) {
		return ""
	}
	return id
}

// sessionLeft returns for how long a session may go on. An id that is not a UUIDv7 does not say when
// it began.
func sessionLeft(id string, now time.Time) time.Duration {
	if id == "" {
		return 0
	}
	b, err := hex.DecodeString(strings.ReplaceAll(id, "-", ""))
	if err != nil || len(b) != 16 || len(id) != 36 || b[6]>>4 != 7 {
		return sessionLength
	}
	milliseconds := int64(0)
	for _, digit := range b[:6] {
		milliseconds = milliseconds<<8 | int64(digit)
	}
	return time.UnixMilli(milliseconds).Add(sessionLength).Sub(now)
}
