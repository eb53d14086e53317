package read

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"theeye/internal/event"
	"theeye/internal/httpapi"
	"theeye/internal/plural"
	"theeye/internal/query"
	"theeye/internal/store"
)

// defaultSpan is the span of an overview without from or to.
const defaultSpan = 24 * time.Hour

// maxMarks bounds the published versions in an overview.
const maxMarks = 100

// OverviewAnswer is the numbers of a span of time, those of the span before, and the state of the
// server.
type OverviewAnswer struct {
	From     string       `json:"from" format:"date-time"`
	To       string       `json:"to" format:"date-time"`
	Events   Compared     `json:"events" doc:"events that occurred in the span"`
	Sessions SessionCount `json:"sessions" doc:"sessions that started in the span; a session that was silent for a day before the span may count as started again"`
	Rejected Share        `json:"rejected" doc:"rejections that were received in the span"`
	Visible  Visible      `json:"visible" doc:"the time from receipt until an event can be queried, over the last five minutes, of all applications"`
	State    State        `json:"state"`
	Silent   []SilentApp  `json:"silent" doc:"applications of which nothing has come for longer than their setting silent_after"`
	Marks    []Mark       `json:"marks" doc:"versions of event types that were published in the span, oldest first; at most the newest 100"`
}

// Compared is a count and that of the span before.
type Compared struct {
	Count  int64 `json:"count"`
	Before int64 `json:"before" doc:"in the span of the same length before"`
}

// SessionCount is a count of sessions.
type SessionCount struct {
	Compared
	Approximate bool `json:"approximate" doc:"true if a sample of the sessions was counted, because there are many, with an error below 2 %, or if the counts of the overview are up to a minute old"`
}

// Share is a count of rejections, and its share of all that was received.
type Share struct {
	Compared
	Share       float64 `json:"share" doc:"rejections, divided by rejections and events; 0 if there are none"`
	ShareBefore float64 `json:"share_before"`
}

// Visible is a delay.
type Visible struct {
	P99MS  *float64 `json:"p99_ms" doc:"at most an eighth too large; null without events"`
	Events int64    `json:"events"`
}

// State says in words whether everything is accounted for.
type State struct {
	Level    string   `json:"level" enum:"ok,attention,failure"`
	Text     string   `json:"text" doc:"such as: all accounted for"`
	Ready    bool     `json:"ready"`
	Balanced bool     `json:"balanced" doc:"of the books of the applications that the key may read"`
	Pending  int64    `json:"pending"`
	Lost     int64    `json:"lost"`
	Reasons  []string `json:"reasons" doc:"as /readyz gives them"`
}

// Mark is a version of an event type.
type Mark struct {
	Category    string `json:"category"`
	Name        string `json:"name"`
	Version     uint32 `json:"version"`
	PublishedAt string `json:"published_at" format:"date-time"`
}

func (h *Handlers) overviewRoutes() []httpapi.Route {
	return []httpapi.Route{{Method: "GET", Path: "/v1/overview", Access: httpapi.ForRead, Polled: true, Handle: h.overview, Doc: httpapi.Doc{
		ID: "getOverview", Tag: "reading", Summary: "The numbers of a span of time and of the one before, and the state of the server",
		Text: "Cheap enough to be asked every ten seconds. Without from and to, the span is the last 24 hours; with one of them, it ends now or begins 24 hours earlier. Counts that take long to make are up to a minute old; `approximate` is then true.",
		Params: []httpapi.Param{httpapi.AppParam(), {Name: "from", Text: "start (inclusive) of the span"}, {Name: "to", Text: "end (exclusive) of the span; now by default"},
			httpapi.TimeZoneParam()},
		Answers: []httpapi.Answer{httpapi.JSON[OverviewAnswer](200, "the overview")}, Errors: []int{400, 503}}}}
}

func (h *Handlers) overview(c *httpapi.Call) error {
	r, err := h.read(c, query.Events)
	if err != nil {
		return err
	}
	defer r.cancel()
	if err := setSpan(&r.Query); err != nil {
		return err
	}
	before := r.Query
	start := *r.From - (*r.To - *r.From)
	before.From, before.To = &start, r.From
	now, err := h.totals(r.ctx, r.Query)
	if err != nil {
		return err
	}
	then, err := h.totals(r.ctx, before)
	if err != nil {
		return err
	}
	a := OverviewAnswer{
		From: r.From.String(), To: r.To.String(),
		Events:   Compared{now.Events, then.Events},
		Sessions: SessionCount{Compared{now.Sessions, then.Sessions}, now.Sampled || then.Sampled},
		Rejected: Share{Compared{now.Rejected, then.Rejected}, share(now), share(then)},
		Silent:   h.silent(r.ctx, func(app string) bool { return r.Apps == nil || slices.Contains(r.Apps, app) }),
		Marks:    h.marks(r.From.Time(), r.To.Time()),
	}
	if h.opts.Delay != nil {
		if p99, n := h.opts.Delay(); n > 0 {
			ms := httpapi.Milliseconds(p99)
			a.Visible = Visible{&ms, n}
		}
	}
	if a.State, err = h.state(c, &r); err != nil {
		return err
	}
	return c.WriteJSON(http.StatusOK, a)
}

// setSpan sets the bounds of a span that are missing.
func setSpan(q *query.Query) error {
	if q.To == nil {
		now := event.Now()
		q.To = &now
	}
	if q.From == nil {
		from := *q.To - event.Micros(defaultSpan.Microseconds())
		q.From = &from
	}
	if *q.From >= *q.To {
		return &query.ParamError{Parameter: "from", Message: "must be before to"}
	}
	return nil
}

func share(t store.Totals) float64 {
	if t.Events+t.Rejected == 0 {
		return 0
	}
	return float64(t.Rejected) / float64(t.Events+t.Rejected)
}

// marks returns the versions of event types that were published in a span.
func (h *Handlers) marks(from, to time.Time) []Mark {
	marks := []Mark{}
	for _, v := range h.opts.Registry.VersionsBetween(from, to) {
		marks = append(marks, Mark{v.Category, v.Name, v.Version, httpapi.FormatTime(v.CreatedAt)})
	}
	return marks[max(0, len(marks)-maxMarks):]
}

// state combines readiness and books.
func (h *Handlers) state(c *httpapi.Call, r *readRequest) (State, error) {
	books, pending, err := h.account(r.ctx, r.Apps)
	if err != nil {
		return State{}, err
	}
	ready := c.Readiness()
	s := State{Ready: ready.Ready, Reasons: ready.Reasons, Balanced: true}
	for app, n := range pending {
		if r.Apps == nil || slices.Contains(r.Apps, app) {
			s.Pending += n
		}
	}
	for _, x := range books.Accounts {
		s.Lost += x.Lost
		s.Balanced = s.Balanced && x.Received == x.Stored+x.Rejected+x.Duplicate+x.Erased+x.Expired+x.Lost
	}
	switch {
	case !s.Ready:
		s.Level, s.Text = "failure", first(s.Reasons, "the server is not ready")
	case !s.Balanced:
		s.Level, s.Text = "failure", "the books do not balance"
	case len(s.Reasons) > 0:
		s.Level, s.Text = "attention", s.Reasons[0]
	case s.Lost > 0:
		s.Level, s.Text = "attention", plural.Count(s.Lost, "event")+" lost"
	case s.Pending > 0:
		s.Level, s.Text = "ok", fmt.Sprintf("%d pending", s.Pending)
	default:
		s.Level, s.Text = "ok", "all accounted for"
	}
	return s, nil
}

func first(texts []string, otherwise string) string {
	if len(texts) > 0 {
		return texts[0]
	}
	return otherwise
}
