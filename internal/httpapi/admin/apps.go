package admin

import (
	"context"
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
			ID: "createApp", Tag: "applications and keys", Summary: "Create an application", Body: reflect.TypeFor[AppRequest](),
			Answers: []httpapi.Answer{httpapi.JSON[App](201, "made")}, Errors: []int{400, 409, 413, 422, 503}}},
		{Method: "GET", Path: "/v1/apps/{app}", Access: httpapi.ForAdmin, Handle: h.getApp, Doc: httpapi.Doc{
			ID: "getApp", Tag: "applications and keys", Summary: "One application", Params: []httpapi.Param{app},
			Answers: []httpapi.Answer{httpapi.JSON[AppAnswer](200, "the application")}, Errors: []int{404}}},
		{Method: "PATCH", Path: "/v1/apps/{app}", Access: httpapi.ForAdmin, Handle: h.updateApp, Doc: httpapi.Doc{
			ID: "updateApp", Tag: "applications and keys", Summary: "Change the settings of an application", Params: []httpapi.Param{app}, Body: reflect.TypeFor[AppChange](),
			Answers: []httpapi.Answer{httpapi.JSON[App](200, "changed")}, Errors: []int{400, 404, 409, 413, 422, 503}}},
		{Method: "DELETE", Path: "/v1/apps/{app}", Access: httpapi.ForAdmin, Handle: h.deleteApp, Doc: httpapi.Doc{
			ID: "deleteApp", Tag: "applications and keys", Summary: "Delete an application and its keys",
			Text:    "An application that has events or rejections is deleted only with `erase=1`, which erases them from the store and the queue, so that a rebuild does not bring them back. Backups taken before still hold them; `eye restore --tombstones` leaves them out. The server answers when everything is removed, which may take minutes; it finishes even if the client does not wait or the server restarts. Until then the application accepts nothing and its name stays in use. Afterwards an application of that name can be created again; it starts empty.",
			Params:  []httpapi.Param{app, {Name: "erase", Text: "`1`: erase everything it sent"}},
			Answers: []httpapi.Answer{httpapi.Plain(204, "deleted; there was nothing to erase"), httpapi.JSON[AppErasure](200, "with erase=1: erased and deleted")},
			Errors:  []int{400, 404, 409, 503}}},
	}
}

// App is an application with its settings.
type App struct {
	App          string                `json:"app"`
	TimeZone     string                `json:"time_zone" doc:"the IANA time zone of timestamp and sent_at values that have none. A local time that occurs twice means the earlier one; a time that does not occur is moved forward by the gap"`
	UnknownTypes registry.UnknownTypes `json:"unknown_types" enum:"accept,reject"`
	Rate         int64                 `json:"rate" doc:"events per second that each node accepts; 0 for no limit"`
	Retain       string                `json:"retain" doc:"how long events are kept, such as 720h or 30d; 0 keeps them forever, empty means the server's --retain"`
	SilentAfter  string                `json:"silent_after" doc:"how long nothing may come before the application counts as silent, such as 30m; empty for never"`
	CreatedAt    string                `json:"created_at" format:"date-time"`
	LastEventAt  *string               `json:"last_event_at" format:"date-time" doc:"when an event was last received, stored or rejected; null if none is kept, or while the store is starting"`
	ErasingSince *string               `json:"erasing_since,omitempty" format:"date-time" doc:"everything it sent is being erased, and it accepts nothing"`
}

// AppAnswer is an application with what was observed about it.
type AppAnswer struct {
	App
	Skew Skew `json:"skew"`
}

// Skew is how far the clocks of an application's senders were off since the start.
type Skew struct {
	Events    int64   `json:"events" doc:"events with a send time (sent_at)"`
	Corrected int64   `json:"corrected" doc:"events whose time was corrected because the clock was off by more than the tolerance"`
	P50MS     float64 `json:"p50_ms" doc:"the absolute value of received_at − sent_at; quantiles are at most an eighth too large"`
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
	Rate         *int64                 `json:"rate,omitempty" doc:"events per second to accept; 0 for no limit"`
	SilentAfter  *string                `json:"silent_after,omitempty" doc:"such as 30m, at least 1m; empty for never"`
	Retain       *string                `json:"retain,omitempty" doc:"such as 720h or 30d; 0 keeps events forever, empty means the server's --retain"`
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
	if change.SilentAfter != nil {
		s.SilentAfter = *change.SilentAfter
	}
}

// AppRequest describes a new application.
type AppRequest struct {
	App string `json:"app" doc:"1 to 64 of a-z, 0-9, dot, underscore and hyphen"`
	AppChange
}

func (h *Handlers) toApp(ctx context.Context, a *registry.App) App {
	v := App{
		App: a.Name, TimeZone: a.TimeZone, UnknownTypes: a.UnknownTypes, Rate: a.Rate, Retain: a.Retain, SilentAfter: a.SilentAfter,
		CreatedAt: httpapi.FormatTime(a.CreatedAt), LastEventAt: httpapi.TimeOrNull(h.opts.Books.LastEvent(ctx, a)),
	}
	if a.ErasingSince != nil {
		at := httpapi.FormatTime(*a.ErasingSince)
		v.ErasingSince = &at
	}
	return v
}

func (h *Handlers) listApps(c *httpapi.Call) error {
	view := func(a *registry.App) App { return h.toApp(c.Context(), a) }
	return c.WriteJSON(http.StatusOK, AppsAnswer{httpapi.MapSlice(h.opts.Registry.Apps(), view)})
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
	return c.WriteJSON(http.StatusCreated, h.toApp(c.Context(), &a))
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
	return c.WriteJSON(http.StatusOK, AppAnswer{h.toApp(c.Context(), &a), skew})
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
	return c.WriteJSON(http.StatusOK, h.toApp(c.Context(), &a))
}
