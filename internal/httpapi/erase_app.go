package httpapi

import (
	"context"
	"net/http"
	"time"

	"theeye/internal/registry"
)

// AppErasure reports the erasure of an application.
type AppErasure struct {
	ErasedApp
	ErasedAt   string     `json:"erased_at" format:"date-time"`
	Unsearched []PutAside `json:"unsearched" doc:"where files lie that were put aside as damaged"`
}

func (s *Server) deleteApp(c *Call) error {
	p := ParamReader{values: c.URL.Query()}
	erase := p.Text("erase")
	if erase != "" && erase != "1" {
		p.Fail("erase", "must be 1, or be left out")
	}
	if p.Err != nil {
		return p.Err
	}
	a, err := s.app(c)
	if err != nil {
		return err
	}
	if err := s.opts.CaughtUp(); err != nil {
		return Unavailable("it is not yet known whether the application has events: " + err.Error())
	}
	if erase == "1" {
		return s.eraseApp(c, a)
	}
	if a.ErasingSince != nil {
		return Problemf(http.StatusConflict, "application %q is being erased", a.Name)
	}
	defer s.closeGate(a.Name)()
	ctx, cancel := context.WithTimeout(c.ctx(), emptyDeadline)
	defer cancel()
	if err := s.settled(ctx); err != nil {
		return Unavailable("whether it has events is not known yet: some are still on their way to the store; try again")
	}
	has, err := s.hasEvents(ctx, a.Name)
	if err != nil {
		return err
	}
	if has {
		return Problemf(http.StatusConflict, "application %q has events or rejections: erase=1 erases them too, which cannot be undone; to keep them, revoke its keys instead", a.Name)
	}
	if err := s.opts.Registry.DeleteApp(c.ctx(), a); err != nil {
		return err
	}
	s.forgetApp(a.Name)
	return noContent(c)
}

// emptyDeadline bounds how long the intake of an application waits until it is known
// whether it may be deleted.
const emptyDeadline = 5 * time.Second

// eraseApp erases an application. First it takes nothing any more, so that what it
// ever sent was received before its tombstone is set; its name is free when all
// is gone. A server that ends in between goes on at its next start.
func (s *Server) eraseApp(c *Call, a registry.App) error {
	if s.opts.EraseApp == nil {
		return NewProblem(http.StatusNotFound, "this server keeps its events elsewhere: erase them there")
	}
	ctx, release := s.life.outlive(c.ctx()) // it is finished also when the caller is gone
	defer release()
	a, err := s.opts.Registry.EraseApp(ctx, a.Name)
	if err != nil {
		return err
	}
	s.closeGate(a.Name)() // those inside are through
	done, err := s.opts.EraseApp(ctx, a)
	if err != nil {
		return err
	}
	s.forgetApp(a.Name)
	answer := AppErasure{ErasedApp: ErasedApp{App: a.Name}, ErasedAt: done.ErasedAt.String(), Unsearched: done.Unsearched}
	if answer.Unsearched == nil {
		answer.Unsearched = []PutAside{}
	}
	for _, x := range done.Apps {
		if x.App == a.Name { // others are of erasures that were left over
			answer.ErasedApp = x
		}
	}
	return writeJSON(c.w, http.StatusOK, answer)
}
