// Package read serves the routes that read events, rejections, sessions and counts, and exports.
//
// It limits what a request may use of the store: by its key, a deadline and the read budget. It
// does not know how the store answers.
package read

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"theeye/internal/erasure"
	"theeye/internal/fair"
	"theeye/internal/feed"
	"theeye/internal/httpapi"
	"theeye/internal/progress"
	"theeye/internal/query"
	"theeye/internal/queue"
	"theeye/internal/registry"
	"theeye/internal/replay"
	"theeye/internal/store"
)

// Options are the options of Handlers. The zero value is sufficient for Routes.
type Options struct {
	Registry *registry.Registry
	Reader   store.Reader
	Queue    *queue.Queue // which receipts search for what is not stored yet
	Progress *progress.Tracker
	Replays  *replay.Runner // which knows the replay of a frame; may be nil
	// CaughtUp returns nil if the store holds everything that was acknowledged before the start, or
	// else an error that reports its progress.
	CaughtUp func() error
	// Parquet writes the events of a query to a file that disappears when it is closed. It is nil
	// if the store cannot do that.
	Parquet func(context.Context, query.Query) (*os.File, error)
	// ExportsEnded returns a channel that is closed when running exports must end because
	// something was erased. It may be nil.
	ExportsEnded func() <-chan struct{}

	// Erasures returns the tombstones of the store. It may be nil.
	Erasures func() *erasure.Set

	// Delay returns the time from receipt to visibility that 99 % of the records of the last minutes
	// did not exceed, and how many there were. It may be nil.
	Delay func() (p99 time.Duration, records int64)
	// Refused returns the latest kinds of requests that left neither an event nor a rejection, at most
	// n. It may be nil.
	Refused func(n int) []httpapi.RefusedGroup

	LegacyApp string // serves GET /event/ for this application; empty for none

	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Handlers serve the routes that read. They are safe for concurrent use.
type Handlers struct {
	opts      Options
	log       *slog.Logger
	exporting *fair.Semaphore // exports at a time
	hub       *feed.Hub
	last      lastEvents
	memo      totalsMemo
	tailRate  *rate.Limiter // bytes per second that all tails together send
}

// New returns the handlers of reading.
func New(opts Options) *Handlers {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Erasures == nil {
		none := erasure.NewSet(erasure.Document{}, erasure.Lineage{})
		opts.Erasures = func() *erasure.Set { return none }
	}
	h := &Handlers{opts: opts, log: opts.Logger, exporting: newExporting(), last: lastEvents{byApp: map[string]time.Time{}}, tailRate: rate.NewLimiter(tailRate, tailBurst)}
	h.hub = feed.NewHub(feed.Options{
		Reader:     opts.Reader,
		Progress:   opts.Progress,
		Erasures:   opts.Erasures,
		Encode:     h.encodeTailed,
		Logger:     opts.Logger,
		Registerer: opts.Registerer,
	})
	if opts.Registerer != nil {
		opts.Registerer.MustRegister(append(h.exporting.Gauges("eye_http_exports", "Exports"), newSilenceMetric(h))...)
	}
	return h
}

// EndTails ends tails and waiting requests for the feed, and refuses later ones, because the server
// stops.
func (h *Handlers) EndTails() { h.hub.End() }

// Routes returns the routes for reading.
func (h *Handlers) Routes() []httpapi.Route {
	routes := slices.Concat(h.overviewRoutes(), h.findRoutes(), h.readRoutes(), h.exportRoutes(), h.feedRoutes())
	if h.opts.LegacyApp != "" {
		routes = append(routes, h.legacyRoutes()...)
	}
	return routes
}

func (h *Handlers) readRoutes() []httpapi.Route {
	list := []httpapi.Param{orderParam(), httpapi.LimitParam(), httpapi.CursorParam()}
	return []httpapi.Route{
		{Method: "GET", Path: "/v1/events", Access: httpapi.ForRead, Handle: h.listEvents, Doc: httpapi.Doc{
			ID: "listEvents", Tag: "reading", Summary: "List events in the order they occurred",
			Params: slices.Concat(filterParams(query.Events), list), Answers: []httpapi.Answer{httpapi.JSON[EventsAnswer](200, "a page")}, Errors: []int{400, 503}}},
		{Method: "GET", Path: "/v1/events/{id}", Access: httpapi.ForRead, Handle: h.getEvent, Doc: httpapi.Doc{
			ID: "getEvent", Tag: "reading", Summary: "One event",
			Params: []httpapi.Param{httpapi.PathID("the event's id, or the id as its sender wrote it"), httpapi.AppParam()}, Answers: []httpapi.Answer{httpapi.JSON[EventAnswer](200, "the event")}, Errors: []int{400, 404, 503}}},
		{Method: "GET", Path: "/v1/count", Access: httpapi.ForRead, Handle: h.count, Doc: httpapi.Doc{
			ID: "countEvents", Tag: "reading", Summary: "Count events",
			Params: filterParams(query.Events), Answers: []httpapi.Answer{httpapi.JSON[CountAnswer](200, "the count")}, Errors: []int{400, 503}}},
		{Method: "GET", Path: "/v1/sessions", Access: httpapi.ForRead, Handle: h.listSessions, Doc: httpapi.Doc{
			ID: "listSessions", Tag: "reading", Summary: "List sessions, most recently started first",
			Text: "Filters select sessions with at least one matching event; each summary covers the whole session. " +
				"With exact=1 and one session_id, answers as GET /v1/sessions/{id} does, with its parameters: for clients that cannot send every id in a path, because browsers resolve `.` and `..`.",
			Params: slices.Concat(filterParams(query.Sessions), []httpapi.Param{httpapi.ExactParam(false), {Name: "order", Text: "by time; only with exact=1", Enum: []string{"asc", "desc"}}, httpapi.LimitParam(), httpapi.CursorParam()}), Answers: []httpapi.Answer{httpapi.JSON[SessionsOrSession](200, "a page; with exact=1 a session")}, Errors: []int{400, 404, 503}}},
		{Method: "GET", Path: "/v1/sessions/{id}", Access: httpapi.ForRead, Handle: h.getSession, Doc: httpapi.Doc{
			ID: "getSession", Tag: "reading", Summary: "Get a session's summary and its events in order",
			Params:  slices.Concat([]httpapi.Param{httpapi.PathID("the session id")}, filterParams(query.Events), list),
			Answers: []httpapi.Answer{httpapi.JSON[SessionAnswer](200, "the session")}, Errors: []int{400, 404, 503}}},
		{Method: "GET", Path: "/v1/rejections", Access: httpapi.ForRead, Handle: h.listRejections, Doc: httpapi.Doc{
			ID: "listRejections", Tag: "rejections", Summary: "List rejections, newest first",
			Params: slices.Concat(filterParams(query.Rejections), list), Answers: []httpapi.Answer{httpapi.JSON[RejectionsAnswer](200, "a page")}, Errors: []int{400, 503}}},
		{Method: "GET", Path: "/v1/rejections/summary", Access: httpapi.ForRead, Handle: h.summarize, Doc: httpapi.Doc{
			ID: "summarizeRejections", Tag: "rejections", Summary: "Count rejections by application, type, code and place",
			Text:   fmt.Sprintf("With parts, at most %d, the span is divided into so many parts of equal width, rounded up to a microsecond, and each group has its counts in them.", maxParts),
			Params: slices.Concat(filterParams(query.Rejections), []httpapi.Param{httpapi.LimitParam(), {Name: "parts", Text: "how many parts of the span to count in; requires from, and to is now by default"}}), Answers: []httpapi.Answer{httpapi.JSON[SummaryAnswer](200, "most frequent first")}, Errors: []int{400, 503}}},
		{Method: "GET", Path: "/v1/rejections/{id}", Access: httpapi.ForRead, Handle: h.getRejection, Doc: httpapi.Doc{
			ID: "getRejection", Tag: "rejections", Summary: "One rejection",
			Params: []httpapi.Param{httpapi.PathID("the rejection's id"), httpapi.AppParam()}, Answers: []httpapi.Answer{httpapi.JSON[RejectionAnswer](200, "the rejection")}, Errors: []int{400, 404, 503}}},
		{Method: "GET", Path: "/v1/series", Access: httpapi.ForRead, Handle: h.series, Doc: httpapi.Doc{
			ID: "series", Tag: "reading", Summary: "Count events over time",
			Text: "Counts events by occurred_at; with group_by=status, arrivals by received_at. Empty steps are included between the first and the last step, or between from and to.",
			Params: slices.Concat(filterParams(query.Events), []httpapi.Param{
				{Name: "interval", Text: "the width of a step", Enum: []string{"minute", "hour", "day"}},
				{Name: "group_by", Text: "what to group by", Enum: []string{"category", "name", "app", "status"}}}),
			Answers: []httpapi.Answer{httpapi.JSON[SeriesAnswer](200, "the series")}, Errors: []int{400, 503}}},
		{Method: "GET", Path: "/v1/values", Access: httpapi.ForRead, Handle: h.values, Doc: httpapi.Doc{
			ID: "values", Tag: "reading", Summary: "List the most frequent values of a field",
			Params:  slices.Concat(filterParams(query.Events), []httpapi.Param{httpapi.LimitParam(), {Name: "field", Text: "a field of the event, or data.path", Required: true}}),
			Answers: []httpapi.Answer{httpapi.JSON[ValuesAnswer](200, "most frequent first")}, Errors: []int{400, 503}}},
		{Method: "GET", Path: "/v1/receipts/{id}", Access: httpapi.ForRead, Handle: h.receipt, Doc: httpapi.Doc{
			ID: "getReceipt", Tag: "reading", Summary: "Get the full history of an event id",
			Params: []httpapi.Param{httpapi.PathID("the event's id, or the id as its sender wrote it"), httpapi.AppParam()}, Answers: []httpapi.Answer{httpapi.JSON[ReceiptAnswer](200, "the receipt")}, Errors: []int{400, 404, 503}}},
		{Method: "GET", Path: "/v1/books", Access: httpapi.ForRead, Handle: h.books, Doc: httpapi.Doc{
			ID: "getBooks", Tag: "reading", Summary: "Account for every event received",
			Params: []httpapi.Param{httpapi.AppParam()}, Answers: []httpapi.Answer{httpapi.JSON[BooksAnswer](200, "an account for each application")}, Errors: []int{400, 503}}},
	}
}

func orderParam() httpapi.Param {
	return httpapi.Param{Name: "order", Text: "by time", Enum: []string{"asc", "desc"}}
}

// filterParams returns the parameters that filter a list of a kind.
func filterParams(kind query.Kind) []httpapi.Param {
	at := "occurred_at"
	if kind == query.Rejections {
		at = "received_at"
	}
	params := []httpapi.Param{
		httpapi.AppParam(),
		{Name: "session_id", Text: "any of these", Repeatable: true},
		{Name: "category", Text: "any of these", Repeatable: true},
		{Name: "name", Text: "any of these", Repeatable: true},
		{Name: "from", Text: "start (inclusive) of " + at + "; a time as in the intake; a date alone means its first moment"},
		{Name: "to", Text: "end (exclusive) of " + at},
		httpapi.TimeZoneParam(),
		{Name: "where", Text: "a condition such as data.path=/checkout or data.n>=10, with the operators = != < <= > >= ~ (contains); data~TEXT searches the whole JSON text of data; if repeated, all must hold", Repeatable: true},
	}
	if kind == query.Rejections {
		params = append(params,
			httpapi.Param{Name: "code", Text: "with a problem of any of these codes", Repeatable: true},
			httpapi.Param{Name: "pointer", Text: "with a problem at any of these JSON Pointers", Repeatable: true},
			httpapi.Param{Name: "event_id", Text: "of any of these events, by id or by the id as its sender wrote it", Repeatable: true},
			httpapi.Param{Name: "replayed", Text: "true for rejections that a replay has resolved, false for those still open; both by default", Enum: []string{"true", "false"}})
	}
	return params
}
