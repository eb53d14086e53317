package httpapi

import (
	"net/http"
	"unicode/utf8"

	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// RejectionsAnswer is a page of rejections.
type RejectionsAnswer struct {
	Rejections []Rejection `json:"rejections"`
	Searched
}

func viewRejection(r *event.Rejection) Rejection {
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
	return v
}

func (s *Server) listRejections(c *call) error {
	r, err := s.read(c, query.Rejections, query.OrderParam, query.LimitParam, query.CursorParam)
	if err != nil {
		return err
	}
	defer r.cancel()
	if err := r.resume(); err != nil {
		return err
	}
	page, err := s.opts.Reader.Rejections(r.ctx, r.Query)
	if err != nil {
		return err
	}
	a := RejectionsAnswer{Rejections: viewAll(page.Items, viewRejection)}
	a.NextCursor, a.SearchedTo = next(&r, page, query.AfterRejection)
	return writeJSON(c.w, http.StatusOK, a)
}

func (s *Server) getRejection(c *call) error {
	r, err := s.readOne(c, query.Rejections)
	if err != nil {
		return err
	}
	defer r.cancel()
	id, ok := event.ParseUUID(c.PathValue("id"))
	if !ok {
		return problem(http.StatusBadRequest, "the id of a rejection is a UUID; rejections of an event are at /v1/rejections?event_id=…")
	}
	r.IDs, r.Limit = []uuid.UUID{id}, 1
	page, err := s.opts.Reader.Rejections(r.ctx, r.Query)
	if err != nil {
		return err
	}
	if page.SearchedTo != nil {
		return errSearched
	}
	if len(page.Items) == 0 {
		return problem(http.StatusNotFound, "there is no such rejection")
	}
	return writeJSON(c.w, http.StatusOK, viewRejection(&page.Items[0]))
}

// SummaryAnswer groups rejections as a person would.
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
}

func (s *Server) summarize(c *call) error {
	r, err := s.read(c, query.Rejections, query.LimitParam)
	if err != nil {
		return err
	}
	defer r.cancel()
	groups, err := s.opts.Reader.RejectionSummary(r.ctx, r.Query)
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, SummaryAnswer{viewAll(groups, func(g *store.RejectionGroup) RejectionGroup {
		return RejectionGroup{g.App, g.Category, g.Name, g.Code, g.Pointer, g.Count, g.FirstSeen.String(), g.LastSeen.String(), g.Example}
	})})
}
