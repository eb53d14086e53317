package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

func readRoutes() []Route {
	list := []Param{orderParam(), LimitParam(), CursorParam()}
	return []Route{
		{"GET", "/v1/events", ForRead, (*Server).listEvents, Doc{
			ID: "listEvents", Tag: "reading", Summary: "Events in the order in which they occurred",
			Params: slices.Concat(filterParams(query.Events), list), Answers: []Answer{{200, "a page", schemaOf[EventsAnswer]()}}, Errors: []int{400, 503}}},
		{"GET", "/v1/events/{id}", ForRead, (*Server).getEvent, Doc{
			ID: "getEvent", Tag: "reading", Summary: "One event",
			Params: []Param{PathID("the event's id, or the id as its sender wrote it"), AppParam()}, Answers: []Answer{{200, "the event", schemaOf[EventAnswer]()}}, Errors: []int{400, 404, 503}}},
		{"GET", "/v1/count", ForRead, (*Server).count, Doc{
			ID: "countEvents", Tag: "reading", Summary: "How many events there are",
			Params: filterParams(query.Events), Answers: []Answer{{200, "the count", schemaOf[CountAnswer]()}}, Errors: []int{400, 503}}},
		{"GET", "/v1/sessions", ForRead, (*Server).listSessions, Doc{
			ID: "listSessions", Tag: "reading", Summary: "Sessions, latest start first",
			Text: "Filters select the sessions that have at least one such event; the summary is always of the whole session. " +
				"With exact=1 and one session_id the answer is that of GET /v1/sessions/{id}, with its parameters: for clients that cannot send every id in a path, as browsers resolve `.` and `..`.",
			Params: slices.Concat(filterParams(query.Sessions), []Param{ExactParam(false), {Name: "order", Text: "by time; with exact=1 alone", Enum: []string{"asc", "desc"}}, LimitParam(), CursorParam()}), Answers: []Answer{{200, "a page; with exact=1 a session", schemaOf[SessionsOrSession]()}}, Errors: []int{400, 404, 503}}},
		{"GET", "/v1/sessions/{id}", ForRead, (*Server).getSession, Doc{
			ID: "getSession", Tag: "reading", Summary: "A session's summary and its events in order",
			Params:  slices.Concat([]Param{PathID("the session id")}, filterParams(query.Events), list),
			Answers: []Answer{{200, "the session", schemaOf[SessionAnswer]()}}, Errors: []int{400, 404, 503}}},
		{"GET", "/v1/rejections", ForRead, (*Server).listRejections, Doc{
			ID: "listRejections", Tag: "rejections", Summary: "What was refused, newest first",
			Params: slices.Concat(filterParams(query.Rejections), list), Answers: []Answer{{200, "a page", schemaOf[RejectionsAnswer]()}}, Errors: []int{400, 503}}},
		{"GET", "/v1/rejections/summary", ForRead, (*Server).summarize, Doc{
			ID: "summarizeRejections", Tag: "rejections", Summary: "Rejections counted by application, type, code and place",
			Params: slices.Concat(filterParams(query.Rejections), []Param{LimitParam()}), Answers: []Answer{{200, "most frequent first", schemaOf[SummaryAnswer]()}}, Errors: []int{400, 503}}},
		{"GET", "/v1/rejections/{id}", ForRead, (*Server).getRejection, Doc{
			ID: "getRejection", Tag: "rejections", Summary: "One rejection",
			Params: []Param{PathID("the rejection's id"), AppParam()}, Answers: []Answer{{200, "the rejection", schemaOf[RejectionAnswer]()}}, Errors: []int{400, 404, 503}}},
		{"GET", "/v1/series", ForRead, (*Server).series, Doc{
			ID: "series", Tag: "reading", Summary: "Counts over time",
			Text: "Events by occurred_at; with group_by=status arrivals by received_at. Empty steps are filled between the first and the last, or between from and to.",
			Params: slices.Concat(filterParams(query.Events), []Param{
				{Name: "interval", Text: "the width of a step", Enum: []string{"minute", "hour", "day"}},
				{Name: "group_by", Text: "what to group by", Enum: []string{"category", "name", "app", "status"}}}),
			Answers: []Answer{{200, "the series", schemaOf[SeriesAnswer]()}}, Errors: []int{400, 503}}},
		{"GET", "/v1/values", ForRead, (*Server).values, Doc{
			ID: "values", Tag: "reading", Summary: "The most frequent values of a field",
			Params:  slices.Concat(filterParams(query.Events), []Param{LimitParam(), {Name: "field", Text: "a field of the event, or data.path", Required: true}}),
			Answers: []Answer{{200, "most frequent first", schemaOf[ValuesAnswer]()}}, Errors: []int{400, 503}}},
		{"GET", "/v1/receipts/{id}", ForRead, (*Server).receipt, Doc{
			ID: "getReceipt", Tag: "reading", Summary: "The whole history of an event id",
			Params: []Param{PathID("the event's id, or the id as its sender wrote it"), AppParam()}, Answers: []Answer{{200, "the receipt", schemaOf[ReceiptAnswer]()}}, Errors: []int{400, 404, 503}}},
		{"GET", "/v1/books", ForRead, (*Server).books, Doc{
			ID: "getBooks", Tag: "reading", Summary: "What became of everything that was received",
			Params: []Param{AppParam()}, Answers: []Answer{{200, "an account for each application", schemaOf[BooksAnswer]()}}, Errors: []int{400, 503}}},
	}
}

// readRequest is a read request that was understood and may be answered.
type readRequest struct {
	query.Query
	kind   query.Kind
	values url.Values
	ctx    context.Context //nolint:containedctx // lives as long as its request
	cancel context.CancelFunc
	memory *ReadReservation
}

// read parses a request's parameters, bounds them by what the key may see, takes the
// memory of an answer and begins the deadline; cancel ends both.
func (s *Server) read(c *Call, kind query.Kind, also ...string) (readRequest, error) {
	r, err := s.parse(c, kind, also...)
	if err != nil {
		return r, err
	}
	if r.memory, err = s.allow(c); err != nil {
		return r, err
	}
	ctx, cancel := context.WithTimeout(c.ctx(), readDeadline)
	r.ctx, r.cancel = ctx, func() { cancel(); r.memory.Release() }
	return r, nil
}

// parse parses a request's parameters, and bounds them by what the key may see.
func (s *Server) parse(c *Call, kind query.Kind, also ...string) (readRequest, error) {
	if err := s.opts.CaughtUp(); err != nil {
		return readRequest{}, Unavailable(err.Error())
	}
	values := c.URL.Query()
	q, err := query.Parse(values, kind, s.zone(c), also...)
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
			return readRequest{}, NewProblem(http.StatusForbidden, "this key reads a single application; leave app out")
		}
		q.Apps = []string{c.Principal.App}
	}
	if err := s.checkApps(named); err != nil {
		return readRequest{}, err
	}
	s.resolveEvents(&q)
	return readRequest{Query: q, kind: kind, values: values}, nil
}

// zone returns that of times without one: of the key's application.
func (s *Server) zone(c *Call) *time.Location {
	app, _ := s.opts.Registry.App(c.Principal.App)
	return app.Location()
}

// applyCursor continues where the cursor says, once the query is complete.
func (r *readRequest) applyCursor() (err error) {
	r.Query, err = r.Resume(r.kind, r.values.Get(query.CursorParam))
	return err
}

// nextCursor returns the cursor of the page behind one, nil when there is none, and how
// far a search that was ended has come.
func nextCursor[T any](r *readRequest, p store.Page[T], after func(*T) query.After) (cursor, searchedTo *string) {
	if !p.More {
		return nil, nil
	}
	text := r.Cursor(r.kind, CursorAfter(p, after, r.Descending), p.Horizon)
	if p.SearchedTo != nil {
		at := p.SearchedTo.String()
		searchedTo = &at
	}
	return &text, searchedTo
}

// errSearched is returned when one thing was looked for and the search was ended.
var errSearched = Unavailable("the search took too long; narrow it with app, or try again")

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

func (s *Server) listEvents(c *Call) error {
	r, err := s.read(c, query.Events, query.OrderParam, query.LimitParam, query.CursorParam)
	if err != nil {
		return err
	}
	defer r.cancel()
	if err := r.applyCursor(); err != nil {
		return err
	}
	page, err := s.opts.Reader.Events(r.ctx, r.Query)
	if err != nil {
		return err
	}
	return s.streamJSON(c, s.eventsAnswer(&r, page))
}

func (s *Server) eventsAnswer(r *readRequest, page store.Page[event.Event]) EventsAnswer {
	KeepPage(r.memory, page.Items, (*event.Event).Size)
	a := EventsAnswer{Events: MapSlice(page.Items, toEvent)}
	a.NextCursor, a.SearchedTo = nextCursor(r, page, query.AfterEvent)
	return a
}

// EventAnswer is one event.
type EventAnswer struct {
	Event
	AlsoID *uuid.UUID `json:"also_id,omitzero" doc:"of another event of the application that has the same client_id: one of the two came from a page, with a key that names origins"`
	AlsoIn []string   `json:"also_in,omitempty" doc:"other applications that have used this id, by name, at most 100; app chooses one of them"`
}

func (s *Server) getEvent(c *Call) error {
	r, err := s.read(c, query.Events)
	if err != nil {
		return err
	}
	defer r.cancel()
	list := s.candidates(r.Apps, c.PathValue("id"))
	r.IDs, r.Limit = IDsOf(list), query.MaxLimit
	page, err := s.opts.Reader.Events(r.ctx, r.Query)
	var others []string
	if err == nil && len(page.Items) > 0 && len(r.Apps) != 1 {
		others, err = s.usedIn(&r)
	}
	for _, app := range s.opts.Registry.Apps() {
		if err != nil || !page.More || r.Apps != nil {
			break
		}
		q := r.Query // one at a time, then
		q.Apps = []string{app.Name}
		if first, e := s.opts.Reader.Events(r.ctx, q); e != nil || len(first.Items) > 0 {
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
		return NewProblem(http.StatusNotFound, "no stored event has this id; GET /v1/receipts/{id} shows what became of it")
	}
	var found []Candidate
	for i := range page.Items {
		found = append(found, Candidate{page.Items[i].App, page.Items[i].ID})
	}
	one, also := meant(list, found)
	first := slices.Index(found, one)
	KeepPage(r.memory, page.Items[first:first+1], (*event.Event).Size)
	return writeJSON(c.w, http.StatusOK, EventAnswer{toEvent(&page.Items[first]), also, alsoIn(one.App, found, others...)})
}

// CountAnswer is a count.
type CountAnswer struct {
	Count int64 `json:"count"`
}

func (s *Server) count(c *Call) error {
	r, err := s.read(c, query.Events)
	if err != nil {
		return err
	}
	defer r.cancel()
	n, err := s.opts.Reader.Count(r.ctx, r.Query)
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, CountAnswer{n})
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
		registry.Schema(schemaOf[SessionsAnswer](), true, ""), registry.Schema(schemaOf[SessionAnswer](), true, ""),
	}}
}

func (s *Server) listSessions(c *Call) error {
	if values := c.URL.Query(); values.Has(Exact) {
		if len(values[Exact]) != 1 || values.Get(Exact) != "1" || len(values["session_id"]) != 1 || values.Get("session_id") == "" {
			return NewProblem(http.StatusBadRequest, "exact must be 1, together with exactly one session_id")
		}
		return s.sessionOf(c, values.Get("session_id"), Exact)
	}
	r, err := s.read(c, query.Sessions, query.LimitParam, query.CursorParam)
	if err != nil {
		return err
	}
	defer r.cancel()
	if err := r.applyCursor(); err != nil {
		return err
	}
	page, err := s.opts.Reader.Sessions(r.ctx, r.Query)
	if err != nil {
		return err
	}
	a := SessionsAnswer{Sessions: MapSlice(page.Items, toSession)}
	a.NextCursor, a.SearchedTo = nextCursor(&r, page, func(x *store.Session) query.After { return query.AfterSession(x.StartedAt, x.ID) })
	KeepPage(r.memory, page.Items, (*store.Session).Size)
	return s.streamJSON(c, a)
}

func orderParam() Param {
	return Param{Name: "order", Text: "by time", Enum: []string{"asc", "desc"}}
}

// filterParams are the parameters that a list of the kind is filtered by.
func filterParams(kind query.Kind) []Param {
	at := "occurred_at"
	if kind == query.Rejections {
		at = "received_at"
	}
	params := []Param{
		AppParam(),
		{Name: "session_id", Text: "any of these", Repeatable: true},
		{Name: "category", Text: "any of these", Repeatable: true},
		{Name: "name", Text: "any of these", Repeatable: true},
		{Name: "from", Text: "inclusive, of " + at + "; a time as in the intake; a date alone is its first moment"},
		{Name: "to", Text: "exclusive, of " + at},
		TimeZoneParam(),
		{Name: "where", Text: "a condition like data.path=/checkout or data.n>=10; operators = != < <= > >= ~ (contains); all must hold", Repeatable: true},
	}
	if kind == query.Rejections {
		params = append(params,
			Param{Name: "code", Text: "with a problem of any of these codes", Repeatable: true},
			Param{Name: "pointer", Text: "with a problem at any of these JSON Pointers", Repeatable: true},
			Param{Name: "event_id", Text: "of any of these events: their ids, or the ids as their senders wrote them", Repeatable: true},
			Param{Name: "replayed", Text: "true for those that a replay has brought through, false for those that are still open; both when left out", Enum: []string{"true", "false"}})
	}
	return params
}
