package httpapi

import (
	"context"
	"errors"
	"sync"
)

// life is the lifetime of a server: its handlers run until it is closed, and so does work that
// outlives its caller.
type life struct {
	ctx      context.Context //nolint:containedctx // the life of the server, not of a call
	end      context.CancelCauseFunc
	mu       sync.Mutex // keeps handlers from entering once ctx is done
	handlers sync.WaitGroup
}

func newLife() *life {
	l := &life{}
	l.ctx, l.end = context.WithCancelCause(context.Background())
	return l
}

// enter reports whether a handler may begin; it calls leave when it is done.
func (l *life) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil {
		return false
	}
	l.handlers.Add(1)
	return true
}

func (l *life) leave() { l.handlers.Done() }

// outlive returns a context for work that is finished even if the caller goes away. It ends when
// the server is closed. The caller must call release.
func (l *life) outlive(ctx context.Context) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(l.ctx, func() { cancel(errClosing) })
	return ctx, func() { stop(); cancel(nil) }
}

var errClosing = errors.New("the server is stopping")

// Close cancels work that outlives its caller and waits for all handlers, or returns the error of
// ctx. Later requests are answered with 503. After Close has returned nil, what handlers use may be
// closed. It may be called more than once.
func (s *Server) Close(ctx context.Context) error {
	l := s.life
	l.mu.Lock()
	l.end(errClosing)
	l.mu.Unlock()
	left := make(chan struct{})
	go func() {
		l.handlers.Wait()
		close(left)
	}()
	select {
	case <-left:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
