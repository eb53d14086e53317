package read

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"theeye/internal/httpapi"
	"theeye/internal/query"
	"theeye/internal/store"
)

// readDeadline bounds reads other than exports.
const readDeadline = 10 * time.Second

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
	q, err := h.parseQuery(c, values, kind, also...)
	return readRequest{Query: q, kind: kind, values: values}, err
}

// parseQuery parses filters and limits them to what the key may see.
func (h *Handlers) parseQuery(c *httpapi.Call, values url.Values, kind query.Kind, also ...string) (query.Query, error) {
	q, err := query.Parse(values, kind, h.zone(c), also...)
	if err != nil {
		return q, err
	}
	named := slices.Clone(q.Apps)
	for _, condition := range q.Where {
		if condition.Field.Name == query.App && condition.Operator == query.Equal {
			named = append(named, condition.Value)
		}
	}
	if c.Principal.App != "" {
		if slices.ContainsFunc(named, func(name string) bool { return name != c.Principal.App }) {
			return q, httpapi.NewProblem(http.StatusForbidden, "this key is valid for a single application; omit app")
		}
		q.Apps = []string{c.Principal.App}
	}
	if err := c.CheckApps(named); err != nil {
		return q, err
	}
	httpapi.ResolveEvents(h.opts.Registry, &q)
	return q, nil
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

// nextCursor returns the cursor of the page after p, or nil if there is none, and how far a search
// that was cut short has come.
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
	SearchedTo *string `json:"searched_to,omitzero" format:"date-time" doc:"only if the search was stopped after two seconds: the page covers events up to this time, and next_cursor continues from there"`
}
