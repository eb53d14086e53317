package admin

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"theeye/internal/httpapi"
	"theeye/internal/registry"
)

func (h *Handlers) auditRoutes() []httpapi.Route {
	return []httpapi.Route{
		{Method: "GET", Path: "/v1/audit", Access: httpapi.ForAdmin, Handle: h.listAudit, Doc: httpapi.Doc{
			ID: "listAudit", Tag: "operation", Summary: "List administrative actions: what was changed, by whom and when",
			Text: "Each request that requires an admin key and is not a GET has an entry, even if it was refused for its content; so does each export and each backup " +
				"with an admin key, and what the server does by itself at startup. The start of an action is on disk before the action begins, and its outcome before the answer. " +
				"Requests that change nothing have up to 100 entries for each key and day (UTC); further ones are summarized in one entry, `refusedActs` or `repeatedActs`. Requests outside the intake whose key was refused are summarized in `refusedKeys`. " +
				"Entries are listed in the order in which they ended, newest first; an unfinished one is listed where it began. " +
				"The log holds 32 MiB; beyond that the oldest entries are dropped, which the last page reports.",
			Params: []httpapi.Param{
				{Name: "app", Text: "about this application, which may have been deleted"},
				{Name: "act", Text: "of this kind: an operation id of this document, or an action of the server itself; an unknown kind is refused with a list of all"},
				{Name: "key_id", Text: "by this key; `server` for actions without a key"},
				{Name: "from", Text: "start (inclusive) of `at`; a time as in the intake; a date alone means its first moment"},
				{Name: "to", Text: "end (exclusive) of `at`"},
				httpapi.TimeZoneParam(),
				httpapi.LimitParam(), httpapi.CursorParam(),
			},
			Answers: []httpapi.Answer{httpapi.JSON[AuditAnswer](200, "newest first")}, Errors: []int{400, 503}}},
	}
}

// AuditAnswer is a page of the log.
type AuditAnswer struct {
	Entries []AuditEntry `json:"entries"`
	Dropped bool         `json:"dropped,omitzero" doc:"on the last page: older entries were dropped to make room"`
	httpapi.Next
}

// AuditEntry is one administrative act.
type AuditEntry struct {
	ID      uuid.UUID                 `json:"id"`
	At      string                    `json:"at" format:"date-time" doc:"when it began"`
	KeyID   string                    `json:"key_id" doc:"the key that was used; server for actions without a key"`
	Act     string                    `json:"act" doc:"an operation id of this document, or an action of the server itself"`
	App     *string                   `json:"app" doc:"the application concerned"`
	Subject map[string]string         `json:"subject" doc:"the other parameters of the path, except the id of an erased session"`
	Detail  map[string]jsontext.Value `json:"detail" doc:"what was changed; never a secret"`
	Outcome registry.Outcome          `json:"outcome" enum:"begun,done,refused,failed" doc:"begun: it is under way, or the server stopped before the end and it may or may not have been done"`
	Status  *int                      `json:"status" doc:"of the answer"`
	Remote  *string                   `json:"remote" doc:"the caller's address; local for the socket in the data directory"`
}

func toEntry(e *registry.Entry) AuditEntry {
	v := AuditEntry{
		ID: e.ID, At: httpapi.FormatTime(e.At), KeyID: e.KeyID, Act: e.Act, App: httpapi.TextOrNull(e.App),
		Subject: e.Subject, Detail: e.Detail, Outcome: e.Outcome, Remote: httpapi.TextOrNull(e.Remote),
	}
	if v.Subject == nil {
		v.Subject = map[string]string{}
	}
	if v.Detail == nil {
		v.Detail = map[string]jsontext.Value{}
	}
	if e.Status != 0 {
		v.Status = &e.Status
	}
	return v
}

func (h *Handlers) listAudit(c *httpapi.Call) error {
	p := c.Params()
	q := registry.AuditQuery{
		App: p.Text("app"), Act: p.Text("act"), KeyID: p.Text("key_id"),
		From: p.Time("from"), To: p.Time("to"), Limit: p.Limit(), Before: p.Cursor(),
	}
	if acts := c.AuditActs(); q.Act != "" && !slices.Contains(acts, q.Act) {
		p.Fail("act", "is not an action of the audit log; use one of "+strings.Join(acts, ", "))
	}
	p.Zone() // an invalid zone is an error even if no time needs it
	if p.Err != nil {
		return p.Err
	}
	page, err := h.opts.Registry.AuditLog().Page(c.Context(), q)
	if err != nil {
		return err
	}
	if len(page.Entries) == 0 && q.App != "" {
		if err := h.checkAuditedApp(c, q.App); err != nil {
			return err
		}
	}
	a := AuditAnswer{Entries: httpapi.MapSlice(page.Entries, toEntry), Dropped: page.Dropped}
	a.SetNext(page.Next)
	return c.StreamJSON(a)
}

// checkAuditedApp refuses the name of an application that does not exist, unless an entry names it,
// as it does for one that was deleted.
func (h *Handlers) checkAuditedApp(c *httpapi.Call, app string) error {
	unknown := c.CheckApps([]string{app})
	if unknown == nil {
		return nil
	}
	page, err := h.opts.Registry.AuditLog().Page(c.Context(), registry.AuditQuery{App: app, Limit: 1})
	if err != nil {
		return err
	}
	if len(page.Entries) == 0 && page.Next == 0 { // otherwise the log was not searched to its end
		return unknown
	}
	return nil
}
