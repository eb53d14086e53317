package client

import (
	"context"
	"errors"
	"io"
)

// Stream sends a request without a body and passes the body of the response to do as it arrives. If
// the body ends early, the error is an *UnreachableError, whatever do returns.
func (c *Client) Stream(ctx context.Context, r Request, do func(io.Reader) error) error {
	answer, err := c.Open(ctx, r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	body := &watched{in: answer.Body}
	err = do(body)
	if body.err != nil {
		return c.ConnectionError(ctx, body.err)
	}
	return err
}

// watched is a reader that remembers its error.
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
