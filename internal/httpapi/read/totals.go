package read

import (
	"context"
	"fmt"
	"sync"
	"time"

	"theeye/internal/query"
	"theeye/internal/store"
)

const (
	// slowTotals is how long counting must take for its result to be used again. It is used for
	// reuseFactor times as long as the counting took, at most for maxReuse.
	slowTotals  = 100 * time.Millisecond
	reuseFactor = 20
	maxReuse    = time.Minute
	maxMemos    = 64
)

// totalsMemo remembers totals that took long, because many pages ask for the same span again and
// again. It is safe for concurrent use; the zero value is ready.
type totalsMemo struct {
	mu sync.Mutex // guards of
	of map[string]memo
}

type memo struct {
	totals store.Totals
	until  time.Time
}

// totals returns the totals of a span, or those of a span that is at most a minute off.
func (h *Handlers) totals(ctx context.Context, q query.Query) (store.Totals, error) {
	minute := store.Minute.Micros()
	key := fmt.Sprint(q.Apps, *q.From/minute, *q.To/minute)
	began := time.Now()
	h.memo.mu.Lock()
	known, ok := h.memo.of[key]
	h.memo.mu.Unlock()
	if ok && began.Before(known.until) {
		known.totals.Sampled = true
		return known.totals, nil
	}
	t, err := h.opts.Reader.Totals(ctx, q)
	if took := time.Since(began); err == nil && took > slowTotals {
		h.memo.keep(key, memo{t, time.Now().Add(min(reuseFactor*took, maxReuse))})
	}
	return t, err
}

// keep remembers totals, in place of those that are no longer used, or of all when there are too many.
func (m *totalsMemo) keep(key string, one memo) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for other, x := range m.of {
		if time.Now().After(x.until) {
			delete(m.of, other)
		}
	}
	if m.of == nil || len(m.of) >= maxMemos {
		m.of = map[string]memo{}
	}
	m.of[key] = one
}
