package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	theeye "theeye/clients/go"
)

// sendTimeout bounds one attempt to send a batch, its upload included.
const sendTimeout = 5 * time.Minute

// Sender returns a client of the SDK for the same server and key. Through a socket it does not
// compress. The caller closes it.
func (c *Client) Sender(ctx context.Context, o theeye.Options) (*theeye.Client, error) {
	key, err := c.Secret(ctx)
	if err != nil {
		return nil, err
	}
	if key == "" {
		return nil, fmt.Errorf("a write key is missing (%s)", cmp.Or(c.keyless, keyAdvice))
	}
	o.URL, o.Key, o.Transport, o.Uncompressed, o.RequestTimeout = c.base, key, c.Transport(), c.socket != "", sendTimeout
	return theeye.New(o)
}

// SendError returns an error of Sender's client in the words of the command line.
func (c *Client) SendError(err *theeye.Error) error {
	text := asFlags(err.Message)
	if advice := c.advice(err.Status, text); advice != "" {
		text += " (" + advice + ")"
	}
	return errors.New(strings.Join(strings.Fields(text), " "))
}
