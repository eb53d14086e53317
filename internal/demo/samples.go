package demo

import (
	"context"
	"fmt"
	"net/http"

	"theeye/examples"
	"theeye/internal/client"
)

// Host is the host of the pages that are visited.
const Host = "www.shop.example"

// Types returns the event types of the examples for an application that sends them, in categories
// of its own, because all applications share the event types.
func Types(app string) []examples.Type {
	types := examples.Types()
	for i := range types {
		types[i].Category = Category(app, types[i].Category)
	}
	return types
}

// Category returns the category that an application uses in place of one of the examples.
func Category(app, category string) string { return app + " " + category }

// PutTypes puts the sample types of an application into force.
func PutTypes(ctx context.Context, c *client.Client, app string) error {
	for _, t := range Types(app) {
		_, err := c.Do(ctx, client.Request{Method: http.MethodPut, Path: client.TypePath(t.Category, t.Name), Body: t.Schema})
		if client.IsConflict(err) {
			continue // keep a different schema that someone has put
		}
		if err != nil {
			return fmt.Errorf("put event type %s / %s: %w", t.Category, t.Name, err)
		}
	}
	return nil
}
