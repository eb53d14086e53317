package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json"
)

// createApp makes an application. One that exists is a *problemError with the status 409.
func (c *client) createApp(ctx context.Context, app string) error {
	body, err := json.Marshal(map[string]string{"app": app})
	if err != nil {
		return fmt.Errorf("write request: %w", err)
	}
	_, err = c.do(ctx, request{method: http.MethodPost, path: "/v1/apps", body: body})
	return err
}

func isConflict(err error) bool {
	var p *problemError
	return errors.As(err, &p) && p.Status == http.StatusConflict
}
