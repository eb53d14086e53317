package duckdb

import (
	"context"
	"errors"
	"sync"

	"theeye/internal/store"
)

// runningExports are the exports that run, for EndExports.
type runningExports struct {
	mu    sync.Mutex // guards what follows
	set   map[*runningExport]struct{}
	ended chan struct{} // closed by EndExports, and made anew
}

// runningExport is an export, until what it took is given back.
type runningExport struct {
	cancel context.CancelCauseFunc
	done   chan struct{}
}

func newRunningExports() *runningExports {
	return &runningExports{set: map[*runningExport]struct{}{}, ended: make(chan struct{})}
}

// begin returns a context that ends with EndExports, and what gives it back.
func (e *runningExports) begin(ctx context.Context) (_ context.Context, leave func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	r := &runningExport{cancel, make(chan struct{})}
	e.mu.Lock()
	e.set[r] = struct{}{}
	e.mu.Unlock()
	return ctx, sync.OnceFunc(func() {
		e.mu.Lock()
		delete(e.set, r)
		e.mu.Unlock()
		cancel(nil)
		close(r.done)
	})
}

// EndExports ends all exports that run with store.ErrExportEnded, because what they
// give has been erased, and returns when nothing of theirs is left on disk. It does not
// wait for their callers.
func (s *Store) EndExports() {
	s.exports.mu.Lock()
	var list []*runningExport
	for r := range s.exports.set {
		r.cancel(store.ErrExportEnded)
		list = append(list, r)
	}
	close(s.exports.ended)
	s.exports.ended = make(chan struct{})
	s.exports.mu.Unlock()
	for _, r := range list {
		<-r.done
	}
}

// ExportsEnded returns a channel that is closed by the next EndExports.
func (s *Store) ExportsEnded() <-chan struct{} {
	s.exports.mu.Lock()
	defer s.exports.mu.Unlock()
	return s.exports.ended
}

// exportError returns store.ErrExportEnded for an error of an export that was ended.
func exportError(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), store.ErrExportEnded) {
		return store.ErrExportEnded
	}
	return err
}
