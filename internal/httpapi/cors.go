package httpapi

import (
	"net/http"

	"github.com/rs/cors"
)

// preflightAge is the time for which a browser may cache the answer to a preflight, in seconds. No
// browser caches it longer.
const preflightAge = 7200

// crossOrigin lets pages of allowed origins use the intake and read its answers, including errors.
// It grants nothing: authorize checks the key of the request, even if no preflight preceded it
// (sendBeacon, text/plain).
func (s *Server) crossOrigin() *cors.Cors {
	return cors.New(cors.Options{
		AllowOriginVaryRequestFunc: s.originMayAsk,
		AllowedMethods:             []string{http.MethodPost},
		AllowedHeaders:             []string{"*"}, // none of them gives a page any rights
		ExposedHeaders: []string{
			"Retry-After", "RateLimit", "RateLimit-Policy", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "WWW-Authenticate",
		},
		// sendBeacon always sends credentials, and sends JSON only with them. There are none to
		// abuse: only the key counts.
		AllowCredentials:     true,
		MaxAge:               preflightAge,
		OptionsSuccessStatus: http.StatusNoContent,
	})
}

// originMayAsk reports whether a browser may show an answer to a page of an origin: whether the
// key names the origin. A preflight has no Authorization, so without ?key= the origins of all
// valid keys count. They count for an invalid key too, so that the page can read its 401.
func (s *Server) originMayAsk(r *http.Request, origin string) (bool, []string) {
	if len(r.Header.Values("Origin")) != 1 {
		return false, nil
	}
	secret := keyOf(r, ForWrite)
	who, valid := s.opts.Registry.Peek(secret)
	switch {
	case valid:
		return who.NamesOrigin(origin), nil
	case secret != "" && r.Method == http.MethodOptions:
		return false, nil
	}
	return s.opts.Registry.OriginNamed(origin), nil
}

// intakeOptions answers an OPTIONS request that is not a preflight.
func intakeOptions(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Allow", "OPTIONS, POST")
	w.WriteHeader(http.StatusNoContent)
}
