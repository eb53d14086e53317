// Package httpapi is the interface that users meet: routes, keys, limits,
// problem+json and the OpenAPI document of what it serves.
//
// It decides nothing about events. Each route is one line in a table, from which
// both the mux and the document are made, so that none is served undocumented.
package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"theeye/internal/backup"
	"theeye/internal/clock"
	"theeye/internal/fair"
	"theeye/internal/ingest"
	"theeye/internal/progress"
	"theeye/internal/query"
	"theeye/internal/queue"
	"theeye/internal/registry"
	"theeye/internal/replay"
	"theeye/internal/store"
)

// Limits and deadlines of the interface.
const (
	DefaultMaxRequestBytes = 4 << 20
	DefaultMaxEventBytes   = 256 << 10
	DefaultBodyMemory      = 256 << 20 // for the bodies of all requests at a time
	waitForStored          = 10 * time.Second
	DefaultIntakeDeadline  = 15 * time.Second
	readDeadline           = 10 * time.Second
	DefaultStallDeadline   = 60 * time.Second
)

// Options of a Server.
type Options struct {
	Registry  *registry.Registry
	Collector *ingest.Collector
	Queue     *queue.Queue
	Progress  *progress.Tracker
	Reader    store.Reader
	// Parquet writes the events that a query selects to a file that is gone when it
	// is closed; nil when the store cannot.
	Parquet func(context.Context, query.Query) (*os.File, error)
	// ExportsEnded returns a channel that is closed when exports that have begun must
	// not go on, because something was erased; nil where that does not happen.
	ExportsEnded func() <-chan struct{}

	Backup  *backup.Source // nil when the store is elsewhere
	Replays *replay.Runner
	// CaughtUp reports nil when the store holds all that was acknowledged before
	// the start, else an error that says how far it has come.
	CaughtUp func() error
	// Ping reports whether the store answers, without waiting for other readers; nil
	// to read the books instead.
	Ping func(context.Context) error
	// Missing names what the store cannot answer from, while the rest is served. It
	// may be nil.
	Missing func() []string
	// Notices tells what the operator should know while all works. It may be nil.
	Notices func() []string
	Mending Mending
	// AcceptClock sets retention's clock to the system's; nil where there is none.
	AcceptClock func() (clock.Change, error)
	// Rescue sends in again what a file of the queue's quarantine holds and the store does not; nil
	// where there is no such file. Errors: fs.ErrNotExist, queue.ErrNoFrames, queue.ErrNewer, and
	// those of publishing.
	Rescue func(ctx context.Context, file string) (RescueAnswer, error)
	// Erase erases a session from applications; nil where that is not possible.
	Erase func(ctx context.Context, apps []string, session string) (Erasure, error)
	// EmptyQuarantine deletes all files that were put aside as damaged, and returns what there was.
	// It may be nil.
	EmptyQuarantine func(context.Context) ([]PutAside, error)
	// EraseApp erases all that an application sent, which takes nothing any more,
	// and then deletes it; nil where that is not possible.
	EraseApp func(ctx context.Context, app registry.App) (Erasure, error)

	LegacyApp       string         // serves /event/ for this application; empty for none
	MaxRequestBytes int64          // unpacked; 0 for the default
	MaxEventBytes   int64          // as the collector has it, to be told; 0 for the default
	BodyMemory      int64          // bytes of bodies at a time; 0 for the default
	ReadMemory      int64          // bytes of answers that are read and sent at a time; 0 for the default
	TrustedProxies  []netip.Prefix // whose X-Forwarded-For and Forwarded are believed
	// StallDeadline is how long a caller may take nothing of an answer; 0 for the
	// default.
	StallDeadline time.Duration
	// IntakeDeadline is how long an intake request may take once its body has come; 0 for the default.
	IntakeDeadline time.Duration

	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Gatherer   prometheus.Gatherer // what /metrics shows
}

// Server answers HTTP requests. It is safe for concurrent use.
type Server struct {
	opts       Options
	log        *slog.Logger
	bodyBudget *Budget
	readBudget *Budget // of answers, by key
	buckets    buckets
	recent     recent
	unpack     unpackers
	gate       gate
	sums       sums
	metrics    metrics
	handler    http.Handler
	life       *life
	document   func() ([]byte, error) // what /openapi.json tells

	exporting *fair.Semaphore     // exports at a time
	draftings *semaphore.Weighted // drafts that are tried or proposed

	readyMu sync.Mutex // guards what /readyz knows
	ready   Readiness
	readyAt time.Time
}

// New returns a server of all routes.
func New(opts Options) *Server {
	if opts.MaxEventBytes == 0 {
		opts.MaxEventBytes = DefaultMaxEventBytes
	}
	if opts.MaxRequestBytes == 0 {
		opts.MaxRequestBytes = DefaultMaxRequestBytes
	}
	if opts.BodyMemory == 0 {
		opts.BodyMemory = DefaultBodyMemory
	}
	if opts.ReadMemory == 0 {
		opts.ReadMemory = DefaultReadMemory
	}
	if opts.StallDeadline == 0 {
		opts.StallDeadline = DefaultStallDeadline
	}
	if opts.IntakeDeadline == 0 {
		opts.IntakeDeadline = DefaultIntakeDeadline
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	reads := NewBudget(max(opts.ReadMemory, pageMemory))
	exporting := newExporting()
	s := &Server{
		opts: opts, log: opts.Logger, life: newLife(),
		bodyBudget: NewBudget(max(opts.BodyMemory, leastBodies*opts.MaxRequestBytes+2*windowOf("br"))), readBudget: reads,
		metrics: newMetrics(opts.Registerer, reads, exporting), exporting: exporting, draftings: semaphore.NewWeighted(maxDrafting),
	}
	s.document = sync.OnceValues(OpenAPI(opts.LegacyApp != "").MarshalJSON)
	s.handler = s.router()
	return s
}

// ServeHTTP implements http.Handler. It may be called while Run does not run; then
// no sums are written into the audit trail.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// A chunked request may have had a Content-Length too, which net/http drops. Whoever went
	// by that takes what comes next on the connection for a part of the body, so nothing may
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

func (s *Server) routes() []Route {
	all := append(intakeRoutes(), readRoutes()...)
	all = append(all, exportRoutes()...)
	all = append(all, adminRoutes()...)
	all = append(all, keyRoutes()...)
	all = append(all, typeRoutes()...)
	all = append(all, erasureRoutes()...)
	all = append(all, replayRoutes()...)
	all = append(all, backupRoutes()...)
	all = append(all, clockRoutes()...)
	all = append(all, mendingRoutes()...)
	all = append(all, rescueRoutes()...)
	all = append(all, auditRoutes()...)
	all = append(all, unreadableRoutes()...)
	all = append(all, operationRoutes()...)
	if s.opts.LegacyApp != "" {
		all = append(all, legacyRoutes()...)
	}
	return all
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
		c := &Call{Request: r, w: recorder}
		err := unescape(r)
		if err == nil {
			err = s.authorize(c, rt.Access)
		}
		if err == nil {
			c.Request = c.WithContext(fair.With(c.ctx(), s.callerOf(rt, c)))
			err = s.whileValid(rt, c)
		}
		if err != nil {
			s.noteUnreadable(rt, c, err)
			s.noteRefusedKey(rt, c, err)
			s.fail(c, rt, err)
		}
		s.metrics.answered(name, recorder.status, time.Since(began))
	})
}

// callerOf is for whom the store works. Whoever needs no key counts as one key.
func (s *Server) callerOf(rt Route, c *Call) fair.Caller {
	if rt.Access == Open {
		return fair.Caller{App: s.opts.LegacyApp, Key: rt.Path}
	}
	return fair.Caller{App: c.Principal.App, Key: c.Principal.KeyID}
}

// guard calls a route with a query that it documents, and keeps a panic of one request from the others.
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
	return rt.Handle(s, c)
}

// fail answers with an error, unless an answer has begun.
func (s *Server) fail(c *Call, rt Route, err error) {
	p := s.problemOf(err)
	if p.Status >= 500 && p.Status != http.StatusServiceUnavailable {
		s.log.Error("request failed", "method", c.Method, "path", Redact(c.URL.Path), "remote", s.remoteText(c.Request), "error", err)
	}
	if c.w.status != 0 {
		return
	}
	_ = http.NewResponseController(c.w).SetReadDeadline(time.Now().Add(unreadDeadline))
	if rt.Path == legacyPath {
		writeLegacyError(c.w, p)
		return
	}
	writeProblem(c.w, p)
}

// unreadDeadline is how long the rest of a body may still come whose request is
// refused. net/http reads a little of it before it answers; when that does not come
// in time, it answers and closes the connection.
const unreadDeadline = 2 * time.Second

// secured adds the headers that cost nothing and prevent much.
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
