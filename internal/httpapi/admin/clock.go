package admin

import (
	"net/http"

	"theeye/internal/httpapi"
)

func (h *Handlers) clockRoutes() []httpapi.Route {
	return []httpapi.Route{
		{Method: "POST", Path: "/v1/store/accept-clock", Access: httpapi.ForAdmin, Handle: h.acceptClock, Doc: httpapi.Doc{
			ID: "acceptClock", Tag: "operation", Summary: "Accept the system clock for retention",
			Text:    "Retention uses a clock of its own, which advances while the server runs. While the system clock is more than 24 hours ahead of it, nothing expires, and /readyz reports that; after the server has run for 24 hours, it accepts the system clock. This request accepts it at once, even if it is behind. Events older than their application's retention then expire within about ten seconds: check the time first.",
			Answers: []httpapi.Answer{httpapi.JSON[ClockAnswer](200, "both times")}, Errors: []int{404, 503}}},
	}
}

// ClockAnswer says how the clock of retention was set.
type ClockAnswer struct {
	Before string `json:"before,omitzero" format:"date-time" doc:"the retention clock until now; absent if it is unknown because its file was damaged"`
	After  string `json:"after" format:"date-time" doc:"the system clock"`
}

func (h *Handlers) acceptClock(c *httpapi.Call) error {
	if h.opts.AcceptClock == nil {
		return httpapi.NewProblem(http.StatusNotFound, "this server does not keep its events itself: the store decides about retention")
	}
	change, err := h.opts.AcceptClock()
	if err != nil {
		h.log.Error("the clock of retention could not be set", "error", err)
		return httpapi.Unavailable("the time could not be written to disk, so retention's clock is unchanged; try again")
	}
	c.ForgetReadiness()
	a := ClockAnswer{After: httpapi.FormatTime(change.After)}
	if !change.Before.IsZero() {
		a.Before = httpapi.FormatTime(change.Before)
		c.Note("before", a.Before)
	}
	c.Note("after", a.After)
	return c.WriteJSON(http.StatusOK, a)
}
