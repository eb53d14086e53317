// Package intake serves the routes that accept events: POST /v1/events, the POST of --legacy-app's
// address, and the list of requests that were refused there.
//
// A request is admitted, its body is read within the body budget, and the body is handed to the
// collector. A body that cannot be read as events is kept as a rejection. The package does not
// know what makes an event valid.
package intake

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"theeye/internal/httpapi"
	"theeye/internal/ingest"
	"theeye/internal/progress"
	"theeye/internal/queue"
	"theeye/internal/registry"
)

// Limits and deadlines of the intake.
const (
	DefaultMaxRequestBytes = 4 << 20
	DefaultMaxEventBytes   = 256 << 10
	DefaultBodyMemory      = 256 << 20 // for the bodies of all concurrent requests
	DefaultDeadline        = 15 * time.Second
	waitForStored          = 10 * time.Second
)

// Options are the options of Handlers. The zero value is sufficient for Routes.
type Options struct {
	Registry  *registry.Registry
	Collector *ingest.Collector
	Queue     *queue.Queue
	Progress  *progress.Tracker

	LegacyApp       string        // serves POST /event/ for this application; empty for none
	MaxRequestBytes int64         // decompressed; 0 for the default
	MaxEventBytes   int64         // for messages; the collector enforces it; 0 for the default
	BodyMemory      int64         // for the bodies of all concurrent requests, in bytes; 0 for the default
	Deadline        time.Duration // of a request once its body has been read; 0 for the default

	Registerer prometheus.Registerer
}

// Handlers serve the routes that accept events. They are safe for concurrent use.
type Handlers struct {
	opts       Options
	bodyBudget *httpapi.Budget
	buckets    buckets
	recent     recent
	unpack     unpackers
	gate       gate
	metrics    metrics
}

// New returns the handlers of the intake.
func New(opts Options) *Handlers {
	if opts.MaxEventBytes == 0 {
		opts.MaxEventBytes = DefaultMaxEventBytes
	}
	if opts.MaxRequestBytes == 0 {
		opts.MaxRequestBytes = DefaultMaxRequestBytes
	}
	if opts.BodyMemory == 0 {
		opts.BodyMemory = DefaultBodyMemory
	}
	if opts.Deadline == 0 {
		opts.Deadline = DefaultDeadline
	}
	return &Handlers{
		opts:       opts,
		bodyBudget: httpapi.NewBudget(max(opts.BodyMemory, minBodies*opts.MaxRequestBytes+2*windowOf("br"))),
		metrics:    newMetrics(opts.Registerer),
	}
}

// Routes returns the routes of the intake.
func (h *Handlers) Routes() []httpapi.Route {
	routes := slices.Concat(h.eventRoutes(), h.unreadableRoutes())
	if h.opts.LegacyApp != "" {
		routes = append(routes, h.legacyRoutes()...)
	}
	return routes
}
