package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json"
)

// createApp makes an application. One that exists is a *problemError with the status 409.
func (c *Client) CreateApp(ctx context.Context, app string) error {
	body, err := json.Marshal(map[string]string{"app": app})
	if err != nil {
		return fmt.Errorf("write request: %w", err)
	}
	_, err = c.Do(ctx, Request{Method: http.MethodPost, Path: "/v1/apps", Body: body})
	return err
}

func IsConflict(err error) bool {
	var p *Problem
	return errors.As(err, &p) && p.Status == http.StatusConflict
}
