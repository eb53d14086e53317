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

func readRoutes() []route {
	list := []param{orderParam(), limitParam(), cursorParam()}
	return []route{
		{"GET", "/v1/events", forRead, (*Server).listEvents, doc{
			id: "listEvents", tag: "reading", summary: "Events in the order in which they occurred",
			params: slices.Concat(filterParams(query.Events), list), answers: []answer{{200, "a page", schemaOf[EventsAnswer]()}}, errors: []int{400, 503}}},
		{"GET", "/v1/events/{id}", forRead, (*Server).getEvent, doc{
			id: "getEvent", tag: "reading", summary: "One event",
			params: []param{pathID("the event's id, or the id as its sender wrote it"), appParam()}, answers: []answer{{200, "the event", schemaOf[EventAnswer]()}}, errors: []int{400, 404, 503}}},
		{"GET", "/v1/count", forRead, (*Server).count, doc{
			id: "countEvents", tag: "reading", summary: "How many events there are",
			params: filterParams(query.Events), answers: []answer{{200, "the count", schemaOf[CountAnswer]()}}, errors: []int{400, 503}}},
		{"GET", "/v1/sessions", forRead, (*Server).listSessions, doc{
			id: "listSessions", tag: "reading", summary: "Sessions, latest start first",
			text: "Filters select the sessions that have at least one such event; the summary is always of the whole session. " +
				"With exact=1 and one session_id the answer is that of GET /v1/sessions/{id}, with its parameters: for clients that cannot send every id in a path, as browsers resolve `.` and `..`.",
			params: slices.Concat(filterParams(query.Sessions), []param{exactParam(false), {name: "order", text: "by time; with exact=1 alone", enum: []string{"asc", "desc"}}, limitParam(), cursorParam()}), answers: []answer{{200, "a page; with exact=1 a session", schemaOf[SessionsOrSession]()}}, errors: []int{400, 404, 503}}},
		{"GET", "/v1/sessions/{id}", forRead, (*Server).getSession, doc{
			id: "getSession", tag: "reading", summary: "A session's summary and its events in order",
			params:  slices.Concat([]param{pathID("the session id")}, filterParams(query.Events), list),
			answers: []answer{{200, "the session", schemaOf[SessionAnswer]()}}, errors: []int{400, 404, 503}}},
		{"GET", "/v1/rejections", forRead, (*Server).listRejections, doc{
			id: "listRejections", tag: "rejections", summary: "What was refused, newest first",
			params: slices.Concat(filterParams(query.Rejections), list), answers: []answer{{200, "a page", schemaOf[RejectionsAnswer]()}}, errors: []int{400, 503}}},
		{"GET", "/v1/rejections/summary", forRead, (*Server).summarize, doc{
			id: "summarizeRejections", tag: "rejections", summary: "Rejections counted by application, type, code and place",
			params: slices.Concat(filterParams(query.Rejections), []param{limitParam()}), answers: []answer{{200, "most frequent first", schemaOf[SummaryAnswer]()}}, errors: []int{400, 503}}},
		{"GET", "/v1/rejections/{id}", forRead, (*Server).getRejection, doc{
			id: "getRejection", tag: "rejections", summary: "One rejection",
			params: []param{pathID("the rejection's id"), appParam()}, answers: []answer{{200, "the rejection", schemaOf[RejectionAnswer]()}}, errors: []int{400, 404, 503}}},
		{"GET", "/v1/series", forRead, (*Server).series, doc{
			id: "series", tag: "reading", summary: "Counts over time",
			text: "Events by occurred_at; with group_by=status arrivals by received_at. Empty steps are filled between the first and the last, or between from and to.",
			params: slices.Concat(filterParams(query.Events), []param{
				{name: "interval", text: "the width of a step", enum: []string{"minute", "hour", "day"}},
				{name: "group_by", text: "what to group by", enum: []string{"category", "name", "app", "status"}}}),
			answers: []answer{{200, "the series", schemaOf[SeriesAnswer]()}}, errors: []int{400, 503}}},
		{"GET", "/v1/values", forRead, (*Server).values, doc{
			id: "values", tag: "reading", summary: "The most frequent values of a field",
			params:  slices.Concat(filterParams(query.Events), []param{limitParam(), {name: "field", text: "a field of the event, or data.path", required: true}}),
			answers: []answer{{200, "most frequent first", schemaOf[ValuesAnswer]()}}, errors: []int{400, 503}}},
		{"GET", "/v1/receipts/{id}", forRead, (*Server).receipt, doc{
			id: "getReceipt", tag: "reading", summary: "The whole history of an event id",
			params: []param{pathID("the event's id, or the id as its sender wrote it"), appParam()}, answers: []answer{{200, "the receipt", schemaOf[ReceiptAnswer]()}}, errors: []int{400, 404, 503}}},
		{"GET", "/v1/books", forRead, (*Server).books, doc{
			id: "getBooks", tag: "reading", summary: "What became of everything that was received",
			params: []param{appParam()}, answers: []answer{{200, "an account for each application", schemaOf[BooksAnswer]()}}, errors: []int{400, 503}}},
	}
}

// reading is a read request that was understood and may be answered.
type reading struct {
	query.Query
	kind   query.Kind
	values url.Values
	ctx    context.Context //nolint:containedctx // lives as long as its request
	cancel context.CancelFunc
	memory *allowance
}

// read parses a request's parameters, bounds them by what the key may see, takes the
// memory of an answer and begins the deadline; cancel ends both.
func (s *Server) read(c *call, kind query.Kind, also ...string) (reading, error) {
	r, err := s.parse(c, kind, also...)
	if err != nil {
		return r, err
	}
	if r.memory, err = s.allow(c); err != nil {
		return r, err
	}
	ctx, cancel := context.WithTimeout(c.ctx(), readDeadline)
	r.ctx, r.cancel = ctx, func() { cancel(); r.memory.end() }
	return r, nil
}

// parse parses a request's parameters, and bounds them by what the key may see.
func (s *Server) parse(c *call, kind query.Kind, also ...string) (reading, error) {
	if err := s.opts.CaughtUp(); err != nil {
		return reading{}, unavailable(err.Error())
	}
	values := c.URL.Query()
	q, err := query.Parse(values, kind, s.zone(c), also...)
	if err != nil {
		return reading{}, err
	}
	named := slices.Clone(q.Apps)
	for _, condition := range q.Where {
		if condition.Field.Name == query.App && condition.Operator == query.Equal {
			named = append(named, condition.Value)
		}
	}
	if c.who.App != "" {
		if slices.ContainsFunc(named, func(name string) bool { return name != c.who.App }) {
			return reading{}, problem(http.StatusForbidden, "this key reads a single application; leave app out")
		}
		q.Apps = []string{c.who.App}
	}
	if err := s.checkApps(named); err != nil {
		return reading{}, err
	}
	s.resolveEvents(&q)
	return reading{Query: q, kind: kind, values: values}, nil
}

// zone returns that of times without one: of the key's application.
func (s *Server) zone(c *call) *time.Location {
	app, _ := s.opts.Registry.App(c.who.App)
	return app.Location()
}

// resume continues where the cursor says, once the query is complete.
func (r *reading) resume() (err error) {
	r.Query, err = r.Resume(r.kind, r.values.Get(query.CursorParam))
	return err
}

// next returns the cursor of the page behind one, nil when there is none, and how
// far a search that was ended has come.
func next[T any](r *reading, p store.Page[T], after func(*T) query.After) (cursor, searchedTo *string) {
	if !p.More {
		return nil, nil
	}
	text := r.Cursor(r.kind, placeBehind(p, after, r.Descending), p.Horizon)
	if p.SearchedTo != nil {
		at := p.SearchedTo.String()
		searchedTo = &at
	}
	return &text, searchedTo
}

// errSearched is returned when one thing was looked for and the search was ended.
var errSearched = unavailable("the search took too long; narrow it with app, or try again")

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

func (s *Server) listEvents(c *call) error {
	r, err := s.read(c, query.Events, query.OrderParam, query.LimitParam, query.CursorParam)
	if err != nil {
		return err
	}
	defer r.cancel()
	if err := r.resume(); err != nil {
		return err
	}
	page, err := s.opts.Reader.Events(r.ctx, r.Query)
	if err != nil {
		return err
	}
	return s.streamJSON(c, s.eventsAnswer(&r, page))
}

func (s *Server) eventsAnswer(r *reading, page store.Page[event.Event]) EventsAnswer {
	keepPage(r.memory, page.Items, (*event.Event).Size)
	a := EventsAnswer{Events: viewAll(page.Items, viewEvent)}
	a.NextCursor, a.SearchedTo = next(r, page, query.AfterEvent)
	return a
}

// EventAnswer is one event.
type EventAnswer struct {
	Event
	AlsoID *uuid.UUID `json:"also_id,omitzero" doc:"of another event of the application that has the same client_id: one of the two came from a page, with a key that names origins"`
	AlsoIn []string   `json:"also_in,omitempty" doc:"other applications that have used this id, by name, at most 100; app chooses one of them"`
}

func (s *Server) getEvent(c *call) error {
	r, err := s.read(c, query.Events)
	if err != nil {
		return err
	}
	defer r.cancel()
	list := s.candidates(r.Apps, c.PathValue("id"))
	r.IDs, r.Limit = idsOf(list), query.MaxLimit
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
		return problem(http.StatusNotFound, "no stored event has this id; GET /v1/receipts/{id} shows what became of it")
	}
	var found []candidate
	for i := range page.Items {
		found = append(found, candidate{page.Items[i].App, page.Items[i].ID})
	}
	one, also := meant(list, found)
	first := slices.Index(found, one)
	keepPage(r.memory, page.Items[first:first+1], (*event.Event).Size)
	return writeJSON(c.w, http.StatusOK, EventAnswer{viewEvent(&page.Items[first]), also, alsoIn(one.app, found, others...)})
}

// CountAnswer is a count.
type CountAnswer struct {
	Count int64 `json:"count"`
}

func (s *Server) count(c *call) error {
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

func (s *Server) listSessions(c *call) error {
	if values := c.URL.Query(); values.Has(exact) {
		if len(values[exact]) != 1 || values.Get(exact) != "1" || len(values["session_id"]) != 1 || values.Get("session_id") == "" {
			return problem(http.StatusBadRequest, "exact must be 1, together with exactly one session_id")
		}
		return s.sessionOf(c, values.Get("session_id"), exact)
	}
	r, err := s.read(c, query.Sessions, query.LimitParam, query.CursorParam)
	if err != nil {
		return err
	}
	defer r.cancel()
	if err := r.resume(); err != nil {
		return err
	}
	page, err := s.opts.Reader.Sessions(r.ctx, r.Query)
	if err != nil {
		return err
	}
	a := SessionsAnswer{Sessions: viewAll(page.Items, viewSession)}
	a.NextCursor, a.SearchedTo = next(&r, page, func(x *store.Session) query.After { return query.AfterSession(x.StartedAt, x.ID) })
	keepPage(r.memory, page.Items, (*store.Session).Size)
	return s.streamJSON(c, a)
}

func orderParam() param {
	return param{name: "order", text: "by time", enum: []string{"asc", "desc"}}
}

// filterParams are the parameters that a list of the kind is filtered by.
func filterParams(kind query.Kind) []param {
	at := "occurred_at"
	if kind == query.Rejections {
		at = "received_at"
	}
	params := []param{
		appParam(),
		{name: "session_id", text: "any of these", repeatable: true},
		{name: "category", text: "any of these", repeatable: true},
		{name: "name", text: "any of these", repeatable: true},
		{name: "from", text: "inclusive, of " + at + "; a time as in the intake; a date alone is its first moment"},
		{name: "to", text: "exclusive, of " + at},
		timeZoneParam(),
		{name: "where", text: "a condition like data.path=/checkout or data.n>=10; operators = != < <= > >= ~ (contains); all must hold", repeatable: true},
	}
	if kind == query.Rejections {
		params = append(params,
			param{name: "code", text: "with a problem of any of these codes", repeatable: true},
			param{name: "pointer", text: "with a problem at any of these JSON Pointers", repeatable: true},
			param{name: "event_id", text: "of any of these events: their ids, or the ids as their senders wrote them", repeatable: true},
			param{name: "replayed", text: "true for those that a replay has brought through, false for those that are still open; both when left out", enum: []string{"true", "false"}})
	}
	return params
}
