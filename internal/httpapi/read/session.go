package read

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/httpapi"
	"theeye/internal/query"
	"theeye/internal/store"
)

// maxExamined is the maximum number of events of a session whose late and missing events are
// reported. They are read without their data, within query.PageBytes at once.
const maxExamined = 10_000

// SessionAnswer is a session with a page of its events.
type SessionAnswer struct {
	Session ExaminedSession `json:"session"`
	Events  []SessionEvent  `json:"events"`
	Missing []Gap           `json:"missing" doc:"gaps in the senders' counters before an event on this page"`
	Searched
}

// ExaminedSession is the summary of one session.
type ExaminedSession struct {
	Session
	Late    *int64 `json:"late,omitempty" doc:"the number of late events in the session; absent for a session of more than 10,000 events"`
	Missing *int64 `json:"missing,omitempty" doc:"the number of events that its senders counted and that are missing; absent when late is"`
}

// SessionEvent is an event of a session.
type SessionEvent struct {
	Event
	Late bool `json:"late,omitzero" doc:"received more than 60 s after an event of the session that occurred later; otherwise absent"`
}

// Gap is a range of sequence numbers of one sender that are missing in a session.
type Gap struct {
	Sender  string    `json:"sender" doc:"empty for events without a sender"`
	FromSeq int64     `json:"from_seq"`
	ToSeq   int64     `json:"to_seq"`
	Count   int64     `json:"count"`
	After   uuid.UUID `json:"after" doc:"the event before the gap"`
	Before  uuid.UUID `json:"before" doc:"the event after the gap"`
}

func (h *Handlers) getSession(c *httpapi.Call) error {
	return h.sessionOf(c, c.PathValue("id"))
}

// sessionOf answers with a session. also names parameters that are allowed in addition to those of
// events.
func (h *Handlers) sessionOf(c *httpapi.Call, id string, also ...string) error {
	r, err := h.read(c, query.Events, append(also, query.OrderParam, query.LimitParam, query.CursorParam)...)
	if err != nil {
		return err
	}
	defer r.cancel()
	if r.SessionIDs != nil && !slices.Equal(r.SessionIDs, []string{id}) {
		return httpapi.NewProblem(http.StatusBadRequest, "session_id is already in the path; omit the parameter")
	}
	if utf8.RuneCountInString(id) > event.MaxTextCodePoints {
		return noSession()
	}
	r.SessionIDs = []string{id}
	if err := r.applyCursor(); err != nil {
		return err
	}
	// The summary covers the whole session, whatever filters the events of the page.
	summary, err := h.opts.Reader.Sessions(r.ctx, query.Query{Apps: r.Apps, SessionIDs: r.SessionIDs, Limit: 1, Horizon: r.Horizon})
	if err != nil {
		return err
	}
	if len(summary.Items) == 0 {
		return noSession()
	}
	q := r.Query
	q.Horizon = summary.Horizon
	page, err := h.opts.Reader.Events(r.ctx, q)
	if err != nil {
		return err
	}
	described, err := h.sessionsOf(&r, summary)
	if err != nil {
		return err
	}
	list := h.eventsAnswer(&r, page)
	a := SessionAnswer{Session: ExaminedSession{Session: described[0]}, Missing: []Gap{}, Searched: list.Searched}
	for _, e := range list.Events {
		a.Events = append(a.Events, SessionEvent{Event: e})
	}
	if summary.Items[0].Events <= maxExamined {
		if err := h.examine(&r, q, page, &a); err != nil {
			return err
		}
	}
	return c.StreamJSON(a)
}

// examine determines what is late and missing. It examines the whole session, whichever page is
// requested and whatever filters the events.
func (h *Handlers) examine(r *readRequest, q query.Query, page store.Page[event.Event], a *SessionAnswer) error {
	steps, err := h.steps(r.ctx, query.Query{Apps: q.Apps, SessionIDs: q.SessionIDs, Horizon: q.Horizon, Limit: maxExamined, Bare: true})
	if err != nil {
		return err
	}
	shown := map[uuid.UUID]int{} // two applications may use the same id: then the last one counts
	for i := range page.Items {
		shown[page.Items[i].ID] = i
	}
	late, gaps := event.Examine(steps)
	var lateEvents, missing int64
	for i, step := range steps {
		if late[i] {
			lateEvents++
			if at, ok := shown[step.ID]; ok {
				a.Events[at].Late = true
			}
		}
	}
	for _, g := range gaps {
		missing += g.Count()
		if _, ok := shown[g.Before]; ok {
			a.Missing = append(a.Missing, Gap{g.Sender, g.From, g.To, g.Count(), g.After, g.Before})
		}
	}
	a.Session.Late, a.Session.Missing = &lateEvents, &missing
	return nil
}

// steps reads all events of a session, as far as event.Examine needs them.
func (h *Handlers) steps(ctx context.Context, q query.Query) ([]event.Step, error) {
	var steps []event.Step
	for {
		page, err := h.opts.Reader.Events(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range page.Items {
			steps = append(steps, event.StepOf(&page.Items[i]))
		}
		if !page.More {
			return steps, nil
		}
		after := httpapi.CursorAfter(page, query.AfterEvent, false)
		q.After = &after
	}
}

func noSession() *httpapi.ProblemDetails {
	return httpapi.NewProblem(http.StatusNotFound, "no event of this session is stored, or none that this key can read")
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
	list, err := h.sessionsOf(&r, page)
	if err != nil {
		return err
	}
	a := SessionsAnswer{Sessions: list}
	a.NextCursor, a.SearchedTo = nextCursor(&r, page, func(x *store.Session) query.After { return query.AfterSession(x.StartedAt, x.ID) })
	httpapi.KeepPage(r.memory, page.Items, (*store.Session).Size)
	return c.StreamJSON(a)
}
