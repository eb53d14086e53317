package duckdb

import (
	"context"
	"slices"

	"theeye/internal/erasure"
)

// tableSet is what a reader reads: hot tables and segments. Its lists never change;
// its members stay readable as long as somebody holds it (S7).
type tableSet struct {
	memtables []*memtable // oldest first
	segments  []*segment

	pins       int  // guarded by Store.mu
	superseded bool // another one has taken its place; guarded by Store.mu
}

// storeVersion is what a reader needs to know of the writer. It is never changed.
type storeVersion struct {
	tables   *tableSet
	position uint64
	arrivals arrivals
	manifest *Manifest
	erased   *erasure.Set
	// announced is the position that readers may know: while it is ahead of position,
	// after a reset, nothing is answered.
	announced uint64
}

// pinned is a state that somebody reads. It must be released.
type pinned struct {
	*storeVersion
	store *Store
	in    *instance // that the view's members belong to
}

// pin takes the state of this moment.
func (s *Store) pin() *pinned {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version.tables.pins++
	return &pinned{s.version, s, s.reading}
}

// release ends the reading.
func (p *pinned) release() {
	p.store.mu.Lock()
	p.tables.pins--
	left := p.store.unrefLocked(p.tables)
	p.store.mu.Unlock()
	p.store.dropOrphans(left)
}

// orphans are members that no view has any more.
type orphans struct {
	memtables []*memtable
	segments  []*segment
}

// unrefLocked takes a table set apart that nobody holds and nobody will: this happens
// once. Its lists stay, for those who look at the current state without holding
// it. mu is held.
func (s *Store) unrefLocked(v *tableSet) (left orphans) {
	if !v.superseded || v.pins > 0 {
		return left
	}
	for _, mt := range v.memtables {
		if mt.refs--; mt.refs == 0 {
			left.memtables = append(left.memtables, mt)
		}
	}
	for _, seg := range v.segments {
		if seg.refs--; seg.refs == 0 {
			left.segments = append(left.segments, seg)
		}
	}
	return left
}

// dropOrphans gives back what nobody reads any more. mu is not held.
func (s *Store) dropOrphans(left orphans) {
	for _, mt := range left.memtables {
		if mt.in.closed.Load() {
			continue
		}
		for _, table := range dataTables() {
			if err := mt.in.exec(context.Background(), "DROP TABLE "+hotName(table, mt.number)); err != nil {
				s.log.Error("hot tables were not given back", "table", hotName(table, mt.number), "error", err)
			}
		}
	}
	for _, seg := range left.segments {
		s.closeSegment(seg)
	}
}

// install makes another state out of the present one.
func (s *Store) install(how func(next *storeVersion)) {
	s.dropOrphans(s.exchange(how))
}

func (s *Store) exchange(how func(next *storeVersion)) orphans {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.version
	next := *old
	how(&next)
	s.version = &next
	if next.tables == old.tables {
		return orphans{}
	}
	for _, mt := range next.tables.memtables {
		mt.refs++
	}
	for _, seg := range next.tables.segments {
		seg.refs++
	}
	old.tables.superseded = true
	return s.unrefLocked(old.tables)
}

// instance is the DuckDB that is read at this moment.
func (s *Store) instance() *instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reading
}

// memtables returns the generations of this moment. A view that is not held may be taken
// apart meanwhile.
func (s *Store) memtables() []*memtable {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version.tables.memtables
}

// current is the state of this moment, for the parts of it that need no holding.
func (s *Store) current() *storeVersion {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version
}

// withReplaced returns the segments of a view with some taken out and others put in,
// by id.
func (v *tableSet) withReplaced(out, in []*segment) []*segment {
	list := slices.DeleteFunc(slices.Clone(v.segments), func(seg *segment) bool { return slices.Contains(out, seg) })
	list = append(list, in...)
	slices.SortFunc(list, func(a, b *segment) int { return int(int64(a.info.ID) - int64(b.info.ID)) })
	return list
}
