package admin

import (
	"context"
	"net/http"
	"time"

	"theeye/internal/httpapi"
	"theeye/internal/registry"
)

// AppErasure reports the erasure of an application.
type AppErasure struct {
	ErasedApp
	ErasedAt   string     `json:"erased_at" format:"date-time"`
	Unsearched []PutAside `json:"unsearched" doc:"where quarantined files are"`
}

func (h *Handlers) deleteApp(c *httpapi.Call) error {
	p := c.Params()
	erase := p.Text("erase")
	if erase != "" && erase != "1" {
		p.Fail("erase", "must be 1 or omitted")
	}
	if p.Err != nil {
		return p.Err
	}
	a, err := h.app(c)
	if err != nil {
		return err
	}
	if err := h.opts.CaughtUp(); err != nil {
		return httpapi.Unavailable("it is not yet known whether the application has events: " + err.Error())
	}
	if erase == "1" {
		return h.eraseApp(c, a)
	}
	if a.ErasingSince != nil {
		return httpapi.Problemf(http.StatusConflict, "application %q is being erased", a.Name)
	}
	defer h.opts.Intake.CloseGate(a.Name)()
	ctx, cancel := context.WithTimeout(c.Context(), emptyDeadline)
	defer cancel()
	if err := h.opts.Intake.WaitCounted(ctx); err != nil {
		return httpapi.Unavailable("it is not yet known whether it has events, because some are still on their way to the store; try again")
	}
	has, err := h.opts.Books.HasEvents(ctx, a.Name)
	if err != nil {
		return err
	}
	if has {
		return httpapi.Problemf(http.StatusConflict, "application %q has events or rejections: erase=1 erases them, which cannot be undone; to keep them, revoke its keys instead", a.Name)
	}
	if err := h.opts.Registry.DeleteApp(c.Context(), a); err != nil {
		return err
	}
	h.opts.Intake.Forget(a.Name)
	return c.NoContent()
}

// emptyDeadline bounds how long the intake of an application waits while a deletion determines
// whether there are events.
const emptyDeadline = 5 * time.Second

// eraseApp erases an application. The application stops accepting events first, so that everything
// it ever sent was received before its tombstone is set; its name becomes available when everything
// is gone. A server that stops in between continues at its next start.
func (h *Handlers) eraseApp(c *httpapi.Call, a registry.App) error {
	if h.opts.Eraser == nil {
		return httpapi.NewProblem(http.StatusNotFound, "this server does not keep its events itself: erase them in the store")
	}
	ctx, release := c.Outlive() // it is finished even if the caller goes away
	defer release()
	a, err := h.opts.Registry.EraseApp(ctx, a.Name)
	if err != nil {
		return err
	}
	h.opts.Intake.CloseGate(a.Name)() // waits for the requests inside
	done, err := h.opts.Eraser.EraseApp(ctx, a)
	if err != nil {
		return err
	}
	h.opts.Intake.Forget(a.Name)
	answer := AppErasure{ErasedApp: ErasedApp{App: a.Name}, ErasedAt: done.ErasedAt.String(), Unsearched: done.Unsearched}
	if answer.Unsearched == nil {
		answer.Unsearched = []PutAside{}
	}
	for _, x := range done.Apps {
		if x.App == a.Name { // others belong to erasures that were unfinished
			answer.ErasedApp = x
		}
	}
	return c.WriteJSON(http.StatusOK, answer)
}
