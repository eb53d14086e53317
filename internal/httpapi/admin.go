package httpapi

import (
	"io"
	"net/http"
	"reflect"

	"github.com/go-json-experiment/json"

	"theeye/internal/registry"
	"theeye/internal/schema"
)

func adminRoutes() []route {
	app := param{name: "app", in: "path", text: "the application", required: true}
	ok := func(status int, text string, body reflect.Type) []answer { return []answer{{status, text, body}} }
	return []route{
		{"GET", "/v1/apps", forAdmin, (*Server).listApps, doc{
			id: "listApps", tag: "applications and keys", summary: "All applications", answers: ok(200, "by name", schemaOf[AppsAnswer]())}},
		{"POST", "/v1/apps", forAdmin, (*Server).createApp, doc{
			id: "createApp", tag: "applications and keys", summary: "Make an application", body: schemaOf[AppRequest](),
			answers: ok(201, "made", schemaOf[App]()), errors: []int{400, 409, 422, 503}}},
		{"GET", "/v1/apps/{app}", forAdmin, (*Server).getApp, doc{
			id: "getApp", tag: "applications and keys", summary: "One application", params: []param{app},
			answers: ok(200, "the application", schemaOf[App]()), errors: []int{404}}},
		{"PATCH", "/v1/apps/{app}", forAdmin, (*Server).updateApp, doc{
			id: "updateApp", tag: "applications and keys", summary: "Change the settings of an application", params: []param{app}, body: schemaOf[AppChange](),
			answers: ok(200, "changed", schemaOf[App]()), errors: []int{400, 404, 409, 422, 503}}},
		{"DELETE", "/v1/apps/{app}", forAdmin, (*Server).deleteApp, doc{
			id: "deleteApp", tag: "applications and keys", summary: "Remove an application that has no events; its keys end with it", params: []param{app},
			answers: ok(204, "removed", nil), errors: []int{404, 409, 503}}},
	}
}

// App is an application with its settings.
type App struct {
	App          string                `json:"app"`
	TimeZone     string                `json:"time_zone" doc:"IANA name; of timestamps without a zone"`
	UnknownTypes registry.UnknownTypes `json:"unknown_types" enum:"accept,reject"`
	Retain       string                `json:"retain" doc:"how long events are kept, as in 720h or 30d; 0 is for ever, empty what the server was told with --retain"`
	CreatedAt    string                `json:"created_at" format:"date-time"`
}

// AppsAnswer lists applications.
type AppsAnswer struct {
	Apps []App `json:"apps"`
}

// AppChange are settings to be changed; what is absent stays.
type AppChange struct {
	TimeZone     *string                `json:"time_zone,omitempty"`
	UnknownTypes *registry.UnknownTypes `json:"unknown_types,omitempty" enum:"accept,reject"`
	Retain       *string                `json:"retain,omitempty" doc:"as in 720h or 30d; 0 keeps for ever, empty does what the server was told with --retain"`
}

func (change AppChange) apply(s *registry.Settings) {
	if change.TimeZone != nil {
		s.TimeZone = *change.TimeZone
	}
	if change.UnknownTypes != nil {
		s.UnknownTypes = *change.UnknownTypes
	}
	if change.Retain != nil {
		s.Retain = *change.Retain
	}
}

// AppRequest makes an application.
type AppRequest struct {
	App string `json:"app" doc:"1 to 64 of a-z, 0-9, dot, underscore and hyphen"`
	AppChange
}

func viewApp(a *registry.App) App {
	return App{a.Name, a.TimeZone, a.UnknownTypes, a.Retain, rfc3339(a.CreatedAt)}
}

// maxAdminBody bounds the bodies of administration, in bytes.
const maxAdminBody = 2 * schema.MaxDocumentBytes

// readJSON reads a small JSON body strictly.
func readJSON(c *call, into any) error {
	b, err := io.ReadAll(http.MaxBytesReader(c.w, c.Body, maxAdminBody))
	if err != nil {
		return problemf(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", maxAdminBody)
	}
	if err := json.Unmarshal(b, into, json.RejectUnknownMembers(true)); err != nil {
		return problemf(http.StatusBadRequest, "the body cannot be read: %s", err)
	}
	return nil
}

func noContent(c *call) error {
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) listApps(c *call) error {
	return writeJSON(c.w, http.StatusOK, AppsAnswer{viewAll(s.opts.Registry.Apps(), viewApp)})
}

func (s *Server) createApp(c *call) error {
	var req AppRequest
	if err := readJSON(c, &req); err != nil {
		return err
	}
	var settings registry.Settings
	req.apply(&settings)
	a, err := s.opts.Registry.CreateApp(c.ctx(), req.App, settings)
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusCreated, viewApp(&a))
}

func (s *Server) app(c *call) (registry.App, error) {
	a, ok := s.opts.Registry.App(c.PathValue("app"))
	if !ok {
		return a, problemf(http.StatusNotFound, "there is no application %.80q", c.PathValue("app"))
	}
	return a, nil
}

func (s *Server) getApp(c *call) error {
	a, err := s.app(c)
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, viewApp(&a))
}

func (s *Server) updateApp(c *call) error {
	var change AppChange
	if err := readJSON(c, &change); err != nil {
		return err
	}
	a, err := s.opts.Registry.UpdateApp(c.ctx(), c.PathValue("app"), change.apply)
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, viewApp(&a))
}

func (s *Server) deleteApp(c *call) error {
	a, err := s.app(c)
	if err != nil {
		return err
	}
	if err := s.opts.CaughtUp(); err != nil {
		return unavailable("whether it has events is not known yet: " + err.Error())
	}
	reopen := s.closeDoor(a.Name)
	defer reopen()
	books, err := s.opts.Reader.Books(c.ctx(), []string{a.Name})
	if err != nil {
		return err
	}
	pending, _ := s.opts.Live.Pending(books.Position)
	if len(books.Accounts) > 0 && books.Accounts[0].Received > 0 || pending[a.Name] > 0 {
		return problemf(http.StatusConflict, "application %q has events, and erasing them is not available yet; revoke its keys instead", a.Name)
	}
	if err := s.opts.Registry.DeleteApp(c.ctx(), a.Name); err != nil {
		return err
	}
	return noContent(c)
}
