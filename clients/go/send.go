package theeye

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Batch is a request that was made elsewhere, for [Client.Send].
type Batch struct {
	// Body holds events as POST /v1/events takes them: one event, an array, {"events":[…]}, or lines.
	// It must not change before Send returns.
	Body []byte

	// ContentType is application/json, the default, or application/x-ndjson for lines.
	ContentType string

	// ID names the request, so that the server takes what has no id of its own only once, whoever
	// sends it again. The default is a new UUID, which is the same in each attempt of one call.
	ID string

	// UntilVisible makes the server answer when the events can be queried. Only then are duplicates
	// counted.
	UntilVisible bool

	// OnRetry is called with the reason before each attempt except the first one, if it is not nil.
	OnRetry func(*Error)
}

// Answer is what became of the events of a [Batch].
type Answer struct {
	Received   int       `json:"received"`
	Accepted   int       `json:"accepted"`
	Rejected   int       `json:"rejected"`
	Duplicates int       `json:"duplicates"`
	Events     []Outcome `json:"events"` // those that were not accepted
}

// StatusRejected is the status of an event that is not valid.
const StatusRejected = "rejected"

// Outcome is what became of one event.
type Outcome struct {
	Index    int       `json:"index"` // in the batch, from 0
	ID       string    `json:"id"`
	Status   string    `json:"status"`
	Problems []Problem `json:"problems"`
}

// decode reads an answer, and reports whether it is one.
func (a *Answer) decode(body []byte) bool {
	var document struct {
		Received *int `json:"received"`
		Answer
	}
	if json.Unmarshal(body, &document) != nil || document.Received == nil {
		return false
	}
	*a = document.Answer
	a.Received = *document.Received
	return true
}

// direct sends the batches of Send, one at a time.
type direct struct {
	turn chan struct{} // of capacity 1; filled by the call that sends
	post *poster
}

func newDirect(o *Options) *direct { return &direct{turn: make(chan struct{}, 1), post: newPoster(o)} }

// take waits until the caller may send, and reports whether that was before ctx ended. An ended
// context does not matter when nobody else sends.
func (d *direct) take(ctx context.Context) bool {
	select {
	case d.turn <- struct{}{}:
		return true
	default:
	}
	select {
	case d.turn <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (d *direct) giveBack() { <-d.turn }

// Send sends a batch without the queue, and returns the server's answer. It is for programs that
// read events from somewhere else and need to know how far they got. Concurrent calls wait for each
// other; the order between them and what Track queues is undefined.
//
// Send repeats the request as Track's sender does. When ctx ends, the attempt under way is finished,
// and one that waits is made at once, as the last; an attempt takes at most [Options.RequestTimeout].
// The errors are *[Error]: [CodeTooLarge] for a batch to be split; [CodeRefused]; [CodeUnauthorized];
// [CodeUnsent] when ctx ended first, after which the server may or may not have the events; and
// [CodeClosed]. Close does not wait for Send.
func (c *Client) Send(ctx context.Context, b Batch) (Answer, error) {
	if !c.direct.take(ctx) {
		return Answer{}, &Error{Code: CodeUnsent, Message: "given up while another batch was being sent: " + ctx.Err().Error()}
	}
	defer c.direct.giveBack()
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return Answer{}, &Error{Code: CodeClosed, Message: closedMessage}
	}
	r := c.direct.post.newRequest()
	r.id = cmp.Or(b.ID, r.id)
	r.key = r.id
	r.contentType = cmp.Or(b.ContentType, r.contentType)
	r.untilVisible = b.UntilVisible
	for attempt := 1; ; attempt++ {
		last := ctx.Err() != nil
		a := c.direct.post.send(context.WithoutCancel(ctx), r, b.Body)
		if a.outcome == taken {
			return a.taken, nil
		}
		err := a.error()
		if err.Code != CodeUnsent {
			return Answer{}, err
		}
		if last {
			err.Message = fmt.Sprintf("given up after %s: %s", attempts(attempt), err.Message)
			return Answer{}, err
		}
		if b.OnRetry != nil {
			b.OnRetry(err)
		}
		select {
		case <-time.After(delay(attempt, a.delay)):
		case <-ctx.Done():
		}
	}
}

// error returns an answer that did not take the events as an error. That of an answer which is to be
// repeated has CodeUnsent.
func (a *answer) error() *Error {
	err := &Error{Code: CodeUnsent, Message: a.message, Status: a.status}
	switch {
	case a.outcome == tooLarge:
		err.Code = CodeTooLarge
	case a.outcome == unauthorized:
		err.Code = CodeUnauthorized
	case a.outcome == refused, a.status >= 200 && a.status < 400: // another service answers
		err.Code = CodeRefused
	}
	return err
}

func attempts(n int) string {
	if n == 1 {
		return "1 attempt"
	}
	return fmt.Sprintf("%d attempts", n)
}
