package httpapi

import (
	"context"
	"errors"
	"sync"
)

// life is that of a server: it has handlers until it is closed, and work that outlives its caller.
type life struct {
	ctx      context.Context //nolint:containedctx // the life of the server, not of a call
	end      context.CancelCauseFunc
	mu       sync.Mutex // keeps handlers from entering once ctx has ended
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

// outlive returns a context for what is finished also when the caller is gone. It ends when the server
// is closed; release must be called.
func (l *life) outlive(ctx context.Context) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(l.ctx, func() { cancel(errClosing) })
	return ctx, func() { stop(); cancel(nil) }
}

var errClosing = errors.New("the server is stopping")

// Close ends what outlives its caller and waits for all handlers, or returns the error of ctx. Requests
// that come later are answered with 503. What handlers use may be closed after it has returned nil. It
// may be called again.
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
