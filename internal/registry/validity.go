package registry

import (
	"context"
	"crypto/subtle"
	"errors"
	"sync"
	"time"
)

// ErrKeyEnded is the cause with which a context of WhileValid ends when its key is no longer valid.
var ErrKeyEnded = errors.New("the key is no longer valid")

// validityTick is how often the keys in use are checked: one may expire, or the clock may be set.
const validityTick = 250 * time.Millisecond

// validityWatch holds the contexts of the keys in use. The zero value is ready to use.
type validityWatch struct {
	mu  sync.Mutex // guards all
	all map[*keyContext]struct{}
}

type keyContext struct {
	digest digest
	cancel context.CancelCauseFunc
}

// WhileValid returns a context that ends with ctx, or with the cause ErrKeyEnded when the key of
// secret becomes invalid: at once if it is revoked or its application is deleted on this node,
// otherwise within a second. The caller must call release. WhileValid may be called concurrently.
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
	if !r.current.Load().validDigest(v.digest) { // it has become invalid since it was found
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

// endInvalid ends the contexts of keys that are no longer valid.
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
