package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Stream sends a request without a body and passes the body of the answer to do as it arrives. When
// that ends early, the error is an *UnreachableError, whatever do returns.
func (c *Client) Stream(ctx context.Context, r Request, do func(io.Reader) error) error {
	target := c.base + r.Path + "?" + r.Query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.Method, target, http.NoBody)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	answer, err := c.http.Do(req)
	if err != nil {
		return c.ConnectionError(ctx, err)
	}
	defer func() { _ = answer.Body.Close() }()
	if err := c.checkAnswer(answer); err != nil {
		return err
	}
	body := &watched{in: answer.Body}
	err = do(body)
	if body.err != nil {
		return c.ConnectionError(ctx, body.err)
	}
	return err
}

// watched keeps the error of reading.
type watched struct {
	in  io.Reader
	err error
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.in.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}
