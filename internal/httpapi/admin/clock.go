package admin

import (
	"net/http"

	"theeye/internal/httpapi"
)

func (h *Handlers) clockRoutes() []httpapi.Route {
	return []httpapi.Route{
		{Method: "POST", Path: "/v1/store/accept-clock", Access: httpapi.ForAdmin, Handle: h.acceptClock, Doc: httpapi.Doc{
			ID: "acceptClock", Tag: "operation", Summary: "Let retention go by the system's clock from now on",
			Text: "Retention has a clock of its own, which advances while the server runs. While the system's clock is more than 24 hours ahead of it nothing expires, and /readyz " +
				"says so; after 24 hours of running the system's clock is believed. This believes it at once, also when it is behind. " +
				"What is older than its application's retention then expires within about ten seconds: look at the time first.",
			Answers: []httpapi.Answer{httpapi.JSON[ClockAnswer](200, "both times")}, Errors: []int{404, 503}}},
	}
}

// ClockAnswer says how retention's clock was set.
type ClockAnswer struct {
	Before string `json:"before,omitzero" format:"date-time" doc:"what retention went by; absent when that is not known, because its file was damaged"`
	After  string `json:"after" format:"date-time" doc:"the system's clock"`
}

func (h *Handlers) acceptClock(c *httpapi.Call) error {
	if h.opts.AcceptClock == nil {
		return httpapi.NewProblem(http.StatusNotFound, "this server keeps its events elsewhere: retention is up to that")
	}
	change, err := h.opts.AcceptClock()
	if err != nil {
		h.log.Error("retention's clock could not be set", "error", err)
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
