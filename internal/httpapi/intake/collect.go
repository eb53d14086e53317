package intake

import (
	"context"
	"errors"
	"net/http"
	"unicode/utf8"

	"theeye/internal/event"
	"theeye/internal/httpapi"
	"theeye/internal/ingest"
	"theeye/internal/progress"
	"theeye/internal/registry"
)

// admission is a request that may send events for an application.
type admission struct {
	app            registry.App
	idempotencyKey string
	charge         func(events int) // counts its events against the rate of the application
}

// collect accepts the events of a request: it admits the request, reads its body and submits it. A
// body that cannot be read is kept as one rejection before the sender is answered; the error is
// then a *keptError.
func (h *Handlers) collect(c *httpapi.Call, app, idempotencyKey string) (ingest.Result, error) {
	a, err := h.admit(app, idempotencyKey, c.Writer().Header())
	if err != nil {
		return ingest.Result{}, err
	}
	events := 1 // a body that cannot be read counts as one
	defer func() { a.charge(events) }()
	if err := h.opts.Queue.Err(); err != nil {
		return ingest.Result{}, err
	}
	free, err := h.verifySigned(c, &a)
	defer free()
	if err != nil {
		return ingest.Result{}, err
	}
	b, err := h.readBody(c, a.app.Name)
	defer b.free()
	if err != nil {
		return ingest.Result{}, err
	}
	ctx, cancel := context.WithTimeout(c.Context(), h.opts.Deadline)
	defer cancel()
	receipt, err := h.submit(ctx, c, a, b)
	if err == nil {
		events = len(receipt.Items)
	}
	return receipt, err
}

// admit checks the application and its rate before any work is done for the request (P7).
func (h *Handlers) admit(name, idempotencyKey string, answer http.Header) (admission, error) {
	app, ok := h.opts.Registry.App(name)
	if !ok || !h.accepting(app) {
		return admission{}, noApp()
	}
	if utf8.RuneCountInString(idempotencyKey) > event.MaxTextCodePoints {
		return admission{}, httpapi.Problemf(http.StatusBadRequest, "Idempotency-Key is longer than %d characters", event.MaxTextCodePoints)
	}
	charge, err := h.enterBucket(app, answer)
	return admission{app, idempotencyKey, charge}, err
}

// submit hands a body to the collector. It returns when every event is durable, or when the body
// is kept as a rejection.
func (h *Handlers) submit(ctx context.Context, c *httpapi.Call, a admission, b body) (ingest.Result, error) {
	if err := c.Recheck(); err != nil {
		return ingest.Result{}, err
	}
	leave, err := h.enterGate(a.app)
	if err != nil {
		return ingest.Result{}, err
	}
	defer leave()
	req := ingest.Request{
		App: a.app.Name, Zone: a.app.Location(), RefuseUnknownTypes: a.app.UnknownTypes == registry.RejectUnknown,
		Body: b.bytes, Lines: b.ndjson, IdempotencyKey: a.idempotencyKey, ReceivedAt: event.Now(),
		Single: c.Principal.KeyID == "",                         // --legacy-app does not accept batches
		Public: c.Principal.Public() || c.Principal.KeyID == "", // --legacy-app needs no key
	}
	unparsed := b.unparsed
	if unparsed == nil {
		receipt, err := h.opts.Collector.Collect(ctx, req)
		if unparsed = unparsedFrom(err); unparsed == nil {
			return receipt, err
		}
	}
	return ingest.Result{}, unparsed.keep(ctx, h.opts.Collector, req)
}

func noApp() *httpapi.ProblemDetails {
	return httpapi.NewProblem(http.StatusForbidden, "the application of this key no longer exists")
}

// awaitOutcomes waits until all events of a request are stored and makes their statuses final.
func (h *Handlers) awaitOutcomes(ctx context.Context, receipt *ingest.Result) error {
	if receipt.Frame == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, waitForStored)
	defer cancel()
	outcomes, err := h.opts.Progress.Outcomes(ctx, receipt.Frame)
	switch {
	case errors.Is(err, progress.ErrForgotten):
		return httpapi.Unavailable("the events are safe on disk, but so many were stored since that their outcome is no longer in memory; see their receipts")
	case errors.Is(err, context.DeadlineExceeded):
		return httpapi.Unavailable("the events are safe on disk, but storing them takes longer than 10 s; see their receipts later")
	case err != nil:
		return err
	}
	for i := range receipt.Items {
		item := &receipt.Items[i]
		outcome := outcomes.At(receipt.First + i)
		switch {
		case len(outcome.Problems) > 0:
			item.Status, item.Problems = ingest.Rejected, outcome.Problems
		case outcome.Fate == event.Duplicate:
			item.Status = ingest.Duplicate
		default:
			item.Status, item.Problems = ingest.Accepted, nil
		}
	}
	return nil
}
