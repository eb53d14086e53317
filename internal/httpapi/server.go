// Package httpapi is the HTTP interface: keys, limits, problem+json, the audit log of
// administration, and the OpenAPI document of the routes.
//
// It makes no decisions about events. Most routes come from the packages intake, read and admin.
// The mux and the document are built from one list of routes, so every route is documented. Those
// packages import this one for Call, Route and ProblemDetails, never the reverse.
package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"theeye/internal/fair"
	"theeye/internal/queue"
	"theeye/internal/registry"
)

// DefaultStallDeadline is used if Options.StallDeadline is 0.
const DefaultStallDeadline = 60 * time.Second

// Options of a Server.
type Options struct {
	// Routes are served in addition to those of the server itself: health, metrics and the
	// document.
	Routes   []Route
	Registry *registry.Registry
	Queue    *queue.Queue // whose state /readyz reports
	// CaughtUp returns nil if the store holds everything that was acknowledged before the start, or
	// else an error that reports its progress.
	CaughtUp func() error
	// Ping reports whether the store answers, without waiting for other readers. It may be nil.
	Ping func(context.Context) error
	// Missing names data that the store cannot serve, although the rest is available. It may be
	// nil.
	Missing func() []string
	// Notices returns what an operator should know even though everything works. It may be nil.
	Notices func() []string

	BaseURL        string         // of a browser on this machine, without a trailing slash; "" if unknown
	ReadMemory     int64          // for answers that are read and sent, in bytes; 0 for the default
	TrustedProxies []netip.Prefix // whose X-Forwarded-For and Forwarded are trusted
	// StallDeadline is how long a caller may read nothing of an answer; 0 for the default.
	StallDeadline time.Duration

	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Gatherer   prometheus.Gatherer // what /metrics shows
}

// Server answers HTTP requests. It is safe for concurrent use.
type Server struct {
	opts       Options
	log        *slog.Logger
	routes     []Route
	errorForms map[string]*ErrorForm // by path without its trailing slash
	readBudget *Budget               // of answers, by key
	sums       sums
	metrics    metrics
	handler    http.Handler
	life       *life
	document   func() ([]byte, error) // of /openapi.json

	readyMu sync.Mutex // guards what /readyz knows
	ready   Readiness
	readyAt time.Time
}

// New returns a server of opts.Routes and its own.
func New(opts Options) *Server {
	if opts.ReadMemory == 0 {
		opts.ReadMemory = DefaultReadMemory
	}
	if opts.StallDeadline == 0 {
		opts.StallDeadline = DefaultStallDeadline
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		opts: opts, log: opts.Logger, life: newLife(), errorForms: map[string]*ErrorForm{},
		readBudget: NewBudget(max(opts.ReadMemory, pageMemory)),
	}
	s.metrics = newMetrics(opts.Registerer, s.readBudget)
	s.routes = slices.Concat(opts.Routes, s.operationRoutes())
	for _, rt := range s.routes {
		if rt.Errors != nil {
			s.errorForms[strings.TrimSuffix(rt.Path, "/")] = rt.Errors
		}
	}
	s.document = sync.OnceValues(OpenAPI(opts.Routes).MarshalJSON)
	s.handler = s.router()
	return s
}

// Routes returns all routes that are served.
func (s *Server) Routes() []Route { return slices.Clone(s.routes) }

// ServeHTTP implements http.Handler. It may be called while Run is not running; in that case, no
// sums are written to the audit log.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// A chunked request may also have had a Content-Length, which net/http drops. A proxy that
	// used it takes what follows on the connection as part of the body, so nothing may follow
	// (RFC 9112, 6.1).
	if len(r.TransferEncoding) > 0 {
		w.Header().Set("Connection", "close")
	}
	if !s.life.enter() {
		s.refuse(w, r, Unavailable("the server is stopping; try again"))
		return
	}
	defer s.life.leave()
	s.handler.ServeHTTP(w, r)
}

// serve checks the key, calls the route and turns its error into an answer.
func (s *Server) serve(rt Route) http.Handler {
	name := rt.Method + " " + rt.Path
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		recorder := newStatusRecorder(w, s.opts.StallDeadline)
		recorder.stream = r.ProtoMajor > 1
		recorder.begin()
		defer recorder.rest()
		c := &Call{Request: r, server: s, access: rt.Access, w: recorder}
		err := unescape(r)
		if err == nil {
			err = s.authorize(c, rt)
		}
		if err == nil {
			c.Request = c.WithContext(fair.With(c.Context(), callerOf(rt, c)))
			err = s.whileValid(rt, c)
		}
		if err != nil {
			if rt.Refused != nil {
				rt.Refused(c, err)
			} else {
				s.noteRefusedKey(rt, c, err)
			}
			s.fail(c, rt, err)
		}
		s.metrics.answered(name, recorder.status, time.Since(began))
	})
}

// callerOf returns the caller for whom the store works. All callers of an open route count as one
// key.
func callerOf(rt Route, c *Call) fair.Caller {
	if rt.Access == Open {
		return fair.Caller{App: rt.App, Key: rt.Path}
	}
	return fair.Caller{App: c.Principal.App, Key: c.Principal.KeyID}
}

// guard checks the query and calls a route. A panic of one request does not affect others.
func (s *Server) guard(rt Route, c *Call) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			err = panicked(p)
		}
	}()
	if err := checkParams(rt, c.URL.Query()); err != nil {
		return err
	}
	return rt.Handle(c)
}

// fail answers with an error, unless an answer has begun.
func (s *Server) fail(c *Call, rt Route, err error) {
	p := ProblemOf(err)
	if p.Status >= 500 && p.Status != http.StatusServiceUnavailable {
		s.log.Error("request failed", "method", c.Method, "path", Redact(c.URL.Path), "remote", s.remoteText(c.Request), "error", err)
	}
	if c.w.status != 0 {
		return
	}
	_ = http.NewResponseController(c.w).SetReadDeadline(time.Now().Add(UnreadDeadline))
	writeError(c.w, p, rt.Errors)
}

// refuse answers a request that no route takes, in the format of errors of its path.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, p *ProblemDetails) {
	writeError(w, p, s.errorForms[strings.TrimSuffix(r.URL.Path, "/")])
}

func writeError(w http.ResponseWriter, p *ProblemDetails, form *ErrorForm) {
	if form != nil {
		form.Write(w, p)
		return
	}
	writeProblem(w, p)
}

// UnreadDeadline is the time for reading the rest of the body of a refused request. net/http reads
// a little of it before it answers; if that does not arrive in time, it answers and closes the
// connection.
const UnreadDeadline = 2 * time.Second

// secured adds security headers that apply to every answer.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}
