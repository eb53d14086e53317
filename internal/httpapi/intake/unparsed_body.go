package intake

import (
	"context"
	"errors"

	"theeye/internal/event"
	"theeye/internal/httpapi"
	"theeye/internal/ingest"
)

// unparsedBody is a body that cannot be read as events. It is kept as one rejection before its
// sender is answered.
type unparsedBody struct {
	code  string // of the rejection's problem
	cause error  // the error for the sender
	seen  []byte // the part of the body that is kept; nil for everything that was read
}

// unparsedFrom returns the unparsedBody for an error of the collector, or nil if the error is not
// about a body that cannot be read as events.
func unparsedFrom(err error) *unparsedBody {
	var (
		syntax *ingest.SyntaxError
		shape  *ingest.ShapeError
		count  *ingest.CountError
	)
	switch {
	case errors.As(err, &syntax), errors.As(err, &shape):
		return &unparsedBody{code: event.InvalidJSON, cause: err}
	case errors.As(err, &count):
		return &unparsedBody{code: event.RequestTooLarge, cause: err}
	}
	return nil
}

// keep records the body as a rejection of the request that it came with. It returns the error for
// the sender: a *keptError with the cause, or the reason why the body could not be kept.
func (u *unparsedBody) keep(ctx context.Context, collector *ingest.Collector, req ingest.Request) error {
	if u.seen != nil {
		req.Body = u.seen
	}
	req.IdempotencyKey = ""
	problem := event.Problem{Code: u.code, Message: httpapi.RedactKeys(httpapi.ProblemOf(u.cause).Detail)}
	if _, err := collector.KeepUnparsed(ctx, req, problem); err != nil {
		return err
	}
	return &keptError{u.cause}
}

// keptError is the cause of a rejection of a whole body.
type keptError struct{ cause error }

func (e *keptError) Error() string { return e.cause.Error() }
func (e *keptError) Unwrap() error { return e.cause }
