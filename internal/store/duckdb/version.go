package duckdb

import (
	"context"
	"slices"

	"theeye/internal/erasure"
)

// tableSet is the memtables and segments of a version. Its lists never change, and while it is
// pinned its members stay readable, whatever is flushed, merged or removed meanwhile (P5). Each
// member counts the table sets that contain it.
type tableSet struct {
	memtables []*memtable // oldest first
	segments  []*segment

	pins       int  // guarded by Store.mu
	superseded bool // another table set is current; guarded by Store.mu
}

// storeVersion is what readers see at one moment: the memtables and segments, the last stored
// frame, the counts of arrivals, the manifest and the erasures. It never changes; install makes
// another one current.
type storeVersion struct {
	tables   *tableSet
	position uint64 // the last stored frame
	arrivals arrivals
	fates    hotFates // of the newest memtable
	manifest *Manifest
	erased   *erasure.Set
	// announced is the greatest position that readers may have seen. After a reopening it is ahead
	// of position, and nothing is answered until position has caught up.
	announced uint64
}

// pinned is a version that is being read. It must be released.
type pinned struct {
	*storeVersion
	store *Store
	in    *instance // that the members of tables belong to
}

// pin returns the current version, pinned.
func (s *Store) pin() *pinned {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version.tables.pins++
	return &pinned{s.version, s, s.reading}
}

// again pins the same version once more.
func (p *pinned) again() *pinned {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	p.tables.pins++
	return &pinned{p.storeVersion, p.store, p.in}
}

// release removes the pin.
func (p *pinned) release() {
	p.store.mu.Lock()
	p.tables.pins--
	left := p.store.unrefLocked(p.tables)
	p.store.mu.Unlock()
	p.store.dropOrphans(left)
}

// orphans are memtables and segments that no table set contains any longer.
type orphans struct {
	memtables []*memtable
	segments  []*segment
}

// unrefLocked returns the orphans of a table set that is superseded and has no pins left, which
// happens once. The lists of the set do not change, because callers of current may still read them
// without a pin. The caller must hold s.mu.
func (s *Store) unrefLocked(t *tableSet) (left orphans) {
	if !t.superseded || t.pins > 0 {
		return left
	}
	for _, mt := range t.memtables {
		if mt.refs--; mt.refs == 0 {
			left.memtables = append(left.memtables, mt)
		}
	}
	for _, seg := range t.segments {
		if seg.refs--; seg.refs == 0 {
			left.segments = append(left.segments, seg)
		}
	}
	return left
}

// dropOrphans drops the tables of memtables, and detaches segments. The caller must not hold s.mu.
func (s *Store) dropOrphans(left orphans) {
	for _, mt := range left.memtables {
		if mt.in.closed.Load() {
			continue
		}
		for _, table := range dataTables() {
			if err := mt.in.exec(context.Background(), "DROP TABLE "+hotName(table, mt.number)); err != nil {
				s.log.Error("hot tables could not be dropped", "table", hotName(table, mt.number), "error", err)
			}
		}
	}
	for _, seg := range left.segments {
		s.closeSegment(seg)
	}
}

// install derives a version from the current one and makes it current. Orphans of the old one are
// dropped now, or when its last pin is released.
func (s *Store) install(change func(next *storeVersion)) {
	s.dropOrphans(s.exchange(change))
}

// exchange is like install, but returns the orphans instead of dropping them.
func (s *Store) exchange(change func(next *storeVersion)) orphans {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.version
	next := *old
	change(&next)
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

// instance returns the DuckDB that is read at this moment.
func (s *Store) instance() *instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reading
}

// memtables returns the memtables of the current version, without a pin.
func (s *Store) memtables() []*memtable {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version.tables.memtables
}

// current returns the current version, for what needs no pin.
func (s *Store) current() *storeVersion {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version
}

// withReplaced returns the segments of a table set without some and with others, sorted by id.
func (t *tableSet) withReplaced(out, in []*segment) []*segment {
	list := slices.DeleteFunc(slices.Clone(t.segments), func(seg *segment) bool { return slices.Contains(out, seg) })
	list = append(list, in...)
	slices.SortFunc(list, func(a, b *segment) int { return int(int64(a.info.ID) - int64(b.info.ID)) })
	return list
}
