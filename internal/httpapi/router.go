package httpapi

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"
)

// router returns a handler for the route table. Paths are used as they are written: a segment is
// whatever is between two slashes, and nothing is cleaned or redirected. Every text can therefore
// be addressed (http.ServeMux resolves dots and treats %2F as a separator).
func (s *Server) router() http.Handler {
	mux := chi.NewRouter()
	shared := s.crossOrigin()
	for _, rt := range s.routes {
		handler := s.serve(rt)
		paths := []string{rt.Path}
		if rt.EitherSlash { // the base addresses of senders may end with a slash
			paths = []string{strings.TrimSuffix(rt.Path, "/"), strings.TrimSuffix(rt.Path, "/") + "/"}
		}
		for _, path := range paths {
			switch {
			case rt.Access == ForWrite:
				mux.Method(rt.Method, path, shared.Handler(handler))
				mux.Method(http.MethodOptions, path, shared.Handler(http.HandlerFunc(intakeOptions)))
			case rt.Method == http.MethodGet:
				mux.Method(http.MethodHead, path, handler)
				fallthrough
			default:
				mux.Method(rt.Method, path, handler)
			}
		}
	}
	mux.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, r, methodNotAllowed(r.Method, allowedAt(mux, r.URL.RawPath)))
	})
	mux.NotFound(func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, NewProblem(http.StatusNotFound, "nothing is served at "+r.URL.Path+"; see /docs"))
	})
	return secured(s.wellFormed(mux))
}

// allowedAt returns the methods that are served at an escaped path.
func allowedAt(mux chi.Routes, path string) []string {
	var allowed []string
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		if mux.Match(chi.NewRouteContext(), method, path) {
			allowed = append(allowed, method)
		}
	}
	return allowed
}

// wellFormed refuses a request with a malformed path or query: net/http drops parameters that
// cannot be parsed, and the remaining ones would select more. Nothing of such a request is read or
// kept.
func (s *Server) wellFormed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var p *ProblemDetails
		if _, err := url.ParseQuery(r.URL.RawQuery); err != nil {
			p = Problemf(http.StatusBadRequest, "the query is not valid (%v): separate parameters with &, and write a percent sign, an ampersand and a semicolon in a value as %%25, %%26 and %%3B", err)
		} else if !utf8.ValidString(r.URL.Path) {
			p = NewProblem(http.StatusBadRequest, "the path is not valid UTF-8")
		} else if r.RequestURI == "*" { // such as the preface of HTTP/2, after which more would follow
			p = NewProblem(http.StatusBadRequest, "the request has no path")
			w.Header().Set("Connection", "close")
		}
		if p != nil {
			s.metrics.malformed.Inc()
			s.refuse(w, r, p)
			return
		}
		r.URL.RawPath = r.URL.EscapedPath() // the path that the router uses
		next.ServeHTTP(w, r)
	})
}

// unescape unescapes the path values of a request. It fails when one of them is empty.
func unescape(r *http.Request) error {
	for _, name := range chi.RouteContext(r.Context()).URLParams.Keys {
		value, err := url.PathUnescape(r.PathValue(name))
		if err != nil || value == "" {
			return NewProblem(http.StatusNotFound, "nothing is served at "+r.URL.Path+"; see /docs")
		}
		r.SetPathValue(name, value)
	}
	return nil
}
