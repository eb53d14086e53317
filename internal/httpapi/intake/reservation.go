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
	minBuffer       = 4 << 10  // bytes of the first buffer of a body
	minPooledBuffer = 64 << 10 // bytes beyond which buffers come from the pool
	maxPooledBuffer = 1 << 20  // largest buffer that the pool keeps, in bytes
	unpackWait      = 2 * time.Second
)

// errBusy means that the application has used up its share of the body budget.
var errBusy error = httpapi.Unavailable("too many large requests at once; try again")

// reservation is the part of the body budget that one request holds.
type reservation struct {
	intake  *Handlers
	app     string
	bytes   int64
	buffers [][]byte // to be returned to the pool
}

// acquire takes bytes of the budget, and reports whether they were available.
func (res *reservation) acquire(bytes int64) bool {
	if !res.intake.bodyBudget.TryAcquire(res.app, bytes) {
		return false
	}
	res.bytes += bytes
	return true
}

func (res *reservation) release(bytes int64) {
	res.bytes -= bytes
	res.intake.bodyBudget.Release(res.app, bytes)
}

// free releases everything. The bytes that read and unpack returned must not be used afterwards.
func (res *reservation) free() {
	for _, b := range res.buffers {
		res.intake.unpack.keep(b)
	}
	if res.bytes > 0 {
		res.release(res.bytes)
	}
	res.buffers = nil
}

// read reads to the end, or one byte beyond limit. Together with an error, it returns what it has
// read; errBusy means that no memory was left.
func (res *reservation) read(r io.Reader, limit int64) (b []byte, err error) {
	defer func() { res.buffers = append(res.buffers, b) }()
	for {
		if len(b) == cap(b) {
			if int64(len(b)) > limit {
				return b, nil
			}
			if b, err = res.grown(b, limit); err != nil {
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

// grown returns b with twice the capacity, which exceeds limit by one byte at most.
func (res *reservation) grown(b []byte, limit int64) ([]byte, error) {
	var larger []byte
	size := max(2*cap(b), minBuffer)
	if cap(b) >= minPooledBuffer {
		if pooled := res.intake.unpack.buffer(); cap(pooled) > cap(b) {
			larger, size = pooled, cap(pooled)
		} else {
			res.intake.unpack.keep(pooled)
		}
	}
	if larger == nil {
		size = int(min(int64(size), limit+1))
	}
	if !res.acquire(int64(size)) {
		return b, errBusy
	}
	if larger == nil {
		larger = make([]byte, 0, size)
	}
	larger = append(larger, b...)
	if cap(b) > 0 {
		res.intake.unpack.keep(b)
		res.release(int64(cap(b)))
	}
	return larger, nil
}

// unpack returns the decompressed content, as far as it is valid, and at most one byte more than a
// request may have. The decoder's window is needed only briefly, so unpack waits for that memory.
func (res *reservation) unpack(ctx context.Context, encoding string, packed []byte) ([]byte, error) {
	window := windowOf(encoding)
	ctx, cancel := context.WithTimeout(ctx, unpackWait)
	defer cancel()
	if !res.intake.bodyBudget.Acquire(ctx, res.app, window) {
		return nil, errBusy
	}
	defer res.intake.bodyBudget.Release(res.app, window)
	r, done := res.intake.unpack.reader(encoding, bytes.NewReader(packed))
	defer done()
	return res.read(r, res.intake.opts.MaxRequestBytes)
}
