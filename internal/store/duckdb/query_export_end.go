package duckdb

import (
	"context"
	"errors"
	"sync"

	"theeye/internal/store"
)

// endings are the exports that run, for EndExports.
type endings struct {
	mu      sync.Mutex // guards what follows
	running map[*running]struct{}
	ended   chan struct{} // closed by EndExports, and made anew
}

// running is an export, until what it took is given back.
type running struct {
	cancel context.CancelCauseFunc
	done   chan struct{}
}

func newEndings() *endings {
	return &endings{running: map[*running]struct{}{}, ended: make(chan struct{})}
}

// begin returns a context that ends with EndExports, and what gives it back.
func (x *endings) begin(ctx context.Context) (_ context.Context, leave func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	r := &running{cancel, make(chan struct{})}
	x.mu.Lock()
	x.running[r] = struct{}{}
	x.mu.Unlock()
	return ctx, sync.OnceFunc(func() {
		x.mu.Lock()
		delete(x.running, r)
		x.mu.Unlock()
		cancel(nil)
		close(r.done)
	})
}

// EndExports ends all exports that run with store.ErrExportEnded, because what they
// give has been erased, and returns when nothing of theirs is left on disk. It does not
// wait for their callers.
func (s *Store) EndExports() {
	s.endings.mu.Lock()
	var list []*running
	for r := range s.endings.running {
		r.cancel(store.ErrExportEnded)
		list = append(list, r)
	}
	close(s.endings.ended)
	s.endings.ended = make(chan struct{})
	s.endings.mu.Unlock()
	for _, r := range list {
		<-r.done
	}
}

// ExportsEnded returns a channel that is closed by the next EndExports.
func (s *Store) ExportsEnded() <-chan struct{} {
	s.endings.mu.Lock()
	defer s.endings.mu.Unlock()
	return s.endings.ended
}

// endOf returns store.ErrExportEnded for an error of an export that was ended.
func endOf(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), store.ErrExportEnded) {
		return store.ErrExportEnded
	}
	return err
}
