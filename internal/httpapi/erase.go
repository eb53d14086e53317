package httpapi

import (
	"context"
	"net/http"
	"unicode/utf8"

	"theeye/internal/event"
)

func erasureRoutes() []route {
	return []route{
		{"DELETE", "/v1/sessions/{id}", forAdmin, (*Server).eraseSession, doc{
			id: "eraseSession", tag: "reading", summary: "Erase a session everywhere",
			text: "Its events and rejections are removed from the store and from the queue, and do not come back by a retry, a rebuild or a restore. " +
				"What is sent later with a time before the erasure is answered accepted and not kept; later events of the session are stored. " +
				"The answer comes when all is removed, which may take minutes; it is removed also when the caller does not wait.",
			params:  []param{pathID("the session id"), appParam()},
			answers: []answer{{200, "erased", schemaOf[ErasureAnswer]()}}, errors: []int{400, 404, 503}}},
	}
}

// Erasure is what an erasure did.
type Erasure struct {
	ErasedAt event.Micros
	Apps     []ErasedApp
}

// ErasureAnswer reports an erasure.
type ErasureAnswer struct {
	SessionID string      `json:"session_id"`
	ErasedAt  string      `json:"erased_at" format:"date-time"`
	Apps      []ErasedApp `json:"apps"`
}

// ErasedApp is what was removed from one application.
type ErasedApp struct {
	App        string `json:"app"`
	Events     int64  `json:"events"`
	Rejections int64  `json:"rejections"`
}

func (s *Server) eraseSession(c *call) error {
	if err := s.opts.CaughtUp(); err != nil {
		return unavailable(err.Error())
	}
	for name := range c.URL.Query() {
		if name != "app" {
			return problemf(http.StatusBadRequest, "unknown parameter %.40q: only app is known here", name)
		}
	}
	session := c.PathValue("id")
	if session == "" || utf8.RuneCountInString(session) > event.MaxTextCodePoints {
		return problemf(http.StatusBadRequest, "a session id has 1 to %d code points", event.MaxTextCodePoints)
	}
	apps := c.URL.Query()["app"]
	for _, app := range apps {
		if _, ok := s.opts.Registry.App(app); !ok {
			return problemf(http.StatusNotFound, "there is no application %.80q", app)
		}
	}
	if apps == nil {
		for _, app := range s.opts.Registry.Apps() {
			apps = append(apps, app.Name)
		}
	}
	// It is finished also when the caller is gone.
	done, err := s.opts.Erase(context.WithoutCancel(c.ctx()), apps, session)
	if err != nil {
		return err
	}
	if done.Apps == nil {
		done.Apps = []ErasedApp{}
	}
	return writeJSON(c.w, http.StatusOK, ErasureAnswer{session, done.ErasedAt.String(), done.Apps})
}
