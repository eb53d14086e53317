package read

import (
	"net/http"
	"slices"

	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/httpapi"
	"theeye/internal/query"
	"theeye/internal/store"
)

// EventsAnswer is a page of events.
type EventsAnswer struct {
	Events []Event `json:"events"`
	Searched
}

func (h *Handlers) listEvents(c *httpapi.Call) error {
	r, err := h.read(c, query.Events, query.OrderParam, query.LimitParam, query.CursorParam)
	if err != nil {
		return err
	}
	defer r.cancel()
	if err := r.applyCursor(); err != nil {
		return err
	}
	page, err := h.opts.Reader.Events(r.ctx, r.Query)
	if err != nil {
		return err
	}
	return c.StreamJSON(h.eventsAnswer(&r, page))
}

func (h *Handlers) eventsAnswer(r *readRequest, page store.Page[event.Event]) EventsAnswer {
	httpapi.KeepPage(r.memory, page.Items, (*event.Event).Size)
	a := EventsAnswer{Events: httpapi.MapSlice(page.Items, toEvent)}
	a.NextCursor, a.SearchedTo = nextCursor(r, page, query.AfterEvent)
	return a
}

// EventAnswer is one event.
type EventAnswer struct {
	Event
	AlsoID *uuid.UUID `json:"also_id,omitzero" doc:"of another event of the application with the same client_id; one of the two was sent by a web page, with a key restricted to origins"`
	AlsoIn []string   `json:"also_in,omitempty" doc:"other applications that have used this id, sorted, at most 100; choose one with app"`
}

func (h *Handlers) getEvent(c *httpapi.Call) error {
	r, err := h.read(c, query.Events)
	if err != nil {
		return err
	}
	defer r.cancel()
	list := httpapi.Candidates(h.opts.Registry, r.Apps, c.PathValue("id"))
	r.IDs, r.Limit = httpapi.IDsOf(list), query.MaxLimit
	page, err := h.opts.Reader.Events(r.ctx, r.Query)
	var others []string
	if err == nil && len(page.Items) > 0 && len(r.Apps) != 1 {
		others, err = h.usedIn(&r)
	}
	for _, app := range h.opts.Registry.Apps() {
		if err != nil || !page.More || r.Apps != nil {
			break
		}
		q := r.Query // then one application at a time
		q.Apps = []string{app.Name}
		if first, e := h.opts.Reader.Events(r.ctx, q); e != nil || len(first.Items) > 0 {
			page, err = first, e
			page.More = false
		}
	}
	if err != nil {
		return err
	}
	if page.SearchedTo != nil {
		return errSearched
	}
	if len(page.Items) == 0 {
		return httpapi.NewProblem(http.StatusNotFound, "no stored event has this id; GET /v1/receipts/{id} shows its history")
	}
	var found []httpapi.Candidate
	for i := range page.Items {
		found = append(found, httpapi.Candidate{App: page.Items[i].App, ID: page.Items[i].ID})
	}
	one, also := meant(list, found)
	first := slices.Index(found, one)
	httpapi.KeepPage(r.memory, page.Items[first:first+1], (*event.Event).Size)
	return c.WriteJSON(http.StatusOK, EventAnswer{toEvent(&page.Items[first]), also, alsoIn(one.App, found, others...)})
}

// CountAnswer is a count.
type CountAnswer struct {
	Count int64 `json:"count"`
}

func (h *Handlers) count(c *httpapi.Call) error {
	r, err := h.read(c, query.Events)
	if err != nil {
		return err
	}
	defer r.cancel()
	n, err := h.opts.Reader.Count(r.ctx, r.Query)
	if err != nil {
		return err
	}
	return c.WriteJSON(http.StatusOK, CountAnswer{n})
}
