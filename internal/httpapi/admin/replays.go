package admin

import (
	"bytes"
	"net/http"
	"net/url"
	"reflect"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"github.com/rogpeppe/go-internal/diff"

	"theeye/internal/event"
	"theeye/internal/httpapi"
	"theeye/internal/query"
	"theeye/internal/replay"
	"theeye/internal/store"
)

func (h *Handlers) replayRoutes() []httpapi.Route {
	id := httpapi.Param{Name: "replay_id", In: "path", Text: "the replay's id", Required: true}
	one := func(status int, text string) []httpapi.Answer {
		return []httpapi.Answer{httpapi.JSON[Replay](status, text)}
	}
	return []httpapi.Route{
		{Method: "POST", Path: "/v1/rejections/replay", Access: httpapi.ForAdmin, Handle: h.startReplay, Doc: httpapi.Doc{
			ID: "replayRejections", Tag: "rejections", Summary: "Validate rejected events again",
			Text: "Validates the rejections that match the filter against the event types now in force, as sent or after a JSON Patch (RFC 6902). Events that pass are stored with their own ids, times and places. If an event with the same body has been stored meanwhile, the rejection becomes a duplicate; with another body, it stays rejected. Replaying again does nothing. With dry_run, nothing changes. The server answers when the replay is done, or after two seconds with its progress; the replay then continues, even across a restart of the server.",
			Body: reflect.TypeFor[ReplayRequest](), Answers: one(202, "done or in progress"), Errors: []int{400, 404, 409, 413, 422, 503}}},
		{Method: "GET", Path: "/v1/replays", Access: httpapi.ForAdmin, Handle: h.listReplays, Doc: httpapi.Doc{
			ID: "listReplays", Tag: "rejections", Summary: "List recent replays, newest first", Params: []httpapi.Param{httpapi.CursorParam()},
			Answers: []httpapi.Answer{httpapi.JSON[ReplaysAnswer](200, "those that are remembered")}, Errors: []int{400}}},
		{Method: "GET", Path: "/v1/replays/{replay_id}", Access: httpapi.ForAdmin, Handle: h.getReplay, Doc: httpapi.Doc{
			ID: "getReplay", Tag: "rejections", Summary: "Get the progress of a replay", Params: []httpapi.Param{id}, Answers: one(200, "the replay"), Errors: []int{404}}},
		{Method: "DELETE", Path: "/v1/replays/{replay_id}", Access: httpapi.ForAdmin, Handle: h.cancelReplay, Doc: httpapi.Doc{
			ID: "cancelReplay", Tag: "rejections", Summary: "Cancel a replay; events it has stored stay", Params: []httpapi.Param{id}, Answers: one(200, "ended"), Errors: []int{404, 409, 503}}},
	}
}

// ReplayRequest says what to replay and how.
type ReplayRequest struct {
	Filter    map[string]jsontext.Value `json:"filter" doc:"the filter parameters of GET /v1/rejections, each a string or an array of strings; {} selects all"`
	Patch     jsontext.Value            `json:"patch,omitzero" doc:"a JSON Patch (RFC 6902) for each body; it cannot change id"`
	TimeZone  string                    `json:"time_zone,omitzero" doc:"the IANA time zone of timestamps that have none, instead of the application's"`
	SessionID string                    `json:"session_id,omitzero" doc:"the session id for bodies that have none"`
	DryRun    bool                      `json:"dry_run,omitzero" doc:"change nothing; show counts and examples"`
}

// Replay is a replay and its progress.
type Replay struct {
	ReplayID   uuid.UUID    `json:"replay_id"`
	State      replay.State `json:"state" enum:"running,done,failed,cancelled"`
	DryRun     bool         `json:"dry_run"`
	StartedAt  string       `json:"started_at" format:"date-time"`
	FinishedAt *string      `json:"finished_at" format:"date-time" doc:"null while it is running"`
	Error      string       `json:"error,omitzero" doc:"why it failed or is waiting"`

	Matched   int64 `json:"matched" doc:"rejections that match the filter and have not been replayed; while it is running, those found so far"`
	WouldPass int64 `json:"would_pass"`
	WouldFail int64 `json:"would_fail"`

	Done          int64 `json:"done" doc:"those whose outcome is known; 0 in a dry run"`
	Stored        int64 `json:"stored"`
	Duplicates    int64 `json:"duplicates" doc:"the same event had been stored meanwhile"`
	StillRejected int64 `json:"still_rejected" doc:"did not pass, or their id is stored with another body"`
	Conflicts     int64 `json:"conflicts" doc:"of these, those whose id is stored with another body"`
	Erased        int64 `json:"erased"`
	Expired       int64 `json:"expired"`

	Filter    url.Values     `json:"filter,omitzero" doc:"for a real replay, only while it is running"`
	Patch     jsontext.Value `json:"patch,omitzero"`
	TimeZone  string         `json:"time_zone,omitzero"`
	SessionID string         `json:"session_id,omitzero"`

	Left     []LeftProblem   `json:"left" doc:"the problems of those that fail, most frequent first"`
	Examples []ReplayExample `json:"examples" doc:"for a dry run: up to five that pass and five that fail, with at most 512 KiB of bodies in total"`
}

// LeftProblem counts a problem that remains.
type LeftProblem struct {
	Code    string `json:"code"`
	Pointer string `json:"pointer"`
	Count   int64  `json:"count"`
}

// ReplayExample shows what a replay does to one rejection.
type ReplayExample struct {
	RejectionID uuid.UUID       `json:"rejection_id"`
	EventID     uuid.UUID       `json:"event_id"`
	Passes      bool            `json:"passes"`
	Before      string          `json:"before" doc:"the body as it was sent; bytes that are not UTF-8 are replaced"`
	After       string          `json:"after" doc:"the body that would be validated"`
	Diff        string          `json:"diff" doc:"a line diff from before to after; empty if nothing changes"`
	Problems    []event.Problem `json:"problems" doc:"what is left"`
}

// ReplaysAnswer lists replays.
type ReplaysAnswer struct {
	Replays    []Replay `json:"replays"`
	NextCursor *string  `json:"next_cursor"`
}

func toReplay(s *replay.Status) Replay {
	v := Replay{
		ReplayID: s.ID, State: s.State, DryRun: s.DryRun, StartedAt: s.StartedAt.String(), FinishedAt: httpapi.MicrosOrNull(s.FinishedAt), Error: s.Error,
		Matched: s.Matched, WouldPass: s.WouldPass, WouldFail: s.WouldFail,
		Stored: s.Stored, Duplicates: s.Duplicates, Conflicts: s.Conflicts, Erased: s.Erased, Expired: s.Expired,
		Filter: s.Filter, Patch: s.Patch, TimeZone: s.TimeZone, SessionID: s.SessionID,
		Left: []LeftProblem{}, Examples: httpapi.MapSlice(s.Examples, toExample),
	}
	if !s.DryRun {
		v.StillRejected = s.WouldFail + s.Conflicts
		v.Done = s.Stored + s.Duplicates + v.StillRejected + s.Erased + s.Expired
	}
	for _, l := range s.Remaining {
		v.Left = append(v.Left, LeftProblem(l))
	}
	return v
}

func toExample(x *replay.Example) ReplayExample {
	v := ReplayExample{
		RejectionID: x.RejectionID, EventID: x.EventID, Passes: x.Passes,
		Before: string(bytes.ToValidUTF8(x.Before, []byte("\uFFFD"))), After: string(bytes.ToValidUTF8(x.After, []byte("\uFFFD"))),
		Problems: x.Problems,
	}
	if v.Problems == nil {
		v.Problems = []event.Problem{}
	}
	if !bytes.Equal(x.Before, x.After) {
		v.Diff = string(diff.Diff("before", inLines(v.Before), "after", inLines(v.After)))
	}
	return v
}

// inLines formats JSON with each member on a line of its own.
func inLines(text string) []byte {
	v := jsontext.Value(text)
	if v.Indent(jsontext.WithIndent("  "), jsontext.AllowDuplicateNames(true)) != nil {
		v = jsontext.Value(text)
	}
	return append(v, '\n')
}

func (h *Handlers) startReplay(c *httpapi.Call) error {
	var body ReplayRequest
	if err := c.ReadJSON(&body); err != nil {
		return err
	}
	if body.Filter == nil {
		return httpapi.NewProblem(http.StatusUnprocessableEntity, `filter is required; {"filter":{}} replays every rejection`)
	}
	req := replay.Request{Filter: url.Values{}, Patch: body.Patch, TimeZone: body.TimeZone, SessionID: body.SessionID, DryRun: body.DryRun}
	for name, value := range body.Filter {
		values, ok := filterValues(value)
		if !ok {
			return httpapi.Problemf(http.StatusBadRequest, "filter: %.40q must be a string or an array of strings", name)
		}
		req.Filter[name] = values
	}
	if !utf8.ValidString(req.SessionID) {
		return httpapi.NewProblem(http.StatusUnprocessableEntity, "session_id must be UTF-8")
	}
	if err := h.resolveFilter(req.Filter); err != nil {
		return err
	}
	if err := c.CheckApps(req.Filter[query.App]); err != nil {
		return err
	}
	status, err := h.opts.Replays.Start(c.Context(), req)
	if err != nil {
		return err
	}
	return c.WriteJSON(http.StatusAccepted, toReplay(&status))
}

// filterValues returns the values of one parameter of a filter.
func filterValues(v jsontext.Value) (values []string, ok bool) {
	var one string
	if json.Unmarshal(v, &one) == nil && v.Kind() == '"' {
		return []string{one}, true
	}
	return values, v.Kind() == '[' && json.Unmarshal(v, &values) == nil
}

func (h *Handlers) listReplays(c *httpapi.Call) error {
	p := c.Params()
	list := h.opts.Replays.List()
	if text := p.Text("cursor"); text != "" {
		after, ok := event.ParseUUID(text)
		if !ok {
			p.Fail("cursor", httpapi.NotThisCursor)
		}
		list = olderThan(list, after)
	}
	if p.Err != nil {
		return p.Err
	}
	page := store.NewPager(query.Query{Limit: query.MaxLimit}, (*replay.Status).Size)
	page.AddAll(list)
	a := ReplaysAnswer{Replays: httpapi.MapSlice(page.Items, toReplay)}
	if page.More {
		last := page.Items[len(page.Items)-1].ID.String()
		a.NextCursor = &last
	}
	return c.StreamJSON(a)
}

// olderThan returns the replays that are older than one. If that one is forgotten, so are they.
func olderThan(list []replay.Status, id uuid.UUID) []replay.Status {
	for i := range list {
		if list[i].ID == id {
			return list[i+1:]
		}
	}
	return nil
}

func (h *Handlers) getReplay(c *httpapi.Call) error {
	id, ok := event.ParseUUID(c.PathValue("replay_id"))
	if !ok {
		return replay.ErrNotFound
	}
	status, err := h.opts.Replays.Status(id)
	if err != nil {
		return err
	}
	return c.WriteJSON(http.StatusOK, toReplay(&status))
}

func (h *Handlers) cancelReplay(c *httpapi.Call) error {
	id, ok := event.ParseUUID(c.PathValue("replay_id"))
	if !ok {
		return replay.ErrNotFound
	}
	status, err := h.opts.Replays.Cancel(c.Context(), id)
	if err != nil {
		return err
	}
	return c.WriteJSON(http.StatusOK, toReplay(&status))
}

// resolveFilter replaces the texts of event_id in a filter that is stored by the ids that they
// mean.
func (h *Handlers) resolveFilter(values url.Values) error {
	q, err := query.Parse(values, query.Rejections, time.UTC)
	if err != nil || q.EventTexts == nil {
		return err
	}
	httpapi.ResolveEvents(h.opts.Registry, &q)
	if len(q.EventIDs) > query.MaxValues {
		return httpapi.NewProblem(http.StatusBadRequest, "event_id: an id that is not a UUID belongs to one application; name it with app")
	}
	values.Del(query.EventID)
	for _, id := range q.EventIDs {
		values.Add(query.EventID, id.String())
	}
	return nil
}
