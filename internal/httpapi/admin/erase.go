package admin

import (
	"fmt"
	"net/http"
	"unicode/utf8"

	"theeye/internal/event"
	"theeye/internal/httpapi"
)

func (h *Handlers) erasureRoutes() []httpapi.Route {
	return []httpapi.Route{
		{Method: "DELETE", Path: "/v1/sessions/{id}", Access: httpapi.ForAdmin, Handle: h.eraseSession, HideSubject: true, Doc: httpapi.Doc{
			ID: "eraseSession", Tag: "reading", Summary: "Erase a session",
			Text: "Removes its events and rejections from the store and the queue; neither a retry nor a rebuild brings them back. Backups taken before still hold them; `eye restore --tombstones` leaves them out. " +
				"Events sent later with a time before the erasure are answered as accepted but not kept; later events of the session are stored. " +
				"The server answers when everything is removed, which may take minutes; it finishes even if the client does not wait.",
			Params: []httpapi.Param{httpapi.PathID("the session id"), httpapi.AppParam(), {Name: "quarantine",
				Text: "1: also delete all quarantined files, whatever they hold"}},
			Answers: []httpapi.Answer{httpapi.JSON[ErasureAnswer](200, "erased")}, Errors: []int{400, 404, 503}}},
		{Method: "DELETE", Path: "/v1/sessions", Access: httpapi.ForAdmin, Handle: h.eraseExactly, Doc: httpapi.Doc{
			ID: "eraseSessionExactly", Tag: "reading", Summary: "Erase a session from one application",
			Text:    "Like DELETE /v1/sessions/{id}, for clients that cannot send every id in a path: browsers resolve `.` and `..`. All three parameters are required, each once.",
			Params:  []httpapi.Param{{Name: "session_id", Required: true, Text: "the session id"}, httpapi.ExactParam(true), {Name: "app", Required: true, Text: "the application"}},
			Answers: []httpapi.Answer{httpapi.JSON[ErasureAnswer](200, "erased")}, Errors: []int{400, 404, 503}}},
	}
}

// Erasure is the result of an erasure.
type Erasure struct {
	ErasedAt   event.Micros
	Apps       []ErasedApp
	Unsearched []PutAside
	// Sessionless counts the rejections without a session, which the erasure of a session does
	// not search; nil when they could not be counted.
	Sessionless *int64
}

// PutAside describes quarantined files in one place, which an erasure does not search.
type PutAside struct {
	Where string `json:"where" enum:"store/quarantine,queue/quarantine,replays" doc:"the folder in the data directory"`
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
}

// ErasureAnswer reports an erasure.
type ErasureAnswer struct {
	SessionID  string      `json:"session_id"`
	ErasedAt   string      `json:"erased_at" format:"date-time"`
	Apps       []ErasedApp `json:"apps"`
	Unsearched []PutAside  `json:"unsearched" doc:"where quarantined files are, which are damaged or not named by a manifest; quarantine=1 deletes them"`
	Deleted    []PutAside  `json:"deleted,omitempty" doc:"with quarantine=1, the files that were deleted"`

	Sessionless *int64 `json:"rejections_without_session,omitempty" doc:"rejections that remain because no session could be read from them, although they may contain its id; absent if they could not be counted"`
}

// ErasedApp is what was removed from one application. What the store had not yet read from the
// queue is erased too, but not counted.
type ErasedApp struct {
	App        string `json:"app"`
	Events     int64  `json:"events"`
	Rejections int64  `json:"rejections"`
}

func (h *Handlers) eraseSession(c *httpapi.Call) error {
	if err := h.opts.CaughtUp(); err != nil {
		return httpapi.Unavailable(err.Error())
	}
	quarantine := c.URL.Query().Get("quarantine")
	if quarantine != "" && quarantine != "1" {
		return httpapi.NewProblem(http.StatusBadRequest, "quarantine must be 1 or omitted")
	}
	session := c.PathValue("id")
	if session == "" || utf8.RuneCountInString(session) > event.MaxTextCodePoints {
		return httpapi.Problemf(http.StatusBadRequest, "a session id has 1 to %d characters", event.MaxTextCodePoints)
	}
	apps := c.URL.Query()["app"]
	if err := c.CheckApps(apps); err != nil {
		return err
	}
	return h.answerErasure(c, session, apps, quarantine == "1")
}

// eraseExactly erases the session that the query names.
func (h *Handlers) eraseExactly(c *httpapi.Call) error {
	values := c.URL.Query()
	p := c.Params()
	for _, name := range []string{"session_id", httpapi.Exact, "app"} {
		if !values.Has(name) {
			p.Fail(name, "is required: give session_id, exact=1 and app")
		}
	}
	if p.Err == nil && p.Text(httpapi.Exact) != "1" {
		p.Fail(httpapi.Exact, "must be 1")
	}
	if p.Err == nil && utf8.RuneCountInString(p.Text("session_id")) > event.MaxTextCodePoints {
		p.Fail("session_id", fmt.Sprintf("has more than %d code points", event.MaxTextCodePoints))
	}
	if p.Err != nil {
		return p.Err
	}
	if err := h.opts.CaughtUp(); err != nil {
		return httpapi.Unavailable(err.Error())
	}
	apps := []string{p.Text("app")}
	if err := c.CheckApps(apps); err != nil {
		return err
	}
	return h.answerErasure(c, p.Text("session_id"), apps, false)
}

// answerErasure erases a session and answers with what was erased.
func (h *Handlers) answerErasure(c *httpapi.Call, session string, apps []string, quarantine bool) error {
	// The erasure is finished even if the caller goes away.
	ctx, release := c.Outlive()
	defer release()
	done, err := h.opts.Eraser.EraseSession(ctx, apps, session)
	if err != nil {
		return err
	}
	var deleted []PutAside
	if quarantine { // last, so that what was deleted is reported by a successful answer
		if deleted, err = h.opts.Eraser.EmptyQuarantine(ctx); err != nil {
			return err
		}
		done.Unsearched = nil
		c.ForgetReadiness() // it may advise looking at files that are gone
	}
	if done.Apps == nil {
		done.Apps = []ErasedApp{}
	}
	if done.Unsearched == nil {
		done.Unsearched = []PutAside{}
	}
	return c.WriteJSON(http.StatusOK, ErasureAnswer{session, done.ErasedAt.String(), done.Apps, done.Unsearched, deleted, done.Sessionless})
}
