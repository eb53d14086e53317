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
			ID: "listAudit", Tag: "operation", Summary: "What was administered, by whom and when",
			Text: "Each request that takes an admin key and is no GET gives an entry, also one that was refused for what it asked; so does each export and each backup " +
				"of an admin key, and what the server does by itself at a start. That an act begins is on disk before it is made, and how it ended before it is answered. " +
				"What changed nothing has 100 entries for each key and day (UTC); what is beyond is summed up in one, `refusedActs` or `repeatedActs`, and requests outside the intake whose key was refused in `refusedKeys`. " +
				"Entries are listed as they ended, the last first, so that one that has only begun stands where it began. " +
				"The trail holds 32 MiB; then the oldest entries are given up, which the last page tells.",
			Params: []httpapi.Param{
				{Name: "app", Text: "about this application, which may be gone"},
				{Name: "act", Text: "of this kind: the operation's id in this document, or what the server does by itself; another one is refused with the names of all"},
				{Name: "key_id", Text: "by this key; `server` for what no key was used for"},
				{Name: "from", Text: "inclusive, of `at`; a time as in the intake; a date alone is its first moment"},
				{Name: "to", Text: "exclusive, of `at`"},
				httpapi.TimeZoneParam(),
				httpapi.LimitParam(), httpapi.CursorParam(),
			},
			Answers: []httpapi.Answer{httpapi.JSON[AuditAnswer](200, "the last first")}, Errors: []int{400, 503}}},
	}
}

// AuditAnswer is a page of the trail.
type AuditAnswer struct {
	Entries []AuditEntry `json:"entries"`
	Dropped bool         `json:"dropped,omitzero" doc:"on the last page: there were older entries, which were given up for want of room"`
	httpapi.Next
}

// AuditEntry is one administrative act.
type AuditEntry struct {
	ID      uuid.UUID                 `json:"id"`
	At      string                    `json:"at" format:"date-time" doc:"when it began"`
	KeyID   string                    `json:"key_id" doc:"who; server for what no key was used for"`
	Act     string                    `json:"act" doc:"the operation's id in this document, or what the server did by itself"`
	App     *string                   `json:"app" doc:"the application that it is about"`
	Subject map[string]string         `json:"subject" doc:"what else the path named; not the session that was erased"`
	Detail  map[string]jsontext.Value `json:"detail" doc:"what was changed; never a secret"`
	Outcome registry.Outcome          `json:"outcome" enum:"begun,done,refused,failed" doc:"begun: it is being made, or the server ended in the middle and it may have been made or not"`
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
		p.Fail("act", "is not an act of the audit trail; these are: "+strings.Join(acts, ", "))
	}
	p.Zone() // a wrong zone is an error even if no time needs it
	if p.Err != nil {
		return p.Err
	}
	page, err := h.opts.Registry.AuditLog().Page(c.Context(), q)
	if err != nil {
		return err
	}
	if len(page.Entries) == 0 && q.App != "" {
		if err := h.namedInTrail(c, q.App); err != nil {
			return err
		}
	}
	a := AuditAnswer{Entries: httpapi.MapSlice(page.Entries, toEntry), Dropped: page.Dropped}
	a.SetNext(page.Next)
	return c.StreamJSON(a)
}

// namedInTrail refuses the name of an application that does not exist, unless an entry names it,
// as it does for one that was deleted.
func (h *Handlers) namedInTrail(c *httpapi.Call, app string) error {
	unknown := c.CheckApps([]string{app})
	if unknown == nil {
		return nil
	}
	page, err := h.opts.Registry.AuditLog().Page(c.Context(), registry.AuditQuery{App: app, Limit: 1})
	if err != nil {
		return err
	}
	if len(page.Entries) == 0 && page.Next == 0 { // otherwise the trail was not searched to its end
		return unknown
	}
	return nil
}
