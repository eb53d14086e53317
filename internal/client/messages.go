package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// PositionGone is the code of a [Problem]: the feed does not have a position, because its data
// directory was restored or is another one.
const PositionGone = "position_gone"

// Limits of a stream of messages.
const (
	// maxMessageLine bounds a line, in bytes. The longest item has the largest event, escaped.
	maxMessageLine = 64 << 20
	// silence is how long a stream may send nothing. The server sends a position every 15 seconds.
	silence = time.Minute
)

// Message is a server-sent event.
type Message struct {
	Event, ID string // empty if the message has none
	Data      []byte // valid until the next message
}

var errSilence = errors.New("the server has sent nothing for a minute")

// Messages sends a request and calls each for every message of the stream that answers it. It
// returns nil when the server ends the stream, and the error of each if that is not nil. A stream
// that is cut off, or silent for a minute, ends with an *UnreachableError.
func (c *Client) Messages(ctx context.Context, r Request, each func(Message) error) error {
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	answer, err := c.Open(reading, r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	var silent atomic.Bool
	watchdog := time.AfterFunc(silence, func() {
		silent.Store(true)
		cancel()
	})
	defer watchdog.Stop()

	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, maxMessageLine)
	var m Message
	for lines.Scan() {
		watchdog.Reset(silence)
		line := lines.Bytes()
		if len(line) > 0 {
			m.add(line)
			continue
		}
		watchdog.Stop() // each may wait for its reader
		if err := each(m); err != nil {
			return err
		}
		watchdog.Reset(silence)
		m = Message{Data: m.Data[:0]}
	}
	err = lines.Err()
	switch {
	case ctx.Err() != nil:
		return c.ConnectionError(ctx, ctx.Err())
	case silent.Load():
		return &UnreachableError{c.shown, errSilence}
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("a message of %s is longer than %d MiB", r.Path, maxMessageLine>>20)
	case err != nil && !errors.Is(err, io.EOF):
		return c.ConnectionError(ctx, err)
	}
	return nil
}

// add adds a line of a stream. Comments and unknown fields are ignored, as the format requires
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
func (m *Message) add(line []byte) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "event":
		m.Event = string(value)
	case "id":
		m.ID = string(value)
	case "data":
		if len(m.Data) > 0 {
			m.Data = append(m.Data, '\n')
		}
		m.Data = append(m.Data, value...)
	}
}
