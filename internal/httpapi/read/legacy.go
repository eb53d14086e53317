package read

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/event"
	"theeye/internal/httpapi"
	"theeye/internal/query"
	"theeye/internal/store"
)

func (h *Handlers) legacyRoutes() []httpapi.Route {
	return []httpapi.Route{httpapi.LegacyRoute(http.MethodGet, h.opts.LegacyApp, h.legacyList, httpapi.Doc{
		ID: "legacyList", Summary: "List events, in the format of the service that The Eye replaces",
		Params: []httpapi.Param{
			{Name: "filter", Text: "`session_id,<id>`, `category,<category>` or `time`"},
			{Name: "init_time", Text: "with filter=time, inclusive; also in a JSON body"},
			{Name: "end_time", Text: "with filter=time, inclusive; also in a JSON body"},
		},
		Answers: []httpapi.Answer{httpapi.JSON[LegacyEvents](200, "the events by time")},
		Errors:  []int{404, 503},
	})}
}

// LegacyEvents is a list of events in the format of the legacy routes.
type LegacyEvents struct {
	Events []LegacyEvent `json:"events"`
}

// LegacyEvent is an event in the format of the legacy routes.
type LegacyEvent struct {
	SessionID string         `json:"session_id"`
	Category  string         `json:"category"`
	Name      string         `json:"name"`
	Data      jsontext.Value `json:"data"`
	Timestamp string         `json:"timestamp"`
}

func (h *Handlers) legacyList(c *httpapi.Call) error {
	if err := h.opts.CaughtUp(); err != nil {
		return httpapi.Unavailable(err.Error())
	}
	q, err := legacyQuery(c)
	if err != nil {
		return err
	}
	q.Apps, q.Limit = []string{h.opts.LegacyApp}, query.MaxLimit
	memory, err := c.ReserveRead() // for one page; the list is sent page by page
	if err != nil {
		return err
	}
	defer memory.Release()
	page, err := h.legacyPage(c.Context(), q)
	if err != nil {
		return err
	}
	c.Writer().Header().Set("Content-Type", "application/json")
	w := bufio.NewWriterSize(c.Writer(), httpapi.AnswerBuffer)
	_, _ = w.WriteString(`{"events":[`) // w keeps an error
	for separator := ""; ; {
		for i := range page.Items {
			_, _ = w.WriteString(separator)
			if err := json.MarshalWrite(w, toLegacyEvent(&page.Items[i]), jsontext.PreserveRawStrings(true)); err != nil {
				return c.Tear(w, err)
			}
			separator = ","
		}
		if !page.More {
			break
		}
		after := httpapi.CursorAfter(page, query.AfterEvent, q.Descending)
		q.After, q.Horizon = &after, page.Horizon
		if page, err = h.legacyPage(c.Context(), q); err != nil {
			return c.Tear(w, err)
		}
	}
	_, _ = w.WriteString("]}\n")
	_ = w.Flush() // a caller that is gone needs no error
	return nil
}

func (h *Handlers) legacyPage(ctx context.Context, q query.Query) (store.Page[event.Event], error) {
	if app, ok := h.opts.Registry.App(h.opts.LegacyApp); !ok || app.ErasingSince != nil {
		return store.Page[event.Event]{}, httpapi.Problemf(http.StatusNotFound, "the application %q no longer exists", h.opts.LegacyApp)
	}
	ctx, cancel := context.WithTimeout(ctx, readDeadline)
	defer cancel()
	return h.opts.Reader.Events(ctx, q)
}

func toLegacyEvent(e *event.Event) LegacyEvent {
	return LegacyEvent{e.SessionID, e.Category, e.Name, e.Data, e.OccurredAt.Time().Format("2006-01-02 15:04:05.000000")}
}

func legacyQuery(c *httpapi.Call) (query.Query, error) {
	filter, value, has := strings.Cut(c.URL.Query().Get("filter"), ",")
	switch {
	case query.NotText(value):
		return query.Query{}, httpapi.NewProblem(http.StatusBadRequest, "filter must be UTF-8 without NUL characters")
	case filter == "session_id" && has:
		return query.Query{SessionIDs: []string{value}}, nil
	case filter == "category" && has:
		return query.Query{Categories: []string{value}}, nil
	case filter == "time" && !has:
		return legacyTimes(c)
	}
	return query.Query{}, httpapi.NewProblem(http.StatusBadRequest, "filter must be session_id,<id>, category,<category> or time")
}

func legacyTimes(c *httpapi.Call) (query.Query, error) {
	given, values := map[string]jsontext.Value{}, c.URL.Query()
	if !values.Has("init_time") || !values.Has("end_time") {
		err := json.UnmarshalRead(io.LimitReader(c.Body, 4<<10), &given)
		if err != nil && !errors.Is(err, io.EOF) {
			return query.Query{}, httpapi.NewProblem(http.StatusBadRequest, `the body must be {"init_time":…,"end_time":…}`)
		}
	}
	var bounds [2]event.Micros
	for i, name := range []string{"init_time", "end_time"} {
		text := values.Get(name)
		switch v := given[name]; v.Kind() {
		case '"':
			if err := json.Unmarshal(v, &text); err != nil {
				return query.Query{}, httpapi.Problemf(http.StatusBadRequest, "%s cannot be read: %s", name, err)
			}
		case '0':
			text = string(v) // without loss
		case 't', 'f', '{', '[':
			return query.Query{}, httpapi.Problemf(http.StatusBadRequest, "%s must be a time, not %.40s", name, v)
		}
		if text == "" {
			return query.Query{}, httpapi.Problemf(http.StatusBadRequest, "%s is missing", name)
		}
		at, err := query.ParseTime(text, time.UTC)
		if err != nil {
			return query.Query{}, httpapi.Problemf(http.StatusBadRequest, "%s: %s", name, err)
		}
		bounds[i] = at
	}
	bounds[1]++ // inclusive
	if bounds[0] > bounds[1] {
		return query.Query{}, httpapi.NewProblem(http.StatusBadRequest, "init_time is after end_time")
	}
	return query.Query{From: &bounds[0], To: &bounds[1]}, nil
}
