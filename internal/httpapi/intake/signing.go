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

// signedCopies is the maximum number of copies of a signed body in memory: one as sent, three while
// it is verified, and one decompressed.
const signedCopies = 5

// minBodies is the number of bodies of maximum size for which the budget must have room, so that
// one signed request fits although an application gets at most half of it.
const minBodies = 2*signedCopies - 1

// verifySigned verifies the signature of a request whose key requires one, over the body as it was
// sent, and puts the body back for readBody. A request that fails is not counted in the books. The
// idempotency key of a signed request is its webhook-id, so a request that is sent again, by its
// sender or by someone who recorded it, stores nothing twice. The caller must call free when it no
// longer needs the body, even after an error.
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
	if err == nil && !held.acquire((signedCopies-2)*int64(len(sent))) { // readBody acquires the decompressed copy
		err = errBusy
	}
	c.Body, c.ContentLength = io.NopCloser(bytes.NewReader(sent)), int64(len(sent))
	switch {
	case errors.Is(err, errBusy):
		return held.free, err
	case errors.As(err, new(*http.MaxBytesError)):
		return held.free, h.tooLarge(false)
	case isCutShort(err):
		return held.free, cutShort(len(sent))
	case err != nil:
		return held.free, httpapi.Problemf(http.StatusBadRequest, "the body cannot be read; it breaks after %d bytes", len(sent))
	}
	check, err := webhooks.NewWebhookRaw(registry.SigningKey(c.Key()))
	if err == nil {
		err = check.Verify(sent, c.Header)
	}
	if err != nil {
		return held.free, unsigned(faultOfSignature(err))
	}
	if a.idempotencyKey != "" && a.idempotencyKey != id {
		return held.free, httpapi.NewProblem(http.StatusBadRequest, "the webhook-id of a signed request is its idempotency key: omit Idempotency-Key")
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
		return "webhook-timestamp is more than 5 minutes off; sign each retry anew"
	}
	return "no signature in webhook-signature matches this id, timestamp and body as sent"
}
