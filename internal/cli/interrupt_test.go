package cli

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
)

// readerFunc is a function that implements io.Reader.
type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// The signal that interrupts a reader may also end the process that writes to it, in the middle of
// a line. That is not the end of the input.
func TestInterruptedEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan struct{})
		r := newInterruptibleReader(ctx, readerFunc(func(p []byte) (int, error) {
			<-gone
			return copy(p, `{"half`), io.EOF
		}))
		defer r.Close()
		synctest.Wait() // it reads
		cancel()
		close(gone)
		synctest.Wait() // it has read
		if b, err := io.ReadAll(r); string(b) != `{"half` || !errors.Is(err, errInterrupted) {
			t.Errorf("it reads %q and ends with %v", b, err)
		}
	})
}
