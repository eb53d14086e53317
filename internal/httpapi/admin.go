package httpapi

import (
	"errors"
	"net/http"
	"reflect"

	"theeye/internal/registry"
)

func adminRoutes() []Route {
	app := Param{Name: "app", In: "path", Text: "the application", Required: true}
	ok := func(status int, text string, body reflect.Type) []Answer { return []Answer{{status, text, body}} }
	return []Route{
		{"GET", "/v1/apps", ForAdmin, (*Server).listApps, Doc{
			ID: "listApps", Tag: "applications and keys", Summary: "All applications", Answers: ok(200, "by name", schemaOf[AppsAnswer]())}},
		{"POST", "/v1/apps", ForAdmin, (*Server).createApp, Doc{
			ID: "createApp", Tag: "applications and keys", Summary: "Make an application", Body: schemaOf[AppRequest](),
			Answers: ok(201, "made", schemaOf[App]()), Errors: []int{400, 409, 413, 422, 503}}},
		{"GET", "/v1/apps/{app}", ForAdmin, (*Server).getApp, Doc{
			ID: "getApp", Tag: "applications and keys", Summary: "One application", Params: []Param{app},
			Answers: ok(200, "the application", schemaOf[AppAnswer]()), Errors: []int{404}}},
		{"PATCH", "/v1/apps/{app}", ForAdmin, (*Server).updateApp, Doc{
			ID: "updateApp", Tag: "applications and keys", Summary: "Change the settings of an application", Params: []Param{app}, Body: schemaOf[AppChange](),
			Answers: ok(200, "changed", schemaOf[App]()), Errors: []int{400, 404, 409, 413, 422, 503}}},
		{"DELETE", "/v1/apps/{app}", ForAdmin, (*Server).deleteApp, Doc{
			ID: "deleteApp", Tag: "applications and keys", Summary: "Remove an application; its keys end with it",
			Text: "An application that has events or rejections is removed with `erase=1` alone, which erases them: from the store and from the queue, so that they do not come " +
				"back by a rebuild. A backup that was taken before still holds them: `eye restore --tombstones` leaves them out. The answer comes when all is removed, which may take minutes; it is finished also when the caller does not wait, or the server ends. " +
				"Until then the application takes nothing and its name stays taken. An application of that name may be made again, and begins empty.",
			Params:  []Param{app, {Name: "erase", Text: "`1`: with all that it sent"}},
			Answers: []Answer{{204, "removed; there was nothing to erase", nil}, {200, "with erase=1: erased and removed", schemaOf[AppErasure]()}},
			Errors:  []int{400, 404, 409, 503}}},
	}
}

// App is an application with its settings.
type App struct {
	App          string                `json:"app"`
	TimeZone     string                `json:"time_zone" doc:"IANA name; of timestamp and sent_at without a zone. Of a local time that occurs twice the earlier is taken; one that never occurs is moved forward by what is left out"`
	UnknownTypes registry.UnknownTypes `json:"unknown_types" enum:"accept,reject"`
	Rate         int64                 `json:"rate" doc:"events per second that are taken on each node; 0 for as many as come"`
	Retain       string                `json:"retain" doc:"how long events are kept, as in 720h or 30d; 0 is for ever, empty what the server was told with --retain"`
	CreatedAt    string                `json:"created_at" format:"date-time"`
	ErasingSince *string               `json:"erasing_since,omitempty" format:"date-time" doc:"all that it sent is being erased, and it takes nothing any more"`
}

// AppAnswer is an application with what was seen of it.
type AppAnswer struct {
	App
	Skew Skew `json:"skew"`
}

// Skew is how far the clocks of an application's senders were off, since the start.
type Skew struct {
	Events    int64   `json:"events" doc:"that say when they were sent (sent_at)"`
	Corrected int64   `json:"corrected" doc:"whose time was corrected, because the clock was off by more than the tolerance"`
	P50MS     float64 `json:"p50_ms" doc:"the size of received_at − sent_at; quantiles are at most an eighth too large"`
	P99MS     float64 `json:"p99_ms"`
	MaxMS     float64 `json:"max_ms"`
}

// AppsAnswer lists applications.
type AppsAnswer struct {
	Apps []App `json:"apps"`
}

// AppChange are settings to be changed; what is absent stays.
type AppChange struct {
	TimeZone     *string                `json:"time_zone,omitempty"`
	UnknownTypes *registry.UnknownTypes `json:"unknown_types,omitempty" enum:"accept,reject"`
	Rate         *int64                 `json:"rate,omitempty" doc:"events per second that are taken; 0 for as many as come"`
	Retain       *string                `json:"retain,omitempty" doc:"as in 720h or 30d; 0 keeps for ever, empty does what the server was told with --retain"`
}

func (change AppChange) apply(s *registry.Settings) {
	if change.TimeZone != nil {
		s.TimeZone = *change.TimeZone
	}
	if change.UnknownTypes != nil {
		s.UnknownTypes = *change.UnknownTypes
	}
	if change.Rate != nil {
		s.Rate = *change.Rate
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

func toApp(a *registry.App) App {
	v := App{App: a.Name, TimeZone: a.TimeZone, UnknownTypes: a.UnknownTypes, Rate: a.Rate, Retain: a.Retain, CreatedAt: FormatTime(a.CreatedAt)}
	if a.ErasingSince != nil {
		at := FormatTime(*a.ErasingSince)
		v.ErasingSince = &at
	}
	return v
}

func (s *Server) listApps(c *Call) error {
	return writeJSON(c.w, http.StatusOK, AppsAnswer{MapSlice(s.opts.Registry.Apps(), toApp)})
}

func (s *Server) createApp(c *Call) error {
	var req AppRequest
	if err := readJSON(c, &req); err != nil {
		return err
	}
	c.About(req.App)
	var settings registry.Settings
	req.apply(&settings)
	a, err := s.opts.Registry.CreateApp(c.ctx(), req.App, settings)
	if err != nil {
		return err
	}
	c.Note("after", a.Settings)
	return writeJSON(c.w, http.StatusCreated, toApp(&a))
}

func (s *Server) app(c *Call) (registry.App, error) {
	a, ok := s.opts.Registry.App(c.PathValue("app"))
	if !ok {
		return a, s.noSuchApp(c.PathValue("app"))
	}
	return a, nil
}

func (s *Server) getApp(c *Call) error {
	a, err := s.app(c)
	if err != nil {
		return err
	}
	x := s.opts.Collector.Skew(a.Name)
	skew := Skew{x.Events, x.Corrected, Milliseconds(x.P50), Milliseconds(x.P99), Milliseconds(x.Max)}
	return writeJSON(c.w, http.StatusOK, AppAnswer{toApp(&a), skew})
}

func (s *Server) updateApp(c *Call) error {
	var change AppChange
	if err := readJSON(c, &change); err != nil {
		return err
	}
	var before registry.Settings
	a, err := s.opts.Registry.UpdateApp(c.ctx(), c.PathValue("app"), func(settings *registry.Settings) {
		before = *settings
		change.apply(settings)
	})
	if errors.Is(err, registry.ErrNotFound) {
		return s.noSuchApp(c.PathValue("app"))
	}
	if err != nil {
		return err
	}
	c.Note("before", before)
	c.Note("after", a.Settings)
	return writeJSON(c.w, http.StatusOK, toApp(&a))
}
