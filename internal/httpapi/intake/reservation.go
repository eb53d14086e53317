package intake

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"theeye/internal/httpapi"
)

const (
	firstStep  = 4 << 10  // bytes for a body of which nothing has come
	pooledStep = 64 << 10 // bytes from which on a buffer of the pool is taken
	keptBuffer = 1 << 20  // bounds the buffers of the pool
	unpackWait = 2 * time.Second
)

// errBusy means that the application has its share of the memory for bodies.
var errBusy error = httpapi.Unavailable("too many large requests at once; try again")

// reservation is what one request has of the memory for bodies.
type reservation struct {
	intake  *Handlers
	app     string
	bytes   int64
	buffers [][]byte // to be given back to the pool
}

// acquire reports whether the application may have so many bytes more.
func (h *reservation) acquire(bytes int64) bool {
	if !h.intake.bodyBudget.TryAcquire(h.app, bytes) {
		return false
	}
	h.bytes += bytes
	return true
}

func (h *reservation) release(bytes int64) {
	h.bytes -= bytes
	h.intake.bodyBudget.Release(h.app, bytes)
}

// free gives everything back. What read and unpack returned must not be used any more.
func (h *reservation) free() {
	for _, b := range h.buffers {
		h.intake.unpack.keep(b)
	}
	if h.bytes > 0 {
		h.release(h.bytes)
	}
	h.buffers = nil
}

// read reads to the end, or one byte beyond a limit. It returns what it has read with any error, which
// is errBusy when there is no memory for more.
func (h *reservation) read(r io.Reader, limit int64) (b []byte, err error) {
	defer func() { h.buffers = append(h.buffers, b) }()
	for {
		if len(b) == cap(b) {
			if int64(len(b)) > limit {
				return b, nil
			}
			if b, err = h.grown(b, limit); err != nil {
				return b, err
			}
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
}

// grown returns b with twice the room, or with some more than a limit.
func (h *reservation) grown(b []byte, limit int64) ([]byte, error) {
	var larger []byte
	size := max(2*cap(b), firstStep)
	if cap(b) >= pooledStep {
		if pooled := h.intake.unpack.buffer(); cap(pooled) > cap(b) {
			larger, size = pooled, cap(pooled)
		} else {
			h.intake.unpack.keep(pooled)
		}
	}
	if larger == nil {
		size = int(min(int64(size), limit+1))
	}
	if !h.acquire(int64(size)) {
		return b, errBusy
	}
	if larger == nil {
		larger = make([]byte, 0, size)
	}
	larger = append(larger, b...)
	if cap(b) > 0 {
		h.intake.unpack.keep(b)
		h.release(int64(cap(b)))
	}
	return larger, nil
}

// unpack returns what is packed, as far as it can be unpacked, and one byte more than a request may have at
// most. Much memory is needed for a moment alone, so it waits for that.
func (h *reservation) unpack(ctx context.Context, encoding string, packed []byte) ([]byte, error) {
	window := windowOf(encoding)
	ctx, cancel := context.WithTimeout(ctx, unpackWait)
	defer cancel()
	if !h.intake.bodyBudget.Acquire(ctx, h.app, window) {
		return nil, errBusy
	}
	defer h.intake.bodyBudget.Release(h.app, window)
	r, done := h.intake.unpack.reader(encoding, bytes.NewReader(packed))
	defer done()
	return h.read(r, h.intake.opts.MaxRequestBytes)
}
