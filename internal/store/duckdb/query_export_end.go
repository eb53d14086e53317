package duckdb

import (
	"context"
	"errors"
	"sync"

	"theeye/internal/store"
)

// runningExports are the running exports, for EndExports.
type runningExports struct {
	mu    sync.Mutex // guards the fields below
	set   map[*runningExport]struct{}
	ended chan struct{} // closed and replaced by EndExports
}

// runningExport is an export that has not released its files yet.
type runningExport struct {
	cancel context.CancelCauseFunc
	done   chan struct{}
}

func newRunningExports() *runningExports {
	return &runningExports{set: map[*runningExport]struct{}{}, ended: make(chan struct{})}
}

// begin registers an export, until leave is called. It returns a context that EndExports cancels.
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

// EndExports ends all running exports with store.ErrExportEnded, because something that they read
// has been erased. It returns when their files are deleted, and does not wait for their callers.
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

// ExportsEnded returns a channel that the next EndExports closes.
func (s *Store) ExportsEnded() <-chan struct{} {
	s.exports.mu.Lock()
	defer s.exports.mu.Unlock()
	return s.exports.ended
}

// exportError returns store.ErrExportEnded for an error that EndExports has caused, else err.
func exportError(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), store.ErrExportEnded) {
		return store.ErrExportEnded
	}
	return err
}
