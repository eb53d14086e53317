package httpapi

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"unicode/utf8"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"theeye/internal/event"
	"theeye/internal/registry"
)

// signedCopies is how often the body of a signed request is in memory at most:
// as sent, three times while it is checked, and unpacked.
const signedCopies = 5

// leastBodies is how many of the largest bodies the memory must hold for one signed
// request, of which an application may have half.
const leastBodies = 2*signedCopies - 1

// verifySigned checks the signature of a request whose key asks for one, over the
// body as it was sent, and puts the body back for readBody. A request that does
// not pass leaves no trace in the books. It returns the request's idempotency
// key: given, or of a signed request its webhook-id, so that a request that is sent
// again, by its sender or by someone who saw it, stores nothing twice. free must
// be called when the body is no longer needed.
func (s *Server) verifySigned(c *Call, app, given string) (idempotencyKey string, free func(), err error) {
	free = func() {}
	if !c.Principal.Signing {
		return given, free, nil
	}
	id := c.Header.Get(webhooks.HeaderWebhookID)
	if utf8.RuneCountInString(id) > event.MaxTextCodePoints {
		return "", free, unsigned("webhook-id is longer than 200 characters")
	}
	limit := s.opts.MaxRequestBytes
	if c.ContentLength > limit {
		return "", free, s.tooLarge(false)
	}
	h := &reservation{server: s, app: app}
	free = h.free
	sent, err := h.read(http.MaxBytesReader(c.w, c.Body, limit), limit)
	if err == nil && !h.acquire((signedCopies-2)*int64(len(sent))) { // readBody counts the one that is unpacked
		err = errBusy
	}
	c.Body, c.ContentLength = io.NopCloser(bytes.NewReader(sent)), int64(len(sent))
	var tooBig *http.MaxBytesError
	switch {
	case errors.Is(err, errBusy):
		return "", free, err
	case errors.As(err, &tooBig):
		return "", free, s.tooLarge(false)
	case err != nil:
		return "", free, Problemf(http.StatusBadRequest, "the body ended after %d bytes, before its declared length", len(sent))
	}
	check, err := webhooks.NewWebhookRaw(registry.SigningKey(keyOf(c.Request, ForWrite)))
	if err == nil {
		err = check.Verify(sent, c.Header)
	}
	if err != nil {
		return "", free, unsigned(faultOfSignature(err))
	}
	if given != "" && given != id {
		return "", free, NewProblem(http.StatusBadRequest, "the webhook-id of a signed request is its idempotency key: leave Idempotency-Key out")
	}
	return id, free, nil
}

func unsigned(fault string) *ProblemDetails {
	p := Unauthorized("requests with this key must be signed: " + fault)
	p.reason = "bad_signature"
	return p
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
