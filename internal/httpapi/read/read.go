// Package read serves the routes that read events, rejections, sessions and counts, and exports.
//
// It bounds what a request may take of the store: by its key, a deadline and the read budget. It
// does not know how the store answers.
package read

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"theeye/internal/event"
	"theeye/internal/fair"
	"theeye/internal/httpapi"
	"theeye/internal/progress"
	"theeye/internal/query"
	"theeye/internal/queue"
	"theeye/internal/registry"
	"theeye/internal/replay"
	"theeye/internal/store"
)

// readDeadline bounds reads other than exports.
const readDeadline = 10 * time.Second

// Options of Handlers. The zero value is good for Routes alone.
type Options struct {
	Registry *registry.Registry
	Reader   store.Reader
	Queue    *queue.Queue // where receipts find what is not stored yet
	Progress *progress.Tracker
	Replays  *replay.Runner // which knows the replay of a frame; may be nil
	// CaughtUp returns nil when the store holds everything that was acknowledged before the
	// start, or else an error that says how far it has come.
	CaughtUp func() error
	// Parquet writes the events of a query to a file that disappears when it is closed. It is nil
	// when the store cannot do that.
	Parquet func(context.Context, query.Query) (*os.File, error)
	// ExportsEnded returns a channel that is closed when running exports must end because
	// something was erased. It may be nil.
	ExportsEnded func() <-chan struct{}

	LegacyApp string // serves GET /event/ for this application; empty for none

	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Handlers serve the routes that read. They are safe for concurrent use.
type Handlers struct {
	opts      Options
	log       *slog.Logger
	exporting *fair.Semaphore // exports at a time
}

// New returns the handlers of reading.
func New(opts Options) *Handlers {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	h := &Handlers{opts: opts, log: opts.Logger, exporting: newExporting()}
	if opts.Registerer != nil {
		opts.Registerer.MustRegister(h.exporting.Gauges("eye_http_exports", "Exports")...)
	}
	return h
}

// Routes returns the routes for reading.
func (h *Handlers) Routes() []httpapi.Route {
	routes := slices.Concat(h.readRoutes(), h.exportRoutes())
	if h.opts.LegacyApp != "" {
		routes = append(routes, h.legacyRoutes()...)
	}
	return routes
}

func (h *Handlers) readRoutes() []httpapi.Route {
	list := []httpapi.Param{orderParam(), httpapi.LimitParam(), httpapi.CursorParam()}
	return []httpapi.Route{
		{Method: "GET", Path: "/v1/events", Access: httpapi.ForRead, Handle: h.listEvents, Doc: httpapi.Doc{
			ID: "listEvents", Tag: "reading", Summary: "Events in the order in which they occurred",
			Params: slices.Concat(filterParams(query.Events), list), Answers: []httpapi.Answer{httpapi.JSON[EventsAnswer](200, "a page")}, Errors: []int{400, 503}}},
		{Method: "GET", Path: "/v1/events/{id}", Access: httpapi.ForRead, Handle: h.getEvent, Doc: httpapi.Doc{
			ID: "getEvent", Tag: "reading", Summary: "One event",
			Params: []httpapi.Param{httpapi.PathID("the event's id, or the id as its sender wrote it"), httpapi.AppParam()}, Answers: []httpapi.Answer{httpapi.JSON[EventAnswer](200, "the event")}, Errors: []int{400, 404, 503}}},
		{Method: "GET", Path: "/v1/count", Access: httpapi.ForRead, Handle: h.count, Doc: httpapi.Doc{
			ID: "countEvents", Tag: "reading", Summary: "How many events there are",
			Params: filterParams(query.Events), Answers: []httpapi.Answer{httpapi.JSON[CountAnswer](200, "the count")}, Errors: []int{400, 503}}},
		{Method: "GET", Path: "/v1/sessions", Access: httpapi.ForRead, Handle: h.listSessions, Doc: httpapi.Doc{
			ID: "listSessions", Tag: "reading", Summary: "Sessions, latest start first",
			Text: "Filters select the sessions that have at least one such event; the summary is always of the whole session. " +
				"With exact=1 and one session_id the answer is that of GET /v1/sessions/{id}, with its parameters: for clients that cannot send every id in a path, as browsers resolve `.` and `..`.",
			Params: slices.Concat(filterParams(query.Sessions), []httpapi.Param{httpapi.ExactParam(false), {Name: "order", Text: "by time; with exact=1 alone", Enum: []string{"asc", "desc"}}, httpapi.LimitParam(), httpapi.CursorParam()}), Answers: []httpapi.Answer{httpapi.JSON[SessionsOrSession](200, "a page; with exact=1 a session")}, Errors: []int{400, 404, 503}}},
		{Method: "GET", Path: "/v1/sessions/{id}", Access: httpapi.ForRead, Handle: h.getSession, Doc: httpapi.Doc{
			ID: "getSession", Tag: "reading", Summary: "A session's summary and its events in order",
			Params:  slices.Concat([]httpapi.Param{httpapi.PathID("the session id")}, filterParams(query.Events), list),
			Answers: []httpapi.Answer{httpapi.JSON[SessionAnswer](200, "the session")}, Errors: []int{400, 404, 503}}},
		{Method: "GET", Path: "/v1/rejections", Access: httpapi.ForRead, Handle: h.listRejections, Doc: httpapi.Doc{
			ID: "listRejections", Tag: "rejections", Summary: "What was refused, newest first",
			Params: slices.Concat(filterParams(query.Rejections), list), Answers: []httpapi.Answer{httpapi.JSON[RejectionsAnswer](200, "a page")}, Errors: []int{400, 503}}},
		{Method: "GET", Path: "/v1/rejections/summary", Access: httpapi.ForRead, Handle: h.summarize, Doc: httpapi.Doc{
			ID: "summarizeRejections", Tag: "rejections", Summary: "Rejections counted by application, type, code and place",
			Params: slices.Concat(filterParams(query.Rejections), []httpapi.Param{httpapi.LimitParam()}), Answers: []httpapi.Answer{httpapi.JSON[SummaryAnswer](200, "most frequent first")}, Errors: []int{400, 503}}},
		{Method: "GET", Path: "/v1/rejections/{id}", Access: httpapi.ForRead, Handle: h.getRejection, Doc: httpapi.Doc{
			ID: "getRejection", Tag: "rejections", Summary: "One rejection",
			Params: []httpapi.Param{httpapi.PathID("the rejection's id"), httpapi.AppParam()}, Answers: []httpapi.Answer{httpapi.JSON[RejectionAnswer](200, "the rejection")}, Errors: []int{400, 404, 503}}},
		{Method: "GET", Path: "/v1/series", Access: httpapi.ForRead, Handle: h.series, Doc: httpapi.Doc{
			ID: "series", Tag: "reading", Summary: "Counts over time",
			Text: "Events by occurred_at; with group_by=status arrivals by received_at. Empty steps are filled between the first and the last, or between from and to.",
			Params: slices.Concat(filterParams(query.Events), []httpapi.Param{
				{Name: "interval", Text: "the width of a step", Enum: []string{"minute", "hour", "day"}},
				{Name: "group_by", Text: "what to group by", Enum: []string{"category", "name", "app", "status"}}}),
			Answers: []httpapi.Answer{httpapi.JSON[SeriesAnswer](200, "the series")}, Errors: []int{400, 503}}},
		{Method: "GET", Path: "/v1/values", Access: httpapi.ForRead, Handle: h.values, Doc: httpapi.Doc{
			ID: "values", Tag: "reading", Summary: "The most frequent values of a field",
			Params:  slices.Concat(filterParams(query.Events), []httpapi.Param{httpapi.LimitParam(), {Name: "field", Text: "a field of the event, or data.path", Required: true}}),
			Answers: []httpapi.Answer{httpapi.JSON[ValuesAnswer](200, "most frequent first")}, Errors: []int{400, 503}}},
		{Method: "GET", Path: "/v1/receipts/{id}", Access: httpapi.ForRead, Handle: h.receipt, Doc: httpapi.Doc{
			ID: "getReceipt", Tag: "reading", Summary: "The whole history of an event id",
			Params: []httpapi.Param{httpapi.PathID("the event's id, or the id as its sender wrote it"), httpapi.AppParam()}, Answers: []httpapi.Answer{httpapi.JSON[ReceiptAnswer](200, "the receipt")}, Errors: []int{400, 404, 503}}},
		{Method: "GET", Path: "/v1/books", Access: httpapi.ForRead, Handle: h.books, Doc: httpapi.Doc{
			ID: "getBooks", Tag: "reading", Summary: "What became of everything that was received",
			Params: []httpapi.Param{httpapi.AppParam()}, Answers: []httpapi.Answer{httpapi.JSON[BooksAnswer](200, "an account for each application")}, Errors: []int{400, 503}}},
	}
}

// readRequest is a read request that is valid and may be answered.
type readRequest struct {
	query.Query
	kind   query.Kind
	values url.Values
	ctx    context.Context //nolint:containedctx // lives as long as its request
	cancel context.CancelFunc
	memory *httpapi.ReadReservation
}

// read parses the parameters of a request, limits them to what the key may see, reserves the
// memory of an answer and starts the deadline. cancel ends both.
func (h *Handlers) read(c *httpapi.Call, kind query.Kind, also ...string) (readRequest, error) {
	r, err := h.parse(c, kind, also...)
	if err != nil {
		return r, err
	}
	if r.memory, err = c.ReserveRead(); err != nil {
		return r, err
	}
	ctx, cancel := context.WithTimeout(c.Context(), readDeadline)
	r.ctx, r.cancel = ctx, func() { cancel(); r.memory.Release() }
	return r, nil
}

// parse parses the parameters of a request and limits them to what the key may see.
func (h *Handlers) parse(c *httpapi.Call, kind query.Kind, also ...string) (readRequest, error) {
	if err := h.opts.CaughtUp(); err != nil {
		return readRequest{}, httpapi.Unavailable(err.Error())
	}
	values := c.URL.Query()
	q, err := query.Parse(values, kind, h.zone(c), also...)
	if err != nil {
		return readRequest{}, err
	}
	named := slices.Clone(q.Apps)
	for _, condition := range q.Where {
		if condition.Field.Name == query.App && condition.Operator == query.Equal {
			named = append(named, condition.Value)
		}
	}
	if c.Principal.App != "" {
		if slices.ContainsFunc(named, func(name string) bool { return name != c.Principal.App }) {
			return readRequest{}, httpapi.NewProblem(http.StatusForbidden, "this key reads a single application; leave app out")
		}
		q.Apps = []string{c.Principal.App}
	}
	if err := c.CheckApps(named); err != nil {
		return readRequest{}, err
	}
	httpapi.ResolveEvents(h.opts.Registry, &q)
	return readRequest{Query: q, kind: kind, values: values}, nil
}

// zone returns the time zone of the key's application, for times without one.
func (h *Handlers) zone(c *httpapi.Call) *time.Location {
	app, _ := h.opts.Registry.App(c.Principal.App)
	return app.Location()
}

// applyCursor continues where the cursor says. The query must be complete.
func (r *readRequest) applyCursor() (err error) {
	r.Query, err = r.Resume(r.kind, r.values.Get(query.CursorParam))
	return err
}

// nextCursor returns the cursor of the page after p, nil when there is none, and how far a search
// has come that was cut short.
func nextCursor[T any](r *readRequest, p store.Page[T], after func(*T) query.After) (cursor, searchedTo *string) {
	if !p.More {
		return nil, nil
	}
	text := r.Cursor(r.kind, httpapi.CursorAfter(p, after, r.Descending), p.Horizon)
	if p.SearchedTo != nil {
		at := p.SearchedTo.String()
		searchedTo = &at
	}
	return &text, searchedTo
}

// errSearched means that the search for one thing was cut short.
var errSearched = httpapi.Unavailable("the search took too long; narrow it with app, or try again")

// Searched is part of a list's answer.
type Searched struct {
	NextCursor *string `json:"next_cursor"`
	SearchedTo *string `json:"searched_to,omitzero" format:"date-time" doc:"only when the search was ended after two seconds: this page is what was found up to this time, and next_cursor goes on from there"`
}

// EventsAnswer is a page of events.
type EventsAnswer struct {
	Events []Event `json:"events"`
	Searched
}

func (h *Handlers) listEvents(c *httpapi.Call) error {
	r, err := h.read(c, query.Events, query.OrderParam, query.LimitParam, query.CursorParam)
	if err != nil {
		return err
	}
	defer r.cancel()
	if err := r.applyCursor(); err != nil {
		return err
	}
	page, err := h.opts.Reader.Events(r.ctx, r.Query)
	if err != nil {
		return err
	}
	return c.StreamJSON(h.eventsAnswer(&r, page))
}

func (h *Handlers) eventsAnswer(r *readRequest, page store.Page[event.Event]) EventsAnswer {
	httpapi.KeepPage(r.memory, page.Items, (*event.Event).Size)
	a := EventsAnswer{Events: httpapi.MapSlice(page.Items, toEvent)}
	a.NextCursor, a.SearchedTo = nextCursor(r, page, query.AfterEvent)
	return a
}

// EventAnswer is one event.
type EventAnswer struct {
	Event
	AlsoID *uuid.UUID `json:"also_id,omitzero" doc:"of another event of the application that has the same client_id: one of the two came from a page, with a key that names origins"`
	AlsoIn []string   `json:"also_in,omitempty" doc:"other applications that have used this id, by name, at most 100; app chooses one of them"`
}

func (h *Handlers) getEvent(c *httpapi.Call) error {
	r, err := h.read(c, query.Events)
	if err != nil {
		return err
	}
	defer r.cancel()
	list := httpapi.Candidates(h.opts.Registry, r.Apps, c.PathValue("id"))
	r.IDs, r.Limit = httpapi.IDsOf(list), query.MaxLimit
	page, err := h.opts.Reader.Events(r.ctx, r.Query)
	var others []string
	if err == nil && len(page.Items) > 0 && len(r.Apps) != 1 {
		others, err = h.usedIn(&r)
	}
	for _, app := range h.opts.Registry.Apps() {
		if err != nil || !page.More || r.Apps != nil {
			break
		}
		q := r.Query // then one application at a time
		q.Apps = []string{app.Name}
		if first, e := h.opts.Reader.Events(r.ctx, q); e != nil || len(first.Items) > 0 {
			page, err = first, e
			page.More = false
		}
	}
	if err != nil {
		return err
	}
	if page.SearchedTo != nil {
		return errSearched
	}
	if len(page.Items) == 0 {
		return httpapi.NewProblem(http.StatusNotFound, "no stored event has this id; GET /v1/receipts/{id} shows what became of it")
	}
	var found []httpapi.Candidate
	for i := range page.Items {
		found = append(found, httpapi.Candidate{App: page.Items[i].App, ID: page.Items[i].ID})
	}
	one, also := meant(list, found)
	first := slices.Index(found, one)
	httpapi.KeepPage(r.memory, page.Items[first:first+1], (*event.Event).Size)
	return c.WriteJSON(http.StatusOK, EventAnswer{toEvent(&page.Items[first]), also, alsoIn(one.App, found, others...)})
}

// CountAnswer is a count.
type CountAnswer struct {
	Count int64 `json:"count"`
}

func (h *Handlers) count(c *httpapi.Call) error {
	r, err := h.read(c, query.Events)
	if err != nil {
		return err
	}
	defer r.cancel()
	n, err := h.opts.Reader.Count(r.ctx, r.Query)
	if err != nil {
		return err
	}
	return c.WriteJSON(http.StatusOK, CountAnswer{n})
}

// SessionsAnswer is a page of sessions.
type SessionsAnswer struct {
	Sessions []Session `json:"sessions"`
	Searched
}

// SessionsOrSession is a SessionsAnswer or, with exact=1, a SessionAnswer.
type SessionsOrSession struct{}

// Schema implements huma.SchemaProvider.
func (SessionsOrSession) Schema(registry huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{
		registry.Schema(reflect.TypeFor[SessionsAnswer](), true, ""), registry.Schema(reflect.TypeFor[SessionAnswer](), true, ""),
	}}
}

func (h *Handlers) listSessions(c *httpapi.Call) error {
	if values := c.URL.Query(); values.Has(httpapi.Exact) {
		if len(values[httpapi.Exact]) != 1 || values.Get(httpapi.Exact) != "1" || len(values["session_id"]) != 1 || values.Get("session_id") == "" {
			return httpapi.NewProblem(http.StatusBadRequest, "exact must be 1, together with exactly one session_id")
		}
		return h.sessionOf(c, values.Get("session_id"), httpapi.Exact)
	}
	r, err := h.read(c, query.Sessions, query.LimitParam, query.CursorParam)
	if err != nil {
		return err
	}
	defer r.cancel()
	if err := r.applyCursor(); err != nil {
		return err
	}
	page, err := h.opts.Reader.Sessions(r.ctx, r.Query)
	if err != nil {
		return err
	}
	a := SessionsAnswer{Sessions: httpapi.MapSlice(page.Items, toSession)}
	a.NextCursor, a.SearchedTo = nextCursor(&r, page, func(x *store.Session) query.After { return query.AfterSession(x.StartedAt, x.ID) })
	httpapi.KeepPage(r.memory, page.Items, (*store.Session).Size)
	return c.StreamJSON(a)
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
		{Name: "from", Text: "inclusive, of " + at + "; a time as in the intake; a date alone is its first moment"},
		{Name: "to", Text: "exclusive, of " + at},
		httpapi.TimeZoneParam(),
		{Name: "where", Text: "a condition like data.path=/checkout or data.n>=10; operators = != < <= > >= ~ (contains); all must hold", Repeatable: true},
	}
	if kind == query.Rejections {
		params = append(params,
			httpapi.Param{Name: "code", Text: "with a problem of any of these codes", Repeatable: true},
			httpapi.Param{Name: "pointer", Text: "with a problem at any of these JSON Pointers", Repeatable: true},
			httpapi.Param{Name: "event_id", Text: "of any of these events: their ids, or the ids as their senders wrote them", Repeatable: true},
			httpapi.Param{Name: "replayed", Text: "true for those that a replay has brought through, false for those that are still open; both when left out", Enum: []string{"true", "false"}})
	}
	return params
}
