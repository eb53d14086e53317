package intake

import (
	"net/http"
	"reflect"
	"strings"

	"theeye/internal/event"
	"theeye/internal/httpapi"
)

// The legacy routes, of --legacy-app, serve callers of the service that The Eye replaces: one path,
// /event/, without keys, which saves one event at a time and lists it immediately.
func (h *Handlers) legacyRoutes() []httpapi.Route {
	save := httpapi.LegacyRoute(http.MethodPost, h.opts.LegacyApp, h.legacySave, httpapi.Doc{
		ID: "legacySave", Summary: "Save an event, in the format of the service that The Eye replaces",
		Body:    reflect.TypeFor[SentEvent](),
		Answers: []httpapi.Answer{httpapi.JSON[httpapi.LegacyMessage](201, "saved")},
		Errors:  []int{403, 408, 413, 415, 429, 503},
	})
	save.Refused = func(c *httpapi.Call, err error) { h.noteTurnedAwayOf(c, err, h.opts.LegacyApp) }
	return []httpapi.Route{save}
}

func (h *Handlers) legacySave(c *httpapi.Call) error {
	receipt, err := h.collect(c, h.opts.LegacyApp, "")
	if err != nil {
		return err
	}
	if err := h.awaitOutcomes(c.Context(), &receipt); err != nil { // callers expect that a saved event is listed immediately
		return err
	}
	if problems := receipt.Items[0].Problems; len(problems) > 0 {
		return c.WriteJSON(http.StatusBadRequest, httpapi.LegacyMessage{Message: legacyMessage(problems)})
	}
	return c.WriteJSON(http.StatusCreated, httpapi.LegacyMessage{Message: "Event has been Saved!"})
}

// legacyMessage names the first missing field in the order in which the replaced service checked them,
// or else the first problem.
func legacyMessage(problems []event.Problem) any {
	for _, field := range []string{"session_id", "category", "name", "data", "timestamp"} {
		for _, p := range problems {
			if p.Pointer == "/"+field && (p.Code == event.MissingField || p.Code == event.TimestampMissing) {
				return map[string]string{field: p.Message}
			}
		}
	}
	p := problems[0]
	if p.Pointer == "" {
		return p.Message
	}
	return strings.TrimPrefix(p.Pointer, "/") + ": " + p.Message
}
