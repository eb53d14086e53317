package cli

import (
	"context"
	"errors"
	"io"
)

// pipeChunk is the size of one read of an input, in bytes.
const pipeChunk = 64 << 10

// errInterrupted ends an input whose reading was interrupted.
var errInterrupted = errors.New("interrupted")

// interruptibleReader reads from another reader until a context is done. It then returns what was
// read so far, followed by errInterrupted. It does not wait for a read of the other reader that is
// under way: on a pipe to which nothing is written, that read blocks until the process ends.
type interruptibleReader struct {
	interrupted <-chan struct{}
	chunks      chan readChunk
	closed      chan struct{}
	last        readChunk
}

// readChunk is the result of one read.
type readChunk struct {
	bytes []byte
	err   error
}

// newInterruptibleReader returns a reader that must be closed exactly once. Closing it does not
// close from.
func newInterruptibleReader(ctx context.Context, from io.Reader) *interruptibleReader {
	r := &interruptibleReader{interrupted: ctx.Done(), chunks: make(chan readChunk, 1), closed: make(chan struct{})}
	go func() {
		for ctx.Err() == nil {
			buffer := make([]byte, pipeChunk)
			n, err := from.Read(buffer)
			select {
			case r.chunks <- readChunk{buffer[:n], err}:
			case <-r.closed:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return r
}

// Read implements io.Reader.
func (r *interruptibleReader) Read(p []byte) (int, error) {
	for len(r.last.bytes) == 0 {
		if r.last.err != nil {
			return 0, r.last.err
		}
		select {
		case r.last = <-r.chunks:
			r.treatEndAsInterruption()
		case <-r.closed:
			return 0, errInterrupted
		case <-r.interrupted:
			select {
			case r.last = <-r.chunks:
				r.treatEndAsInterruption()
			default:
				r.last.err = errInterrupted
			}
		}
	}
	n := copy(p, r.last.bytes)
	r.last.bytes = r.last.bytes[n:]
	return n, nil
}

// treatEndAsInterruption treats an end of the input after the interruption as part of it: the
// signal may also have ended the process that wrote the input, in the middle of a line.
func (r *interruptibleReader) treatEndAsInterruption() {
	select {
	case <-r.interrupted:
		if errors.Is(r.last.err, io.EOF) {
			r.last.err = errInterrupted
		}
	default:
	}
}

// Close stops reading ahead, and ends a Read that waits.
func (r *interruptibleReader) Close() { close(r.closed) }
