package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json"
)

// CreateApp creates an application. If it exists, the error is a *Problem; see IsConflict.
func (c *Client) CreateApp(ctx context.Context, app string) error {
	body, err := json.Marshal(map[string]string{"app": app})
	if err != nil {
		return fmt.Errorf("write request: %w", err)
	}
	_, err = c.Do(ctx, Request{Method: http.MethodPost, Path: AppsPath, Body: body})
	return err
}

// IsConflict reports whether an error is the server's answer 409: something with that name exists,
// or a schema is not compatible with the one in force.
func IsConflict(err error) bool {
	var p *Problem
	return errors.As(err, &p) && p.Status == http.StatusConflict
}
