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
			ID: "rescue", Tag: "operation", Summary: "Recover lost events from a file in the queue's quarantine",
			Text: "After an unclean shutdown, blocks of the queue that fail verification are copied to queue/quarantine before they are opened. This request reads every frame in such a copy " +
				"that has a valid checksum, and takes in the records that are missing. `lost` in the books decreases accordingly. " +
				"Records that were erased meanwhile or would have expired stay out. The request can be repeated: existing records are not taken in again.",
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
	Frames  int    `json:"frames" doc:"frames with a valid checksum"`
	Damaged int    `json:"damaged" doc:"places that held one or more frames that cannot be read"`
	There   int    `json:"there" doc:"records that exist already"`
	Erased  int    `json:"erased" doc:"records of data erased meanwhile; they were not taken in"`
	Expired int    `json:"expired" doc:"records older than their application's retention; they were not taken in"`
	Sent    int    `json:"sent" doc:"records that were taken in again"`

	Stored    int `json:"stored" doc:"of the records taken in, events that are stored now"`
	Rejected  int `json:"rejected" doc:"of the records taken in"`
	Duplicate int `json:"duplicate" doc:"of the records taken in, those that the sender had repeated since"`
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
