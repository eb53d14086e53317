package httpapi

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"theeye/internal/event"
)

// body is a request's body, read and unpacked.
type body struct {
	bytes []byte
	lines bool // NDJSON
	free  func()
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
// share. free must be called when the bytes are no longer needed.
func (s *Server) readBody(c *call, app string) (body, error) {
	b := body{free: func() {}}
	form, err := contentForm(c.Request)
	if err != nil {
		return b, &unreadableError{code: event.UnsupportedContent, cause: err, prefix: s.prefix(c)}
	}
	b.lines = form == formLines
	limit := s.opts.MaxRequestBytes
	encoding := strings.ToLower(strings.TrimSpace(c.Header.Get("Content-Encoding")))
	if c.ContentLength > limit && (encoding == "" || encoding == "identity") {
		return b, &unreadableError{code: event.RequestTooLarge, cause: s.tooLarge(), prefix: s.prefix(c)}
	}
	need := limit
	if c.ContentLength >= 0 && (encoding == "" || encoding == "identity") {
		need = c.ContentLength
	}
	if need > 0 && !s.bodies.take(app, need) {
		return b, unavailable("too many large requests at a time; try again")
	}
	buffer := s.unpack.buffer()
	b.free = func() {
		s.unpack.buffers.Put(buffer)
		if need > 0 {
			s.bodies.give(app, need)
		}
	}
	packed := http.MaxBytesReader(c.w, c.Body, limit)
	unpacked, done, err := s.unpack.reader(encoding, packed)
	if err != nil {
		return b, &unreadableError{code: event.UnsupportedContent, cause: err}
	}
	defer done()
	if c.ContentLength > 0 && need == c.ContentLength {
		buffer.Grow(int(need) + bytes.MinRead)
	}
	n, err := buffer.ReadFrom(io.LimitReader(unpacked, limit+1))
	b.bytes = buffer.Bytes()
	var tooBig *http.MaxBytesError
	switch {
	case n > limit || errors.As(err, &tooBig):
		return b, &unreadableError{code: event.RequestTooLarge, cause: s.tooLarge(), prefix: b.bytes}
	case err != nil && (encoding == "" || encoding == "identity"):
		return b, &unreadableError{code: event.InvalidJSON, prefix: b.bytes,
			cause: problemf(http.StatusBadRequest, "the body could not be read to its end: %d bytes came", n)}
	case err != nil:
		return b, &unreadableError{code: event.UnsupportedContent, prefix: b.bytes,
			cause: problemf(http.StatusBadRequest, "the body is not what Content-Encoding: %s says, or ends too early", encoding)}
	case form == formForm && !looksLikeJSON(b.bytes):
		return b, &unreadableError{code: event.UnsupportedContent, cause: unsupportedType("application/x-www-form-urlencoded"), prefix: b.bytes}
	}
	return b, nil
}

// prefix reads a little of a body that will not be read further.
func (s *Server) prefix(c *call) []byte {
	b, _ := io.ReadAll(io.LimitReader(c.Body, 4<<10))
	return b
}

type bodyForm int

const (
	formJSON bodyForm = iota
	formLines
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
		return formLines, nil
	case kind == "application/x-www-form-urlencoded":
		return formForm, nil
	}
	return 0, unsupportedType(header)
}

func unsupportedType(kind string) error {
	return problemf(http.StatusUnsupportedMediaType,
		"Content-Type %.100s is not read: send application/json, or application/x-ndjson with one event in a line", kind)
}

func looksLikeJSON(b []byte) bool {
	b = bytes.TrimLeft(event.WithoutBOM(b), " \t\r\n")
	return len(b) > 0 && (b[0] == '{' || b[0] == '[')
}

// unpackers are kept for the next request, because they are large.
type unpackers struct {
	buffers, gzips, zstds sync.Pool
}

// keptBuffer bounds the buffers that are kept for the next request.
const keptBuffer = 1 << 20

func (u *unpackers) buffer() *bytes.Buffer {
	b, _ := u.buffers.Get().(*bytes.Buffer)
	if b == nil || b.Cap() > keptBuffer {
		return &bytes.Buffer{}
	}
	b.Reset()
	return b
}

// reader returns a reader of the unpacked body; done gives it back.
func (u *unpackers) reader(encoding string, packed io.Reader) (unpacked io.Reader, done func(), err error) {
	done = func() {}
	switch encoding {
	case "", "identity":
		return packed, done, nil
	case "gzip", "x-gzip":
		z, _ := u.gzips.Get().(*gzip.Reader)
		if z == nil {
			z = new(gzip.Reader)
		}
		if err := z.Reset(packed); err != nil {
			return failing{err}, done, nil //nolint:nilerr // told when it is read
		}
		return z, func() { u.gzips.Put(z) }, nil
	case "deflate":
		return deflate(packed), done, nil
	case "br":
		return brotli.NewReader(packed), done, nil
	case "zstd":
		z, _ := u.zstds.Get().(*zstd.Decoder)
		if z == nil {
			if z, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20), zstd.WithDecoderLowmem(true)); err != nil {
				return nil, done, err
			}
		}
		if err := z.Reset(packed); err != nil {
			return failing{err}, done, nil //nolint:nilerr // told when it is read
		}
		return z, func() { _ = z.Reset(nil); u.zstds.Put(z) }, nil
	}
	return nil, done, problemf(http.StatusUnsupportedMediaType,
		"Content-Encoding %.40s is not read: send gzip, deflate, br, zstd or none", encoding)
}

// deflate reads what RFC 9110 calls deflate (zlib), and the bare stream that
// some senders call so.
func deflate(packed io.Reader) io.Reader {
	head := make([]byte, 2)
	n, err := io.ReadFull(packed, head)
	whole := io.MultiReader(bytes.NewReader(head[:n]), packed)
	if err != nil {
		return failing{err}
	}
	if head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 {
		z, err := zlib.NewReader(whole)
		if err != nil {
			return failing{err}
		}
		return z
	}
	return flate.NewReader(whole)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
