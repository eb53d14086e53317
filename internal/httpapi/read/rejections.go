package read

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/httpapi"
	"theeye/internal/jsonx"
	"theeye/internal/query"
	"theeye/internal/store"
)

// RejectionsAnswer is a page of rejections.
type RejectionsAnswer struct {
	Rejections []Rejection `json:"rejections"`
	Searched
}

func (h *Handlers) toRejection(r *event.Rejection) Rejection {
	v := Rejection{
		ID: r.ID, EventID: r.EventID, ClientID: r.ClientID, App: r.App,
		SessionID: r.SessionID, Category: r.Category, Name: r.Name,
		ReceivedAt: r.ReceivedAt.String(), SchemaVersion: r.SchemaVersion, Problems: r.Problems,
	}
	if utf8.Valid(r.Raw) {
		raw := string(r.Raw)
		v.Raw = &raw
	} else {
		v.RawBase64 = r.Raw
	}
	if r.Truncated() {
		v.Truncated, v.Bytes, v.SHA256 = true, r.Whole.Bytes, hex.EncodeToString(r.Whole.SHA256[:])
	}
	if b := r.Became; b != nil {
		v.Became = &Became{r.EventID, b.Fate.String(), h.replayedBy(b.Frame)}
	}
	return v
}

func (h *Handlers) listRejections(c *httpapi.Call) error {
	r, err := h.read(c, query.Rejections, query.OrderParam, query.LimitParam, query.CursorParam)
	if err != nil {
		return err
	}
	defer r.cancel()
	if err := r.applyCursor(); err != nil {
		return err
	}
	page, err := h.opts.Reader.Rejections(r.ctx, r.Query)
	if err != nil {
		return err
	}
	a := RejectionsAnswer{Rejections: httpapi.MapSlice(page.Items, h.toRejection)}
	a.NextCursor, a.SearchedTo = nextCursor(&r, page, query.AfterRejection)
	httpapi.KeepPage(r.memory, page.Items, (*event.Rejection).Size)
	return c.StreamJSON(a)
}

func (h *Handlers) getRejection(c *httpapi.Call) error {
	r, err := h.read(c, query.Rejections)
	if err != nil {
		return err
	}
	defer r.cancel()
	id, ok := event.ParseUUID(c.PathValue("id"))
	if !ok {
		return httpapi.NewProblem(http.StatusBadRequest, "the id of a rejection is a UUID; find rejections of an event with /v1/rejections?event_id=…")
	}
	r.IDs, r.Limit = []uuid.UUID{id}, 1
	page, err := h.opts.Reader.Rejections(r.ctx, r.Query)
	if err != nil {
		return err
	}
	if page.SearchedTo != nil {
		return errSearched
	}
	if len(page.Items) == 0 {
		return httpapi.NewProblem(http.StatusNotFound, "no rejection has this id, or none that this key can read")
	}
	return c.WriteJSON(http.StatusOK, h.toRejectionAnswer(&page.Items[0]))
}

// RejectionAnswer is one rejection, whose problems have places in raw.
type RejectionAnswer struct {
	Rejection
	Problems []LocatedProblem `json:"problems"`
}

// LocatedProblem is a problem with its place in the text that was sent.
type LocatedProblem struct {
	event.Problem
	Line   int  `json:"line,omitzero" doc:"the line in raw, from 1, of the value that pointer names, or of the nearest value around what is missing; absent for the event as a whole"`
	Column int  `json:"column,omitzero" doc:"the column, in code points, from 1"`
	Offset *int `json:"offset,omitempty" doc:"in bytes"`
}

func (h *Handlers) toRejectionAnswer(r *event.Rejection) RejectionAnswer {
	a := RejectionAnswer{Rejection: h.toRejection(r), Problems: make([]LocatedProblem, len(r.Problems))}
	pointers := make([]string, len(r.Problems))
	for i, p := range r.Problems {
		pointers[i] = p.Pointer
	}
	for i, at := range jsonx.Locate(r.Raw, pointers) {
		a.Problems[i].Problem = r.Problems[i]
		if at != nil {
			a.Problems[i].Line, a.Problems[i].Column, a.Problems[i].Offset = at.Line, at.Column, &at.Offset
		}
	}
	return a
}

// SummaryAnswer groups rejections by their cause.
type SummaryAnswer struct {
	Groups []RejectionGroup `json:"groups"`
}

// RejectionGroup is one line of the summary.
type RejectionGroup struct {
	App       string    `json:"app"`
	Category  string    `json:"category"`
	Name      string    `json:"name"`
	Code      string    `json:"code"`
	Pointer   string    `json:"pointer"`
	Count     int64     `json:"count"`
	FirstSeen string    `json:"first_seen" format:"date-time"`
	LastSeen  string    `json:"last_seen" format:"date-time"`
	Example   uuid.UUID `json:"example" doc:"the id of the newest rejection of the group"`
	Message   string    `json:"message" doc:"the message of that rejection"`
	Text      string    `json:"text" doc:"the group in a sentence"`
	Parts     []int64   `json:"parts,omitzero" doc:"the counts in the parts of the span, in their order"`
}

func (h *Handlers) summarize(c *httpapi.Call) error {
	r, err := h.read(c, query.Rejections, query.LimitParam, partsParam)
	if err != nil {
		return err
	}
	defer r.cancel()
	parts, err := r.parts()
	if err != nil {
		return err
	}
	groups, err := h.opts.Reader.RejectionSummary(r.ctx, r.Query, parts)
	if err != nil {
		return err
	}
	httpapi.KeepPage(r.memory, groups, (*store.RejectionGroup).Size)
	return c.StreamJSON(SummaryAnswer{httpapi.MapSlice(groups, toGroup)})
}

const (
	partsParam = "parts"
	maxParts   = 200
)

// parts returns the number of parts in which a summary counts, 0 without that parameter. With it, the
// span has an end.
func (r *readRequest) parts() (int, error) {
	text := r.values.Get(partsParam)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxParts {
		return 0, &query.ParamError{Parameter: partsParam, Message: fmt.Sprintf("must be a number from 1 to %d", maxParts)}
	}
	if r.From == nil {
		return 0, &query.ParamError{Parameter: partsParam, Message: "requires from, the start of the span"}
	}
	return n, setSpan(&r.Query)
}

func toGroup(g *store.RejectionGroup) RejectionGroup {
	return RejectionGroup{
		g.App, g.Category, g.Name, g.Code, g.Pointer, g.Count, g.FirstSeen.String(), g.LastSeen.String(), g.Example, g.Message, sentence(g, event.Now()), g.Parts,
	}
}

// sentence describes a group in a sentence.
func sentence(g *store.RejectionGroup, now event.Micros) string {
	times := "once, at "
	if g.Count > 1 {
		times = fmt.Sprintf("%d times since ", g.Count)
	}
	const date = len("2006-01-02")
	first, today := g.FirstSeen.String(), now.String()
	at := first[:date] + " " + first[date+1:date+6]
	if first[:date] == today[:date] {
		at = first[date+1 : date+6]
	}
	what := "an event of unknown type"
	if g.Category != "" || g.Name != "" {
		what = fmt.Sprintf("'%s/%s'", g.Category, g.Name)
	}
	return times + at + " UTC: " + what + " from " + g.App + " " + wrong(g)
}

// wrong says what is wrong with the events of a group.
func wrong(g *store.RejectionGroup) string {
	switch {
	case g.Code == event.MissingField, g.Code == event.TimestampMissing,
		g.Code == event.SchemaViolation && strings.HasPrefix(g.Message, "missing property"):
		return "lacks " + g.Pointer
	case g.Code == event.IDConflict:
		return "reuses an id with another body"
	case g.Code == event.UnknownEventType:
		return "has no event type, which this application asks for"
	case g.Pointer != "":
		return "is wrong at " + g.Pointer + ": " + g.Message
	}
	return "was not accepted: " + g.Message
}
