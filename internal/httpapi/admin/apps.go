package admin

import (
	"errors"
	"net/http"
	"reflect"

	"theeye/internal/httpapi"
	"theeye/internal/registry"
)

func (h *Handlers) appRoutes() []httpapi.Route {
	app := httpapi.Param{Name: "app", In: "path", Text: "the application", Required: true}
	return []httpapi.Route{
		{Method: "GET", Path: "/v1/apps", Access: httpapi.ForAdmin, Handle: h.listApps, Doc: httpapi.Doc{
			ID: "listApps", Tag: "applications and keys", Summary: "All applications", Answers: []httpapi.Answer{httpapi.JSON[AppsAnswer](200, "by name")}}},
		{Method: "POST", Path: "/v1/apps", Access: httpapi.ForAdmin, Handle: h.createApp, Doc: httpapi.Doc{
			ID: "createApp", Tag: "applications and keys", Summary: "Make an application", Body: reflect.TypeFor[AppRequest](),
			Answers: []httpapi.Answer{httpapi.JSON[App](201, "made")}, Errors: []int{400, 409, 413, 422, 503}}},
		{Method: "GET", Path: "/v1/apps/{app}", Access: httpapi.ForAdmin, Handle: h.getApp, Doc: httpapi.Doc{
			ID: "getApp", Tag: "applications and keys", Summary: "One application", Params: []httpapi.Param{app},
			Answers: []httpapi.Answer{httpapi.JSON[AppAnswer](200, "the application")}, Errors: []int{404}}},
		{Method: "PATCH", Path: "/v1/apps/{app}", Access: httpapi.ForAdmin, Handle: h.updateApp, Doc: httpapi.Doc{
			ID: "updateApp", Tag: "applications and keys", Summary: "Change the settings of an application", Params: []httpapi.Param{app}, Body: reflect.TypeFor[AppChange](),
			Answers: []httpapi.Answer{httpapi.JSON[App](200, "changed")}, Errors: []int{400, 404, 409, 413, 422, 503}}},
		{Method: "DELETE", Path: "/v1/apps/{app}", Access: httpapi.ForAdmin, Handle: h.deleteApp, Doc: httpapi.Doc{
			ID: "deleteApp", Tag: "applications and keys", Summary: "Remove an application; its keys end with it",
			Text: "An application that has events or rejections is removed with `erase=1` alone, which erases them: from the store and from the queue, so that they do not come " +
				"back by a rebuild. A backup that was taken before still holds them: `eye restore --tombstones` leaves them out. The answer comes when all is removed, which may take minutes; it is finished also when the caller does not wait, or the server ends. " +
				"Until then the application takes nothing and its name stays taken. An application of that name may be made again, and begins empty.",
			Params:  []httpapi.Param{app, {Name: "erase", Text: "`1`: with all that it sent"}},
			Answers: []httpapi.Answer{httpapi.Plain(204, "removed; there was nothing to erase"), httpapi.JSON[AppErasure](200, "with erase=1: erased and removed")},
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

// AppAnswer is an application with what was observed about it.
type AppAnswer struct {
	App
	Skew Skew `json:"skew"`
}

// Skew is how far the clocks of an application's senders were off since the start.
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

// AppChange changes settings; absent ones stay as they are.
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
	v := App{App: a.Name, TimeZone: a.TimeZone, UnknownTypes: a.UnknownTypes, Rate: a.Rate, Retain: a.Retain, CreatedAt: httpapi.FormatTime(a.CreatedAt)}
	if a.ErasingSince != nil {
		at := httpapi.FormatTime(*a.ErasingSince)
		v.ErasingSince = &at
	}
	return v
}

func (h *Handlers) listApps(c *httpapi.Call) error {
	return c.WriteJSON(http.StatusOK, AppsAnswer{httpapi.MapSlice(h.opts.Registry.Apps(), toApp)})
}

func (h *Handlers) createApp(c *httpapi.Call) error {
	var req AppRequest
	if err := c.ReadJSON(&req); err != nil {
		return err
	}
	c.About(req.App)
	var settings registry.Settings
	req.apply(&settings)
	a, err := h.opts.Registry.CreateApp(c.Context(), req.App, settings)
	if err != nil {
		return err
	}
	c.Note("after", a.Settings)
	return c.WriteJSON(http.StatusCreated, toApp(&a))
}

func (h *Handlers) app(c *httpapi.Call) (registry.App, error) {
	a, ok := h.opts.Registry.App(c.PathValue("app"))
	if !ok {
		return a, c.NoSuchApp(c.PathValue("app"))
	}
	return a, nil
}

func (h *Handlers) getApp(c *httpapi.Call) error {
	a, err := h.app(c)
	if err != nil {
		return err
	}
	x := h.opts.Collector.Skew(a.Name)
	skew := Skew{x.Events, x.Corrected, httpapi.Milliseconds(x.P50), httpapi.Milliseconds(x.P99), httpapi.Milliseconds(x.Max)}
	return c.WriteJSON(http.StatusOK, AppAnswer{toApp(&a), skew})
}

func (h *Handlers) updateApp(c *httpapi.Call) error {
	var change AppChange
	if err := c.ReadJSON(&change); err != nil {
		return err
	}
	var before registry.Settings
	a, err := h.opts.Registry.UpdateApp(c.Context(), c.PathValue("app"), func(settings *registry.Settings) {
		before = *settings
		change.apply(settings)
	})
	if errors.Is(err, registry.ErrNotFound) {
		return c.NoSuchApp(c.PathValue("app"))
	}
	if err != nil {
		return err
	}
	c.Note("before", before)
	c.Note("after", a.Settings)
	return c.WriteJSON(http.StatusOK, toApp(&a))
}
