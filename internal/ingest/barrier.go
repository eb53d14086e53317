package ingest

import (
	"context"
	"sync"
)

// barrier lets one wait for all that were under way at a moment, while others begin.
type barrier struct {
	mu      sync.Mutex // guards present
	present *round
}

// round is those who entered between two waits.
type round struct {
	inside sync.WaitGroup
}

// enter returns what must be called once when the one who entered is through.
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

// wait returns when all who entered before it was called are through, or with the error of ctx.
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
		b.mu.Lock() // those who wait next wait for these as well
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
