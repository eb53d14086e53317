package intake

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"unicode/utf8"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"theeye/internal/event"
	"theeye/internal/httpapi"
	"theeye/internal/registry"
)

// signedCopies is how often the body of a signed request is in memory at most:
// as sent, three times while it is checked, and unpacked.
const signedCopies = 5

// leastBodies is how many of the largest bodies the memory must hold for one signed
// request, of which an application may have half.
const leastBodies = 2*signedCopies - 1

// verifySigned checks the signature of a request whose key asks for one, over the body as it was
// sent, and puts the body back for readBody. A request that does not pass leaves no trace in the
// books. The idempotency key of one that passes is its webhook-id, so that a request that is sent
// again, by its sender or by someone who saw it, stores nothing twice. free must be called, also
// after an error, when the body is no longer needed.
func (h *Handlers) verifySigned(c *httpapi.Call, a *admission) (free func(), err error) {
	if !c.Principal.Signing {
		return func() {}, nil
	}
	held := &reservation{intake: h, app: a.app.Name}
	id := c.Header.Get(webhooks.HeaderWebhookID)
	if utf8.RuneCountInString(id) > event.MaxTextCodePoints {
		return held.free, unsigned("webhook-id is longer than 200 characters")
	}
	limit := h.opts.MaxRequestBytes
	if c.ContentLength > limit {
		return held.free, h.tooLarge(false)
	}
	sent, err := held.read(http.MaxBytesReader(c.Writer(), c.Body, limit), limit)
	if err == nil && !held.acquire((signedCopies-2)*int64(len(sent))) { // readBody counts the one that is unpacked
		err = errBusy
	}
	c.Body, c.ContentLength = io.NopCloser(bytes.NewReader(sent)), int64(len(sent))
	switch {
	case errors.Is(err, errBusy):
		return held.free, err
	case errors.As(err, new(*http.MaxBytesError)):
		return held.free, h.tooLarge(false)
	case err != nil:
		return held.free, httpapi.Problemf(http.StatusBadRequest, "the body ended after %d bytes, before its declared length", len(sent))
	}
	check, err := webhooks.NewWebhookRaw(registry.SigningKey(c.Key()))
	if err == nil {
		err = check.Verify(sent, c.Header)
	}
	if err != nil {
		return held.free, unsigned(faultOfSignature(err))
	}
	if a.idempotencyKey != "" && a.idempotencyKey != id {
		return held.free, httpapi.NewProblem(http.StatusBadRequest, "the webhook-id of a signed request is its idempotency key: leave Idempotency-Key out")
	}
	a.idempotencyKey = id
	return held.free, nil
}

func unsigned(fault string) *httpapi.ProblemDetails {
	return httpapi.Unauthorized("requests with this key must be signed: " + fault).WithReason("bad_signature")
}

func faultOfSignature(err error) string {
	switch {
	case errors.Is(err, webhooks.ErrRequiredHeaders):
		return "send webhook-id, webhook-timestamp and webhook-signature"
	case errors.Is(err, webhooks.ErrInvalidHeaders):
		return "webhook-timestamp must be seconds since 1970"
	case errors.Is(err, webhooks.ErrMessageTooOld), errors.Is(err, webhooks.ErrMessageTooNew):
		return "webhook-timestamp is more than 5 minutes off; sign again when sending again"
	}
	return "no signature in webhook-signature is that of this id, this timestamp and this body as sent"
}
