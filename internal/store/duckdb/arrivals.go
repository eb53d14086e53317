package duckdb

import (
	"iter"
	"maps"
	"strings"

	"theeye/internal/cow"
	"theeye/internal/event"
	"theeye/internal/store"
)

// hotFates counts the first arrivals in a memtable, by application and fate. Like arrivals, it never
// changes.
type hotFates struct {
	byApp *cow.Map[string, Counts]
}

// with returns the counts with those of a decision added.
func (h hotFates) with(d *decision) hotFates {
	more := map[string]Counts{}
	add := func(app string, carriedBy uint64, at event.Position, fate event.Fate) {
		if carriedBy == at.Frame { // else it is the outcome of a replay
			c := more[app]
			c.add(fate, 1)
			more[app] = c
		}
	}
	for _, e := range d.events {
		add(e.App, e.CarriedBy, e.Position, event.Stored)
	}
	for _, r := range d.rejections {
		add(r.App, r.CarriedBy, r.Position, event.Rejected)
	}
	for _, r := range d.residues {
		add(r.app, r.carriedBy, r.position, r.fate)
	}
	return hotFates{sum(h.byApp, more, func(a, b Counts) Counts { a.addAll(b); return a })}
}

// all yields all counts, in no order.
func (h hotFates) all() iter.Seq2[string, Counts] {
	if h.byApp == nil {
		return maps.All[map[string]Counts](nil)
	}
	return h.byApp.All()
}

// arrivals counts what was received, by application. It never changes: with returns another one
// that shares unchanged parts.
type arrivals struct {
	byApp *cow.Map[string, store.Arrivals]
}

// newArrivals returns a copy of counts.
func newArrivals(counts map[string]store.Arrivals) arrivals { return arrivals{}.with(counts) }

// with returns the arrivals with more added.
func (a arrivals) with(more map[string]store.Arrivals) arrivals {
	return arrivals{sum(a.byApp, more, store.Arrivals.Add)}
}

// sum returns a copy of a map by application, with more added.
func sum[V any](byApp *cow.Map[string, V], more map[string]V, add func(a, b V) V) *cow.Map[string, V] {
	next := byApp.Copy()
	for app, n := range more {
		known, ok := next.Find(app)
		if !ok {
			app = strings.Clone(app)
		}
		next.Set(app, add(known, n))
	}
	return next
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
