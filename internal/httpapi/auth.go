package httpapi

import (
	"net/http"
	"strings"

	"theeye/internal/registry"
)

// authorize finds out who calls and whether the key may be used here. The
// answers never say which applications or keys there are (P8).
func (s *Server) authorize(c *call, need access) error {
	if need == open {
		return nil
	}
	secret := bearer(c.Request)
	if secret == "" && need == forWrite {
		secret = c.URL.Query().Get("key")
	}
	who, ok := s.opts.Registry.Authenticate(secret)
	if !ok {
		p := problemf(http.StatusUnauthorized, "a valid key is needed: Authorization: Bearer KEY; %s", needed(need))
		p.headers = map[string]string{"WWW-Authenticate": `Bearer realm="the eye"`}
		return p
	}
	c.who = who
	switch {
	case need == forWrite && who.Kind == registry.Write,
		need == forRead && (who.Kind == registry.Read || who.Kind == registry.Admin),
		need == forAdmin && who.Kind == registry.Admin,
		need == forMetric && (who.Kind == registry.Admin || who.Kind == registry.Read && who.App == ""):
		return nil
	}
	return problemf(http.StatusForbidden, "this key may not be used here: %s", needed(need))
}

func needed(need access) string {
	switch need {
	case forWrite:
		return "sending takes a write key"
	case forRead:
		return "reading takes a read key or an admin key"
	case forMetric:
		return "metrics take an admin key or a read key of all applications"
	}
	return "administration takes an admin key"
}

// bearer returns the key of the Authorization header: of Bearer, or the user
// name of Basic.
func bearer(r *http.Request) string {
	if user, _, ok := r.BasicAuth(); ok {
		return user
	}
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
