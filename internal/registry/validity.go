package registry

import (
	"context"
	"crypto/subtle"
	"errors"
	"sync"
	"time"
)

// ErrKeyEnded is the cause with which a context of WhileValid ends when its key does.
var ErrKeyEnded = errors.New("the key is no longer valid")

// validityTick is how often keys in use are looked at: the clock may reach the end of
// one, or be set.
const validityTick = 250 * time.Millisecond

// validityWatch are the contexts of keys that are in use. The zero value is ready.
type validityWatch struct {
	mu  sync.Mutex // guards all
	all map[*keyContext]struct{}
}

type keyContext struct {
	digest digest
	cancel context.CancelCauseFunc
}

// WhileValid returns a context that ends with ctx, and with the cause ErrKeyEnded when
// the key of a secret ends: at once when it is revoked or its application is deleted
// here, and otherwise within a second of the server's clock. release must be called. It
// may be called concurrently.
func (r *Registry) WhileValid(ctx context.Context, secret string) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	d := digestOf(secret)
	for _, key := range r.bootstrapKeys { // valid as long as the server runs
		if subtle.ConstantTimeCompare(key.digest[:], d[:]) == 1 {
			return ctx, func() { cancel(nil) }
		}
	}
	v := &keyContext{d, cancel}
	r.validity.mu.Lock()
	if r.validity.all == nil {
		r.validity.all = map[*keyContext]struct{}{}
	}
	r.validity.all[v] = struct{}{}
	r.validity.mu.Unlock()
	if !r.current.Load().validDigest(v.digest) { // since it was found
		cancel(ErrKeyEnded)
	}
	return ctx, func() {
		r.validity.mu.Lock()
		delete(r.validity.all, v)
		r.validity.mu.Unlock()
		cancel(nil)
	}
}

func (s *snapshot) validDigest(d digest) bool {
	k := s.keys.Get(d)
	return k != nil && s.valid(k)
}

// endInvalid ends the contexts of keys that are not valid any more.
func (r *Registry) endInvalid() {
	r.validity.mu.Lock()
	defer r.validity.mu.Unlock()
	s := r.current.Load()
	for v := range r.validity.all {
		if !s.validDigest(v.digest) {
			v.cancel(ErrKeyEnded)
		}
	}
}

// watchClock looks at the keys in use until ctx ends.
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
