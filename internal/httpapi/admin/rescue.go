package admin

import (
	"errors"
	"io/fs"
	"net/http"
	"reflect"

	"theeye/internal/httpapi"
	"theeye/internal/queue"
)

func (h *Handlers) rescueRoutes() []httpapi.Route {
	return []httpapi.Route{
		{Method: "POST", Path: "/v1/store/rescue", Access: httpapi.ForAdmin, Handle: h.rescue, Doc: httpapi.Doc{
			ID: "rescue", Tag: "operation", Summary: "Bring lost events back from a file of the queue's quarantine",
			Text: "After a stop that was not in order, blocks of the queue that do not verify are copied to queue/quarantine before they are opened. This takes every frame out of such a copy " +
				"whose own checksum is right, and sends the records that are not there in again. `lost` in the books is lowered by what is there again. " +
				"What was erased meanwhile, and what would have expired, stays away. It may be repeated: what is there already is not sent.",
			Body:    reflect.TypeFor[RescueRequest](),
			Answers: []httpapi.Answer{httpapi.JSON[RescueAnswer](200, "what was found")}, Errors: []int{400, 404, 413, 422, 503}}},
	}
}

// RescueRequest names a file.
type RescueRequest struct {
	File string `json:"file" doc:"the name of a file in queue/quarantine, without a folder"`
}

// RescueAnswer says what was found in a file.
type RescueAnswer struct {
	File    string `json:"file"`
	Frames  int    `json:"frames" doc:"frames whose checksum is right"`
	Damaged int    `json:"damaged" doc:"places that held a frame, or several, which cannot be read"`
	There   int    `json:"there" doc:"records that are there already"`
	Erased  int    `json:"erased" doc:"records of what was erased meanwhile; they were not sent"`
	Expired int    `json:"expired" doc:"records older than their application keeps them; they were not sent"`
	Sent    int    `json:"sent" doc:"records that were sent in again"`

	Stored    int `json:"stored" doc:"events of those sent that are stored now"`
	Rejected  int `json:"rejected" doc:"of those sent"`
	Duplicate int `json:"duplicate" doc:"of those sent: the sender repeated them since"`
}

func (h *Handlers) rescue(c *httpapi.Call) error {
	if h.opts.Recovery == nil {
		return httpapi.NewProblem(http.StatusNotFound, "this server keeps its events elsewhere: there is no quarantine")
	}
	if err := h.opts.CaughtUp(); err != nil {
		return httpapi.Unavailable(err.Error())
	}
	var body RescueRequest
	if err := c.ReadJSON(&body); err != nil {
		return err
	}
	// It continues even if the caller goes away: what was sent is sent.
	ctx, release := c.Outlive()
	defer release()
	done, err := h.opts.Recovery.Rescue(ctx, body.File)
	if errors.Is(err, fs.ErrNotExist) {
		return httpapi.Problemf(http.StatusNotFound, "there is no file %.200q in queue/quarantine", body.File)
	}
	c.Note("file", httpapi.Redact(body.File))
	switch {
	case errors.Is(err, queue.ErrNoFrames), errors.Is(err, queue.ErrNewer):
		return httpapi.NewProblem(http.StatusUnprocessableEntity, err.Error())
	case err != nil:
		return err
	}
	c.Note("sent", done.Sent)
	return c.WriteJSON(http.StatusOK, done)
}
