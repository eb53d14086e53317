package ingest

import (
	"context"
	"sync"
)

// barrier lets a caller wait for all work that has entered so far, while more may enter.
type barrier struct {
	mu      sync.Mutex // guards present
	present *round
}

// round counts the work that entered between two waits.
type round struct {
	inside sync.WaitGroup
}

// enter counts a piece of work as begun. The caller must call leave when the work is done.
func (b *barrier) enter() (leave func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.present == nil {
		b.present = &round{}
	}
	r := b.present
	r.inside.Add(1)
	return sync.OnceFunc(r.inside.Done)
}

// wait returns when everything that entered before the call has left, or with the error of ctx.
func (b *barrier) wait(ctx context.Context) error {
	b.mu.Lock()
	r := b.present
	b.present = nil
	b.mu.Unlock()
	if r == nil {
		return nil
	}
	done := make(chan struct{})
	go func() {
		r.inside.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		b.mu.Lock() // the next wait includes these
		if b.present == nil {
			b.present = &round{}
		}
		next := b.present
		next.inside.Add(1)
		b.mu.Unlock()
		go func() {
			<-done
			next.inside.Done()
		}()
		return ctx.Err()
	}
}
