package duckdb

import (
	"iter"
	"strings"

	"theeye/internal/cow"
	"theeye/internal/store"
)

// arrivals counts what was received, by application. It never changes: with returns another one
// that shares unchanged parts.
type arrivals struct {
	byApp *cow.Map[string, store.Arrivals]
}

// newArrivals returns a copy of counts.
func newArrivals(counts map[string]store.Arrivals) arrivals { return arrivals{}.with(counts) }

// with returns the arrivals with more added.
func (a arrivals) with(more map[string]store.Arrivals) arrivals {
	next := a.byApp.Copy()
	for app, n := range more {
		known, ok := next.Find(app)
		if !ok {
			app = strings.Clone(app)
		}
		next.Set(app, known.Add(n))
	}
	return arrivals{next}
}

// all yields all counts, in no order.
func (a arrivals) all() iter.Seq2[string, store.Arrivals] { return a.byApp.All() }

// apps yields the applications.
func (a arrivals) apps() iter.Seq[string] {
	return func(yield func(string) bool) {
		for app := range a.all() {
			if !yield(app) {
				return
			}
		}
	}
}
