package admin

import (
	"net/http"

	"theeye/internal/httpapi"
)

func (h *Handlers) recoveryRoutes() []httpapi.Route {
	return []httpapi.Route{
		{Method: "POST", Path: "/v1/store/acknowledge", Access: httpapi.ForAdmin, Handle: h.acknowledge, Doc: httpapi.Doc{
			ID: "acknowledgeLosses", Tag: "operation", Summary: "Acknowledge lost events and damaged or lost files that /readyz reports",
			Text:    "/readyz no longer reports them. The books and the metrics keep the counts.",
			Answers: []httpapi.Answer{httpapi.JSON[AcknowledgedAnswer](200, "what was acknowledged")}, Errors: []int{404, 503}}},
		{Method: "POST", Path: "/v1/store/readmit", Access: httpapi.ForAdmin, Handle: h.readmit, Doc: httpapi.Doc{
			ID: "readmitSegments", Tag: "operation", Summary: "Readmit damaged segments whose files have been replaced",
			Text: "Reads all segments and quarantines damaged ones. A file in store/quarantine or store/segments that matches the manifest is readmitted, and so are segments whose frames the queue still holds. " +
				"Their events are decided on as if they arrived now: none is stored twice, and none comes back that was erased or has expired. `lost` in the books decreases accordingly.",
			Answers: []httpapi.Answer{httpapi.JSON[ReadmittedAnswer](200, "what was readmitted, and what is still damaged")}, Errors: []int{404, 503}}},
	}
}

// AcknowledgedAnswer lists the reasons that were acknowledged.
type AcknowledgedAnswer struct {
	Acknowledged []string `json:"acknowledged"`
}

// ReadmittedAnswer says which damaged segments are back.
type ReadmittedAnswer struct {
	Readmitted []ReadmittedSegment `json:"readmitted"`
	Damaged    []string            `json:"damaged" doc:"what is still damaged and why, in words"`
	Unnamed    []string            `json:"unnamed" doc:"files in store/quarantine that belong to no damaged segment; they are left alone"`
}

// ReadmittedSegment is a segment that was taken back.
type ReadmittedSegment struct {
	Segment    string `json:"segment"`
	Events     int64  `json:"events"`
	Rejections int64  `json:"rejections"`
}

func (h *Handlers) acknowledge(c *httpapi.Call) error {
	if h.opts.Recovery == nil {
		return httpapi.NewProblem(http.StatusNotFound, "this server does not keep its events itself")
	}
	list, err := h.opts.Recovery.Acknowledge(c.Context())
	if err != nil {
		h.log.Error("what was acknowledged could not be written", "error", err)
		return httpapi.Unavailable("this could not be written to disk; try again")
	}
	if list == nil {
		list = []string{}
	}
	c.ForgetReadiness()
	c.Note("acknowledged", list)
	return c.WriteJSON(http.StatusOK, AcknowledgedAnswer{list})
}

func (h *Handlers) readmit(c *httpapi.Call) error {
	if h.opts.Recovery == nil {
		return httpapi.NewProblem(http.StatusNotFound, "this server does not keep its events itself")
	}
	ctx, release := c.Outlive()
	defer release()
	answer, err := h.opts.Recovery.Readmit(ctx)
	if err != nil {
		return err
	}
	c.ForgetReadiness()
	c.Note("readmitted", len(answer.Readmitted))
	return c.WriteJSON(http.StatusOK, answer)
}
