package read

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/httpapi"
	"theeye/internal/jsonx"
	"theeye/internal/query"
	"theeye/internal/registry"
	"theeye/internal/store"
)

// Limits of a search.
const (
	maxFindBody     = 64 << 10
	maxFound        = 20              // of each kind
	maxFindExamined = 1000            // events and rejections of a session that are compared with a payload
	findTextTime    = 2 * time.Second // for the text of an error
)

// FindRequest is what to look for.
type FindRequest struct {
	Q string `json:"q" doc:"an event id, a session id, the id of a rejection, the JSON of an event or of a batch, of which the first 20 events are looked for, or a part of an error's message"`
}

// FindAnswer is whatever is known, as far as the key may read it.
type FindAnswer struct {
	As         string                 `json:"as" enum:"id,payload,text" doc:"what the text was taken for: an id or a name of a session; the JSON of an event; or only a text"`
	Receipts   []ReceiptAnswer        `json:"receipts" doc:"the history of events with this id, or with this payload"`
	Sessions   []Session              `json:"sessions"`
	Rejections []Rejection            `json:"rejections" doc:"with this id, of events with this id, with this payload, or of this session if it has no events"`
	Groups     []RejectionGroup       `json:"groups" doc:"rejections whose message contains the text, most frequent first"`
	CutOff     bool                   `json:"cut_off" doc:"the search for the text took longer than two seconds and was given up"`
	Refused    []httpapi.RefusedGroup `json:"refused" doc:"for admin keys, if nothing is known: requests that left neither an event nor a rejection, the latest first"`
}

func (a *FindAnswer) empty() bool {
	return len(a.Receipts)+len(a.Sessions)+len(a.Rejections)+len(a.Groups) == 0
}

func (h *Handlers) findRoutes() []httpapi.Route {
	return []httpapi.Route{{Method: "POST", Path: "/v1/find", Access: httpapi.ForRead, Handle: h.find, Doc: httpapi.Doc{
		ID: "find", Tag: "reading", Summary: "Find what is known of an id, a session, a payload or an error",
		Text: "The text is in the body, at most 64 KiB, so that payloads do not get into addresses and logs.",
		Body: reflect.TypeFor[FindRequest](), Answers: []httpapi.Answer{httpapi.JSON[FindAnswer](200, "whatever is known, possibly nothing")}, Errors: []int{400, 413, 503}}}}
}

// finder collects the answer to one search.
type finder struct {
	h      *Handlers
	r      *readRequest
	answer FindAnswer
}

func (h *Handlers) find(c *httpapi.Call) error {
	var req FindRequest
	if err := c.ReadSmallJSON(&req, maxFindBody); err != nil {
		return err
	}
	text := strings.TrimSpace(req.Q)
	if text == "" {
		return httpapi.NewProblem(http.StatusBadRequest, `"q" is empty: give an id, a session, the JSON of an event, or a part of an error's message`)
	}
	r, err := h.read(c, query.Events)
	if err != nil {
		return err
	}
	defer r.cancel()
	f := finder{h, &r, FindAnswer{
		As: "text", Receipts: []ReceiptAnswer{}, Sessions: []Session{}, Rejections: []Rejection{}, Groups: []RejectionGroup{}, Refused: []httpapi.RefusedGroup{},
	}}
	switch payloads := parsePayloads(text); {
	case len(payloads) > 0:
		f.answer.As = "payload"
		for _, p := range payloads[:min(len(payloads), maxFound)] {
			if err = f.payload(p); err != nil {
				break
			}
		}
	case utf8.RuneCountInString(text) <= event.MaxTextCodePoints:
		f.answer.As = "id"
		err = f.id(text)
	}
	if err == nil && f.answer.empty() && f.answer.As != "payload" {
		err = f.message(text)
	}
	if err != nil {
		return err
	}
	if f.answer.empty() && c.Principal.Kind == registry.Admin && h.opts.Refused != nil {
		f.answer.Refused = h.opts.Refused(maxFound)
	}
	return c.StreamJSON(f.answer)
}

// payload is an event as its sender wrote it.
type payload struct {
	ID        *string        `json:"id"`
	SessionID string         `json:"session_id"`
	Category  string         `json:"category"`
	Name      string         `json:"name"`
	Data      jsontext.Value `json:"data"`
	timestamp string         // empty if it has none
	text      jsontext.Value
}

// parsePayloads parses the JSON of an event, of an array of events, or of an envelope. It returns
// nothing for another text.
func parsePayloads(text string) (list []payload) {
	elements := []jsontext.Value{jsontext.Value(text)}
	var envelope struct {
		Events []jsontext.Value `json:"events"`
	}
	options := json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if strings.HasPrefix(text, "[") && json.Unmarshal([]byte(text), &elements, options) != nil {
		return nil
	}
	if strings.HasPrefix(text, "{") && json.Unmarshal([]byte(text), &envelope, options) == nil && len(envelope.Events) > 0 {
		elements = envelope.Events
	}
	for _, e := range elements {
		if p, ok := parsePayload(string(e)); ok {
			list = append(list, p)
		}
	}
	return list
}

// parsePayload parses the JSON of one event. Members of the wrong type are left out.
func parsePayload(text string) (p payload, ok bool) {
	if !strings.HasPrefix(text, "{") {
		return p, false
	}
	var members map[string]jsontext.Value
	if json.Unmarshal([]byte(text), &members, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) != nil {
		return p, false
	}
	p.text, p.Data = jsontext.Value(text), members["data"]
	for name, into := range map[string]any{"id": &p.ID, "session_id": &p.SessionID, "category": &p.Category, "name": &p.Name} {
		if v := members[name]; v.Kind() == '"' {
			_ = json.Unmarshal(v, into) // a text fits
		}
	}
	if p.timestamp = string(members["timestamp"]); members["timestamp"].Kind() == '"' {
		_ = json.Unmarshal(members["timestamp"], &p.timestamp)
	}
	return p, true
}

// payload looks for the event's id, or else for events and rejections of its session with the same
// content.
func (f *finder) payload(p payload) error {
	if p.ID != nil && *p.ID != "" {
		return f.id(*p.ID)
	}
	if p.SessionID == "" || utf8.RuneCountInString(p.SessionID) > event.MaxTextCodePoints {
		return nil
	}
	q := query.Query{Apps: f.r.Apps, SessionIDs: []string{p.SessionID}, Descending: true, Limit: maxFindExamined}
	events := q
	if p.Category != "" && p.Name != "" {
		events.Categories, events.Names = []string{p.Category}, []string{p.Name}
	}
	page, err := f.h.opts.Reader.Events(f.r.ctx, events)
	if err != nil {
		return err
	}
	for i := range page.Items {
		if e := &page.Items[i]; len(f.answer.Receipts) < maxFound && jsonx.Equal(e.Data, p.Data) && (p.timestamp == "" || p.timestamp == e.Timestamp) {
			if err := f.receipts([]httpapi.Candidate{{App: e.App, ID: e.ID}}, []string{e.App}); err != nil {
				return err
			}
		}
	}
	rejections, err := f.h.opts.Reader.Rejections(f.r.ctx, q)
	if err != nil {
		return err
	}
	for i := range rejections.Items {
		if x := &rejections.Items[i]; jsonx.Equal(x.Raw, p.text) {
			f.addRejections(*x)
		}
	}
	return f.session(p.SessionID)
}

// addRejections adds rejections that are not in the answer, up to its limit.
func (f *finder) addRejections(list ...event.Rejection) {
	for i := range list {
		known := slices.ContainsFunc(f.answer.Rejections, func(r Rejection) bool { return r.ID == list[i].ID })
		if !known && len(f.answer.Rejections) < maxFound {
			f.answer.Rejections = append(f.answer.Rejections, f.h.toRejection(&list[i]))
		}
	}
}

// id looks for an event, a rejection and a session with an id.
func (f *finder) id(text string) error {
	list := httpapi.Candidates(f.h.opts.Registry, f.r.Apps, text)
	if err := f.receipts(list, f.r.Apps); err != nil {
		return err
	}
	q := query.Query{Apps: f.r.Apps, EventIDs: httpapi.IDsOf(list), Descending: true, Limit: maxFound}
	byEvent, err := f.h.opts.Reader.Rejections(f.r.ctx, q)
	if err != nil {
		return err
	}
	if id, ok := event.ParseUUID(text); ok {
		q.EventIDs, q.IDs = nil, []uuid.UUID{id}
		own, err := f.h.opts.Reader.Rejections(f.r.ctx, q)
		if err != nil {
			return err
		}
		f.addRejections(own.Items...)
	}
	f.addRejections(byEvent.Items...)
	return f.session(text)
}

// receipts adds the receipt of the event that is meant, if anything with its id has arrived.
func (f *finder) receipts(list []httpapi.Candidate, apps []string) error {
	r := *f.r
	r.Apps, r.IDs = apps, httpapi.IDsOf(list)
	waiting, err := f.h.backlog(r.ctx, f.h.opts.Progress.Position(), r.Query)
	if err != nil {
		return err
	}
	arrivals, named, err := f.h.history(&r, list, waiting)
	if err != nil || len(arrivals) == 0 {
		return err
	}
	one := f.h.receiptOf(arrivals)
	one.ID, one.AlsoID, one.AlsoIn = named.one.ID, named.also, named.in
	f.answer.Receipts = append(f.answer.Receipts, one)
	return nil
}

// session adds a session, or its rejections if it has no events.
func (f *finder) session(id string) error {
	if slices.ContainsFunc(f.answer.Sessions, func(s Session) bool { return s.SessionID == id }) || len(f.answer.Sessions) == maxFound {
		return nil
	}
	q := query.Query{Apps: f.r.Apps, SessionIDs: []string{id}, Limit: 1}
	page, err := f.h.opts.Reader.Sessions(f.r.ctx, q)
	if err != nil {
		return err
	}
	if len(page.Items) == 0 {
		rejections, err := f.h.opts.Reader.Rejections(f.r.ctx, query.Query{Apps: f.r.Apps, SessionIDs: []string{id}, Descending: true, Limit: maxFound})
		f.addRejections(rejections.Items...)
		return err
	}
	sessions, err := f.h.sessionsOf(f.r, page)
	f.answer.Sessions = append(f.answer.Sessions, sessions...)
	return err
}

// message looks for a text in the messages of rejections, for a bounded time.
func (f *finder) message(text string) error {
	ctx, cancel := context.WithTimeout(f.r.ctx, findTextTime)
	defer cancel()
	groups, err := f.h.opts.Reader.RejectionSummary(ctx, query.Query{Apps: f.r.Apps, Limit: query.MaxLimit}, 0)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && f.r.ctx.Err() == nil {
		f.answer.CutOff = true
		return nil
	}
	if err != nil {
		return err
	}
	text = strings.ToLower(text)
	groups = slices.DeleteFunc(groups, func(g store.RejectionGroup) bool {
		return !strings.Contains(strings.ToLower(g.Message), text) && !strings.Contains(strings.ToLower(g.Code), text) && !strings.Contains(strings.ToLower(g.Pointer), text)
	})
	f.answer.Groups = httpapi.MapSlice(groups[:min(len(groups), maxFound)], toGroup)
	return nil
}
