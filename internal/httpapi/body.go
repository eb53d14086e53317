package httpapi

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"theeye/internal/event"
)

// body is a request's body, read and unpacked.
type body struct {
	bytes  []byte
	ndjson bool // NDJSON
	free   func()
}

// unreadableError is a body that cannot be read as events, with what of it was
// seen.
type unreadableError struct {
	code   string
	cause  error // a *ProblemDetails or what problemOf knows
	prefix []byte
}

func (e *unreadableError) Error() string { return e.cause.Error() }
func (e *unreadableError) Unwrap() error { return e.cause }

// readBody reads and unpacks the body of an intake request. It holds at most
// MaxRequestBytes, and BodyMemory for all requests together, of which app gets its
// share. It takes of that what has come, so that slow senders hold little; a packed body
// is unpacked when all of it is there. free must be called when the bytes are no longer needed.
func (s *Server) readBody(c *Call, app string) (body, error) {
	h := &reservation{server: s, app: app}
	b := body{free: h.free}
	form, err := contentForm(c.Request)
	if err != nil {
		return b, &unreadableError{code: event.UnsupportedContent, cause: err, prefix: s.prefix(c)}
	}
	b.ndjson = form == formNDJSON
	limit := s.opts.MaxRequestBytes
	encoding := strings.ToLower(strings.TrimSpace(c.Header.Get("Content-Encoding")))
	plain := encoding == "" || encoding == "identity"
	if c.ContentLength > limit && plain {
		return b, &unreadableError{code: event.RequestTooLarge, cause: s.tooLarge(false), prefix: s.prefix(c)}
	}
	if !plain && windowOf(encoding) == 0 {
		return b, &unreadableError{code: event.UnsupportedContent, cause: Problemf(http.StatusUnsupportedMediaType,
			"Content-Encoding %.40s is not supported: use gzip, deflate, br or zstd, or leave it out", encoding)}
	}
	b.bytes, err = h.read(http.MaxBytesReader(c.w, c.Body, limit), limit)
	if !plain && !errors.Is(err, errBusy) {
		var unpacking error
		if b.bytes, unpacking = h.unpack(c.ctx(), encoding, b.bytes); unpacking != nil {
			err = cmp.Or(err, unpacking)
		}
	}
	var tooBig *http.MaxBytesError
	switch {
	case errors.Is(err, errBusy):
		return b, err
	case int64(len(b.bytes)) > limit || errors.As(err, &tooBig):
		return b, &unreadableError{code: event.RequestTooLarge, cause: s.tooLarge(!plain), prefix: b.bytes}
	case err != nil && plain:
		return b, &unreadableError{code: event.InvalidJSON, prefix: b.bytes,
			cause: Problemf(http.StatusBadRequest, "the body ended after %d bytes, before its declared length", len(b.bytes))}
	case err != nil:
		return b, &unreadableError{code: event.UnsupportedContent, prefix: b.bytes,
			cause: Problemf(http.StatusBadRequest, "the body is not valid %s, which Content-Encoding declares, or ends too early", encoding)}
	case event.ForeignForm(b.bytes) != "":
		return b, &unreadableError{code: event.InvalidJSON, cause: foreign(event.ForeignForm(b.bytes), plain), prefix: b.bytes}
	case form == formForm && !looksLikeJSON(b.bytes):
		return b, &unreadableError{code: event.UnsupportedContent, cause: unsupportedType("application/x-www-form-urlencoded"), prefix: b.bytes}
	}
	return b, nil
}

// foreign says what to do about a body that is in no form of JSON.
func foreign(form string, plain bool) error {
	switch {
	case form != "gzip" && form != "zstd":
		return NewProblem(http.StatusBadRequest, event.NotUTF8(form))
	case plain:
		return Problemf(http.StatusBadRequest, "this is %s; send it with Content-Encoding: %s", form, form)
	}
	return Problemf(http.StatusBadRequest, "this is %s still when it is unpacked; pack it once", form)
}

// prefix reads a little of a body that will not be read further.
func (s *Server) prefix(c *Call) []byte {
	b, _ := io.ReadAll(io.LimitReader(c.Body, 4<<10))
	return b
}

type bodyForm int

const (
	formJSON bodyForm = iota
	formNDJSON
	formForm // what curl -d says of everything
)

func contentForm(r *http.Request) (bodyForm, error) {
	header := r.Header.Get("Content-Type")
	if header == "" {
		return formJSON, nil
	}
	kind, _, err := mime.ParseMediaType(header)
	if err != nil {
		return 0, unsupportedType(header)
	}
	switch {
	case kind == "application/json", kind == "text/plain", kind == "text/json", strings.HasSuffix(kind, "+json"): // RFC 6839
		return formJSON, nil
	case kind == "application/x-ndjson", kind == "application/ndjson", kind == "application/jsonl":
		return formNDJSON, nil
	case kind == "application/x-www-form-urlencoded":
		return formForm, nil
	}
	return 0, unsupportedType(header)
}

func unsupportedType(kind string) error {
	return Problemf(http.StatusUnsupportedMediaType,
		"Content-Type %.100s is not supported: send application/json, or application/x-ndjson with one event per line", kind)
}

func looksLikeJSON(b []byte) bool {
	b = bytes.TrimLeft(event.WithoutBOM(b), " \t\r\n")
	return len(b) > 0 && (b[0] == '{' || b[0] == '[')
}
