package intake

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"

	"theeye/internal/event"
	"theeye/internal/httpapi"
	"theeye/internal/jsonx"
)

// body is the body of a request, read and decompressed.
type body struct {
	bytes    []byte
	ndjson   bool
	unparsed *unparsedBody // why it cannot be read as events; nil if that can be tried
	free     func()
}

// readBody reads and decompresses the body of an intake request. It holds at most MaxRequestBytes,
// within the application's share of the body budget. Memory is acquired as bytes arrive, so slow
// senders hold little; a compressed body is decompressed when it is complete. readBody fails if no
// memory is left. The caller must call free when it no longer needs the bytes, even after an error.
func (h *Handlers) readBody(c *httpapi.Call, app string) (body, error) {
	held := &reservation{intake: h, app: app}
	b := body{free: held.free}
	contentType := c.Header.Get("Content-Type")
	format, ok := formatOf(contentType)
	if !ok {
		b.unparsed = &unparsedBody{event.UnsupportedContent, unsupportedType(contentType), prefix(c)}
		return b, nil
	}
	b.ndjson = format == formatNDJSON
	limit := h.opts.MaxRequestBytes
	encoding := strings.ToLower(strings.TrimSpace(c.Header.Get("Content-Encoding")))
	plain := encoding == "" || encoding == "identity"
	if c.ContentLength > limit && plain {
		b.unparsed = &unparsedBody{event.RequestTooLarge, h.tooLarge(false), prefix(c)}
		return b, nil
	}
	if !plain && windowOf(encoding) == 0 {
		b.unparsed = &unparsedBody{code: event.UnsupportedContent, cause: httpapi.Problemf(http.StatusUnsupportedMediaType,
			"Content-Encoding %.40s is not supported: use gzip, deflate, br or zstd, or omit it", encoding)}
		return b, nil
	}
	var err error
	b.bytes, err = held.read(http.MaxBytesReader(c.Writer(), c.Body, limit), limit)
	if isCutShort(err) {
		return b, cutShort(len(b.bytes))
	}
	if err == nil && !plain {
		b.bytes, err = held.unpack(c.Context(), encoding, b.bytes)
	}
	if errors.Is(err, errBusy) {
		return b, err
	}
	if code, cause := h.faultOfBody(b.bytes, err, format, encoding); cause != nil {
		b.unparsed = &unparsedBody{code: code, cause: cause}
	}
	return b, nil
}

// faultOfBody says why a body that was read and decompressed cannot be read as events; cause is nil
// if it may be possible. err is the error of reading or decompressing.
func (h *Handlers) faultOfBody(b []byte, err error, format bodyFormat, encoding string) (code string, cause error) {
	plain := encoding == "" || encoding == "identity"
	switch {
	case int64(len(b)) > h.opts.MaxRequestBytes || errors.As(err, new(*http.MaxBytesError)):
		return event.RequestTooLarge, h.tooLarge(!plain)
	case err != nil && plain:
		return event.InvalidJSON, httpapi.Problemf(http.StatusBadRequest, "the body is not in the form that Transfer-Encoding declares; it breaks after %d bytes", len(b))
	case err != nil:
		return event.UnsupportedContent, httpapi.Problemf(http.StatusBadRequest, "the body is not valid %s, as declared by Content-Encoding, or it ends early", encoding)
	}
	if foreignForm := jsonx.ForeignForm(b); foreignForm != "" {
		return event.InvalidJSON, foreign(foreignForm, plain)
	}
	if format == formatURLEncoded && !looksLikeJSON(b) {
		return event.UnsupportedContent, unsupportedType("application/x-www-form-urlencoded")
	}
	return "", nil
}

// isCutShort reports whether an error of reading a body means that the rest did not arrive.
func isCutShort(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, new(net.Error))
}

// cutShort is the error for a body that did not arrive as a whole. Its sender does not know its fate
// and sends it again, so it is not kept.
func cutShort(bytes int) error {
	return httpapi.Problemf(http.StatusRequestTimeout, "the body ended after %d bytes, before its declared length, or did not arrive in time; send it again", bytes)
}

// tooLarge states the limits of a body and of an event; packed says whether the body was
// compressed.
func (h *Handlers) tooLarge(packed bool) *httpapi.ProblemDetails {
	unpacked := ""
	if packed {
		unpacked = " after decompression"
	}
	return httpapi.Problemf(http.StatusRequestEntityTooLarge, "the body is larger than %s%s (--max-request-bytes): send smaller batches; one event may have at most %s (--max-event-bytes)",
		httpapi.SizeText(h.opts.MaxRequestBytes), unpacked, httpapi.SizeText(h.opts.MaxEventBytes))
}

// foreign says what to do about a body that is not JSON in UTF-8.
func foreign(form string, plain bool) error {
	switch {
	case form != "gzip" && form != "zstd":
		return httpapi.NewProblem(http.StatusBadRequest, jsonx.NotUTF8(form))
	case plain:
		return httpapi.Problemf(http.StatusBadRequest, "this is %s; send it with Content-Encoding: %s", form, form)
	}
	return httpapi.Problemf(http.StatusBadRequest, "the body is still %s after decompression; compress it once", form)
}

// prefix reads only the beginning of a body.
func prefix(c *httpapi.Call) []byte {
	b, _ := io.ReadAll(io.LimitReader(c.Body, 4<<10))
	return b
}

type bodyFormat int

const (
	formatJSON bodyFormat = iota
	formatNDJSON
	formatURLEncoded // which curl -d declares for everything
)

// formatOf returns the format that a Content-Type declares. It reports false for types that are not
// supported.
func formatOf(contentType string) (format bodyFormat, ok bool) {
	if contentType == "" {
		return formatJSON, true
	}
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return 0, false
	}
	switch {
	case kind == "application/json", kind == "text/plain", kind == "text/json", strings.HasSuffix(kind, "+json"): // RFC 6839
		return formatJSON, true
	case kind == "application/x-ndjson", kind == "application/ndjson", kind == "application/jsonl":
		return formatNDJSON, true
	case kind == "application/x-www-form-urlencoded":
		return formatURLEncoded, true
	}
	return 0, false
}

func unsupportedType(kind string) *httpapi.ProblemDetails {
	return httpapi.Problemf(http.StatusUnsupportedMediaType,
		"Content-Type %.100s is not supported: send application/json, or application/x-ndjson with one event per line", kind)
}

func looksLikeJSON(b []byte) bool {
	b = bytes.TrimLeft(jsonx.WithoutBOM(b), " \t\r\n")
	return len(b) > 0 && (b[0] == '{' || b[0] == '[')
}
