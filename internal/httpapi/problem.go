package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/backup"
	"theeye/internal/erasure"
	"theeye/internal/ingest"
	"theeye/internal/nofile"
	"theeye/internal/query"
	"theeye/internal/queue"
	"theeye/internal/registry"
	"theeye/internal/replay"
	"theeye/internal/schema"
	"theeye/internal/store"
)

// ProblemDetails is the body of every error (RFC 9457).
type ProblemDetails struct {
	Title  string `json:"title" doc:"the status in words"`
	Status int    `json:"status"`
	Detail string `json:"detail" doc:"what is wrong and what to do"`
	Line   int    `json:"line,omitzero" doc:"the line at which the body stops being valid JSON, from 1"`
	Column int    `json:"column,omitzero" doc:"the column, in code points, from 1"`
	// Pointer is the place in a schema that cannot be used.
	Pointer *string `json:"pointer,omitzero" doc:"a JSON Pointer to the fault in a schema; empty for the schema as a whole"`
	// Reasons are given for a schema that is not compatible.
	Reasons []schema.Reason `json:"reasons,omitempty" doc:"why a schema is not compatible with the version in force"`
	// Code names an error that programs handle, and Common belongs to position_gone.
	Code   string `json:"code,omitzero" enum:"position_gone" doc:"names an error that programs handle: position_gone, when the feed no longer has a position"`
	Common string `json:"common,omitzero" doc:"with position_gone: the last position that both the reader and the feed have; absent when they have nothing in common"`

	retryAfter string
	headers    map[string]string
	reason     string // for GET /v1/unreadable; derived from the status if empty
}

// Error implements error, so that a handler may return one.
func (p *ProblemDetails) Error() string { return p.Detail }

// NewProblem returns a problem. The detail says what is wrong and what to do.
func NewProblem(status int, detail string) *ProblemDetails {
	return &ProblemDetails{Title: http.StatusText(status), Status: status, Detail: detail}
}

// Problemf is NewProblem with a format.
func Problemf(status int, format string, args ...any) *ProblemDetails {
	return NewProblem(status, fmt.Sprintf(format, args...))
}

// Unavailable returns a 503 that asks the caller to try again in a second.
func Unavailable(detail string) *ProblemDetails {
	p := NewProblem(http.StatusServiceUnavailable, detail)
	p.retryAfter = "1"
	return p
}

// WithRetryAfter sets Retry-After, in whole seconds, and returns the problem.
func (p *ProblemDetails) WithRetryAfter(wait time.Duration) *ProblemDetails {
	p.retryAfter = strconv.FormatInt(int64(wait/time.Second), 10)
	return p
}

// WithReason sets the reason under which GET /v1/unreadable lists the request, and returns the
// problem. Without it the reason is derived from the status.
func (p *ProblemDetails) WithReason(reason string) *ProblemDetails {
	p.reason = reason
	return p
}

type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }

func panicked(value any) error { return &panicError{value, debug.Stack()} }

// ProblemOf maps errors to answers; it is the only such table. An unknown error becomes an internal
// error, whose cause is only logged.
func ProblemOf(err error) *ProblemDetails {
	var (
		own     *ProblemDetails
		syntax  *ingest.SyntaxError
		shape   *ingest.ShapeError
		count   *ingest.CountError
		param   *query.ParamError
		compile *schema.CompileError
		invalid *registry.InvalidError
		breaks  *registry.BreakingError
		request *replay.InvalidError
		tooBig  *http.MaxBytesError

		prepares *backup.PreparingError
	)
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &syntax):
		p := NewProblem(http.StatusBadRequest, syntax.Error())
		p.Line, p.Column = syntax.Line, syntax.Column
		return p
	case errors.As(err, &shape):
		return NewProblem(http.StatusBadRequest, shape.Error())
	case errors.As(err, &count):
		return NewProblem(http.StatusRequestEntityTooLarge, count.Error())
	case errors.As(err, &param):
		return NewProblem(http.StatusBadRequest, param.Error())
	case errors.As(err, &compile):
		p := NewProblem(http.StatusUnprocessableEntity, compile.Error())
		p.Pointer, p.Line, p.Column = &compile.Pointer, compile.Line, compile.Column
		return p
	case errors.As(err, &breaks):
		p := NewProblem(http.StatusConflict, breaks.Error())
		p.Reasons = breaks.Reasons
		return p
	case errors.As(err, &invalid):
		return NewProblem(http.StatusUnprocessableEntity, invalid.Error())
	case errors.As(err, &tooBig):
		return Problemf(http.StatusRequestEntityTooLarge, "the body is larger than %s", SizeText(tooBig.Limit))
	case errors.As(err, &request):
		return NewProblem(http.StatusUnprocessableEntity, request.Error())
	case errors.Is(err, replay.ErrBusy), errors.Is(err, replay.ErrErasing), errors.Is(err, replay.ErrEnded):
		return NewProblem(http.StatusConflict, err.Error())
	case errors.Is(err, replay.ErrNotFound):
		return NewProblem(http.StatusNotFound, err.Error())
	case errors.Is(err, replay.ErrClosed):
		return Unavailable(err.Error())
	case errors.Is(err, registry.ErrExists):
		return NewProblem(http.StatusConflict, err.Error())
	case errors.Is(err, registry.ErrNotFound):
		return NewProblem(http.StatusNotFound, err.Error())
	case errors.Is(err, registry.ErrNotCopied):
		return Unavailable("metadata.json in the data directory cannot be written, so nothing was changed: free some space or give the server write permission, and try again")
	case errors.Is(err, registry.ErrUnavailable):
		return Unavailable("the metadata cannot be written right now; try again")
	case errors.Is(err, queue.ErrTooLarge):
		return NewProblem(http.StatusRequestEntityTooLarge, "the events and their problems are too large together: send smaller batches")
	case errors.Is(err, queue.ErrFull):
		return Unavailable("the queue is full: nothing of this request was kept; try again later")
	case errors.Is(err, queue.ErrBroken), errors.Is(err, ingest.ErrClosed):
		return Unavailable("the server is stopping: nothing of this request was kept; try again")
	case errors.Is(err, queue.ErrUnknown):
		return Unavailable("the server does not know whether the events were kept: send them again with the same ids, which is safe")
	case errors.Is(err, erasure.ErrUnfinished):
		return Unavailable("the erasure is not finished and continues in the background: repeat the request until the answer is 200; if that does not happen, see the server's log")
	case errors.Is(err, store.ErrTooWide):
		return NewProblem(http.StatusBadRequest, err.Error())
	case errors.As(err, &prepares):
		return Unavailable(prepares.Error())
	case errors.Is(err, store.ErrLeaseEnded):
		return NewProblem(http.StatusGone, "the lease has ended: it expired, an erasure ended it, or the queue needed the space; request the manifest again")
	case errors.Is(err, store.ErrExportEnded):
		return Unavailable("an erasure ended the export: start it again")
	case errors.Is(err, store.ErrNotLeased):
		return NewProblem(http.StatusNotFound, "the lease has no file of this name")
	case errors.Is(err, nofile.ErrShort):
		return Unavailable("the server has too few file descriptors for this; try again, and raise its limit (ulimit -n)")
	case errors.Is(err, store.ErrUnavailable):
		return Unavailable("the store cannot answer right now; try again")
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return Unavailable("the disk of the data directory is full: free some space and try again")
	case errors.Is(err, context.DeadlineExceeded):
		return Unavailable("this took longer than the server allows; narrow it by time, session or category, or try again")
	case errors.Is(err, context.Canceled), errors.Is(err, io.ErrUnexpectedEOF):
		return NewProblem(http.StatusBadRequest, "the body is shorter than its Content-Length")
	}
	return NewProblem(http.StatusInternalServerError, "internal error; the server's log has the details")
}

// SizeText returns a size in bytes and, if it is a whole number of a larger unit, in that unit.
func SizeText(n int64) string {
	for _, unit := range []struct {
		name  string
		bytes int64
	}{{"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= unit.bytes && n%unit.bytes == 0 {
			return fmt.Sprintf("%d bytes (%d %s)", n, n/unit.bytes, unit.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

// setHeaders sets the headers of the problem.
func (p *ProblemDetails) setHeaders(h http.Header) {
	if p.retryAfter != "" {
		h.Set("Retry-After", p.retryAfter)
	}
	for k, v := range p.headers {
		h.Set(k, v)
	}
}

func writeProblem(w http.ResponseWriter, p *ProblemDetails) {
	p.setHeaders(w.Header())
	told := *p
	told.Detail = RedactKeys(p.Detail)
	b, err := json.Marshal(&told, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		b = []byte(`{"title":"Internal Server Error","status":500,"detail":"internal error"}`)
	}
	b = append(b, '\n') // for people who read it in a terminal
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(b)
}

func methodNotAllowed(method string, allowed []string) *ProblemDetails {
	p := Problemf(http.StatusMethodNotAllowed, "%s is not allowed here; use %s", method, strings.Join(allowed, ", "))
	p.headers = map[string]string{"Allow": strings.Join(allowed, ", ")}
	return p
}
