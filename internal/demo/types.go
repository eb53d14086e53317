package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"theeye/internal/client"
)

// version is a version of an event type that the demo publishes.
type version struct {
	category, name, schema string
}

const strictObject = `"type":"object","additionalProperties":false,`

// firstTypes returns the event types that are there from the beginning. The type newsletter /
// subscribe has no schema.
func firstTypes() []version {
	return []version{
		{pages, "view", `{` + strictObject + `
 "properties":{"host":{"type":"string","minLength":1},"path":{"type":"string","minLength":1},"referrer":{"type":"string"}},
 "required":["host","path"]}`},
		{pages, "click", `{` + strictObject + `
 "properties":{"host":{"type":"string","minLength":1},"path":{"type":"string","minLength":1},"element":{"type":"string","minLength":1}},
 "required":["host","path","element"]}`},
		{forms, "submit", `{` + strictObject + `
 "properties":{"host":{"type":"string","minLength":1},"path":{"type":"string","minLength":1},"release":{"type":"string"},
  "form":{` + strictObject + `
   "properties":{"first_name":{"type":"string"},"last_name":{"type":"string"},"phone":{"type":"string","minLength":1},
    "interest":{"enum":["solar","moving","warranty","hearing"]}},
   "required":["first_name","last_name","phone"]}},
 "required":["host","path","form"]}`},
		{calls, "call started", `{` + strictObject + `
 "properties":{"agent":{"type":"string"},"desk":{"type":"string"},"topic":{"type":"string"}},
 "required":["agent","desk"]}`},
		{calls, "call ended", callEnded(`"appointment","no interest","call back"`)},
	}
}

func callEnded(outcomes string) string {
	return `{` + strictObject + `
 "properties":{"agent":{"type":"string"},"desk":{"type":"string"},"outcome":{"enum":[` + outcomes + `]},"seconds":{"type":"integer","minimum":0}},
 "required":["agent","desk","outcome"]}`
}

// articleRead is published in the course of the week.
func articleRead() version {
	return version{articles, "read", `{` + strictObject + `
 "properties":{"path":{"type":"string","minLength":1},"percent":{"type":"integer","minimum":0,"maximum":100},"seconds":{"type":"integer","minimum":0}},
 "required":["path","percent"]}`}
}

// callEndedWithVoicemail knows one outcome more.
func callEndedWithVoicemail() version {
	return version{calls, "call ended", callEnded(`"appointment","no interest","call back","voicemail"`)}
}

// publish puts a version into force, unless a schema is in force that does not allow it.
func (v version) publish(ctx context.Context, c *client.Client, category string) error {
	schema := strings.ReplaceAll(v.schema, "\n", "")
	_, err := c.Do(ctx, client.Request{Method: http.MethodPut, Path: client.TypePath(category, v.name), Body: []byte(schema)})
	if err != nil && !client.IsConflict(err) {
		return fmt.Errorf("put event type %s / %s: %w", category, v.name, err)
	}
	return nil
}

// createApp creates an application, unless it exists. silentAfter is a setting; it may be empty.
func createApp(ctx context.Context, c *client.Client, app, silentAfter string) error {
	_, err := c.Do(ctx, client.Request{Method: http.MethodGet, Path: client.AppPath(app)})
	if p, ok := errors.AsType[*client.Problem](err); ok && p.Status == http.StatusNotFound {
		body := fmt.Appendf(nil, `{"app":%q,"silent_after":%q}`, app, silentAfter)
		_, err = c.Do(ctx, client.Request{Method: http.MethodPost, Path: client.AppsPath, Body: body})
	}
	if err != nil {
		return fmt.Errorf("create application %q: %w", app, err)
	}
	return nil
}

// createApps creates the applications of the demo, unless they exist.
func createApps(ctx context.Context, c *client.Client) error {
	return errors.Join(createApp(ctx, c, shop, "1h"), createApp(ctx, c, callCenter, ""), createApp(ctx, c, blog, ""))
}
