package duckdb

import (
	"hash/maphash"
	"iter"
	"maps"
	"slices"
	"strings"

	"theeye/internal/store"
)

// arrivals counts what was received, by application. It is never changed: another one with more shares
// all parts with it in which nothing differs.
type arrivals struct {
	seed  maphash.Seed
	parts []map[string]store.Arrivals // by hash of the application; nil for none
}

const arrivalParts = 256

// newArrivals takes over counts, which are copied.
func newArrivals(counts map[string]store.Arrivals) arrivals {
	return arrivals{maphash.MakeSeed(), make([]map[string]store.Arrivals, arrivalParts)}.with(counts)
}

// with returns what is there and more.
func (a arrivals) with(more map[string]store.Arrivals) arrivals {
	next := arrivals{a.seed, slices.Clone(a.parts)}
	copied := make(map[uint64]bool, min(len(more), arrivalParts))
	for app, n := range more {
		part := maphash.String(a.seed, app) % arrivalParts
		if !copied[part] {
			copied[part] = true
			if next.parts[part] = maps.Clone(a.parts[part]); next.parts[part] == nil {
				next.parts[part] = map[string]store.Arrivals{}
			}
		}
		known, ok := next.parts[part][app]
		if !ok {
			app = strings.Clone(app)
		}
		next.parts[part][app] = known.Add(n)
	}
	return next
}

// all yields all counts, in no order.
func (a arrivals) all() iter.Seq2[string, store.Arrivals] {
	return func(yield func(string, store.Arrivals) bool) {
		for _, part := range a.parts {
			for app, n := range part {
				if !yield(app, n) {
					return
				}
			}
		}
	}
}

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
