package httpapi

import (
	"net/http"

	"github.com/rs/cors"
)

// preflightAge is how long a browser may remember what a preflight answered, in
// seconds; none remembers longer.
const preflightAge = 7200

// crossOrigin lets pages of allowed origins use the intake, and read its answers,
// errors too. It opens nothing: the request itself is judged by its key, in
// authorize, also when no preflight came before it (sendBeacon, text/plain).
func (s *Server) crossOrigin() *cors.Cors {
	return cors.New(cors.Options{
		AllowOriginVaryRequestFunc: s.originMayAsk,
		AllowedMethods:             []string{http.MethodPost},
		AllowedHeaders:             []string{"*"}, // none of them gives a page any power
		ExposedHeaders: []string{
			"Retry-After", "RateLimit", "RateLimit-Policy", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "WWW-Authenticate",
		},
		// sendBeacon always sends with credentials, and of JSON only so. There are none
		// to abuse: a key is the only one that is looked at.
		AllowCredentials:     true,
		MaxAge:               preflightAge,
		OptionsSuccessStatus: http.StatusNoContent,
	})
}

// originMayAsk reports whether a browser may show an answer to a page of an
// origin: when the key names the origin. A preflight has no Authorization, so
// without ?key= the origins of all valid keys count; they count for a key that is
// not valid as well, so that the page can read its 401.
func (s *Server) originMayAsk(r *http.Request, origin string) (bool, []string) {
	if len(r.Header.Values("Origin")) != 1 {
		return false, nil
	}
	secret := keyOf(r, ForWrite)
	who, valid := s.opts.Registry.Peek(secret)
	switch {
	case valid:
		return who.Named(origin), nil
	case secret != "" && r.Method == http.MethodOptions:
		return false, nil
	}
	return s.opts.Registry.OriginNamed(origin), nil
}

// intakeOptions answers an OPTIONS that is no preflight.
func intakeOptions(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Allow", "OPTIONS, POST")
	w.WriteHeader(http.StatusNoContent)
}
