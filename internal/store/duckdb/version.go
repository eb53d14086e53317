package duckdb

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"theeye/internal/erasure"
)

// generation is a set of hot tables (S9). Rows are added to the newest one; an
// older one is being flushed.
type generation struct {
	number uint64
	in     *instance // that has the tables
	began  time.Time // when it got its first row

	// The maps and counts are guarded by Store.writing.
	seen    map[idKey]arrival      // events by id
	refused map[uuid.UUID]struct{} // rejections by their id, which the application is part of
	erased  map[idKey]erasedID     // arrivals that were erased when they came
	rows    int64
	bytes   int64 // of payloads, about

	replays atomic.Int64

	largestEvent, largestRejection atomic.Int64 // payloads, in bytes

	// Set when it is frozen: what it holds everything up to.
	position uint64
	arrivals arrivals

	views int // that have it; guarded by Store.mu
}

// largest tells the size of the largest payload of a table.
func (g *generation) largest(table string) *atomic.Int64 {
	if table == rejectionTable {
		return &g.largestRejection
	}
	return &g.largestEvent
}

// idle reports whether nothing was written.
func (g *generation) idle() bool { return g.rows == 0 }

// view is what a reader reads: hot tables and segments. Its lists never change;
// its members stay readable as long as somebody holds it (S7).
type view struct {
	hot      []*generation // oldest first
	segments []*segment

	holders int  // guarded by Store.mu
	retired bool // another one has taken its place; guarded by Store.mu
}

// state is what a reader needs to know of the writer. It is never changed.
type state struct {
	view     *view
	position uint64
	arrivals arrivals
	manifest *Manifest
	erased   *erasure.Set
	// told is the position that readers may know: while it is ahead of position,
	// after a reset, nothing is answered.
	told uint64
}

// snapshot is a state that somebody reads. It must be released.
type snapshot struct {
	*state
	store *Store
	in    *instance // that the view's members belong to
}

// snapshot takes the state of this moment.
func (s *Store) snapshot() *snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.view.holders++
	return &snapshot{s.state, s, s.reading}
}

// release ends the reading.
func (p *snapshot) release() {
	p.store.mu.Lock()
	p.view.holders--
	left := p.store.leaveLocked(p.view)
	p.store.mu.Unlock()
	p.store.discard(left)
}

// leavings are members that no view has any more.
type leavings struct {
	hot      []*generation
	segments []*segment
}

// leaveLocked takes a view apart that nobody holds and nobody will: this happens
// once. Its lists stay, for those who look at the current state without holding
// it. mu is held.
func (s *Store) leaveLocked(v *view) (left leavings) {
	if !v.retired || v.holders > 0 {
		return left
	}
	for _, g := range v.hot {
		if g.views--; g.views == 0 {
			left.hot = append(left.hot, g)
		}
	}
	for _, x := range v.segments {
		if x.views--; x.views == 0 {
			left.segments = append(left.segments, x)
		}
	}
	return left
}

// discard gives back what nobody reads any more. mu is not held.
func (s *Store) discard(left leavings) {
	for _, g := range left.hot {
		if g.in.gone.Load() {
			continue
		}
		for _, table := range dataTables() {
			if err := g.in.exec(context.Background(), "DROP TABLE "+hotName(table, g.number)); err != nil {
				s.log.Error("hot tables were not given back", "table", hotName(table, g.number), "error", err)
			}
		}
	}
	for _, x := range left.segments {
		s.discardSegment(x)
	}
}

// change makes another state out of the present one.
func (s *Store) change(how func(next *state)) {
	s.discard(s.swap(how))
}

func (s *Store) swap(how func(next *state)) leavings {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.state
	next := *old
	how(&next)
	s.state = &next
	if next.view == old.view {
		return leavings{}
	}
	for _, g := range next.view.hot {
		g.views++
	}
	for _, x := range next.view.segments {
		x.views++
	}
	old.view.retired = true
	return s.leaveLocked(old.view)
}

// instance is the DuckDB that is read at this moment.
func (s *Store) instance() *instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reading
}

// hot returns the generations of this moment. A view that is not held may be taken
// apart meanwhile.
func (s *Store) hot() []*generation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.view.hot
}

// current is the state of this moment, for the parts of it that need no holding.
func (s *Store) current() *state {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// replaced returns the segments of a view with some taken out and others put in,
// by id.
func (v *view) replaced(out, in []*segment) []*segment {
	list := slices.DeleteFunc(slices.Clone(v.segments), func(x *segment) bool { return slices.Contains(out, x) })
	list = append(list, in...)
	slices.SortFunc(list, func(a, b *segment) int { return int(int64(a.info.ID) - int64(b.info.ID)) })
	return list
}
