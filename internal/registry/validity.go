package registry

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrKeyEnded is the cause with which a context of WhileValid or WhileLogin ends when its key or its
// login is no longer valid.
var ErrKeyEnded = errors.New("the key is no longer valid")

// validityTick is how often the keys in use are checked: one may expire, or the clock may be set.
const validityTick = 250 * time.Millisecond

// validityWatch holds the contexts of the keys in use. The zero value is ready to use.
type validityWatch struct {
	mu  sync.Mutex // guards all
	all map[*keyContext]struct{}
}

type keyContext struct {
	valid  func(*snapshot) bool
	cancel context.CancelCauseFunc
}

// WhileValid returns a context that ends with ctx, or with the cause ErrKeyEnded when the key of
// secret becomes invalid: at once if it is revoked or its application is deleted on this node,
// otherwise within a second. The caller must call release. WhileValid may be called concurrently.
func (r *Registry) WhileValid(ctx context.Context, secret string) (_ context.Context, release func()) {
	d := digestOf(secret)
	return r.while(ctx, func(s *snapshot) bool { _, _, ok := r.findIn(s, d); return ok })
}

// WhileLogin is WhileValid for the login of a token: it also ends when the login does.
func (r *Registry) WhileLogin(ctx context.Context, token string) (_ context.Context, release func()) {
	d := digestOf(token)
	return r.while(ctx, func(s *snapshot) bool { _, _, ok := r.findLogin(s, d); return ok })
}

func (r *Registry) while(ctx context.Context, valid func(*snapshot) bool) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	v := &keyContext{valid, cancel}
	r.validity.mu.Lock()
	if r.validity.all == nil {
		r.validity.all = map[*keyContext]struct{}{}
	}
	r.validity.all[v] = struct{}{}
	r.validity.mu.Unlock()
	if !valid(r.current.Load()) { // it has become invalid since it was found
		cancel(ErrKeyEnded)
	}
	return ctx, func() {
		r.validity.mu.Lock()
		delete(r.validity.all, v)
		r.validity.mu.Unlock()
		cancel(nil)
	}
}

// endInvalid ends the contexts of keys and logins that are no longer valid.
func (r *Registry) endInvalid() {
	r.validity.mu.Lock()
	defer r.validity.mu.Unlock()
	s := r.current.Load()
	for v := range r.validity.all {
		if !v.valid(s) {
			v.cancel(ErrKeyEnded)
		}
	}
}

// watchClock checks the keys in use every validityTick until ctx is done.
func (r *Registry) watchClock(ctx context.Context) {
	tick := time.NewTicker(validityTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			r.endInvalid()
		}
	}
}
