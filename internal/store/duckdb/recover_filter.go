package duckdb

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"

	"theeye/internal/durable"
	"theeye/internal/store/duckdb/filter"
)

// rebuildAll rebuilds filters from their segments, and damaged segments from the queue.
func (s *Store) rebuildAll(ctx context.Context) error {
	for _, id := range s.segmentsWithoutFilter() {
		if err := s.rebuildFilter(ctx, id); err != nil {
			return err
		}
	}
	return s.recoverDamaged(ctx)
}

// segmentsWithoutFilter returns the ids of the segments that are searched without a filter.
func (s *Store) segmentsWithoutFilter() (ids []uint64) {
	p := s.pin()
	defer p.release()
	for _, seg := range p.tables.segments {
		if seg.filters.Load() == nil {
			ids = append(ids, seg.info.ID)
		}
	}
	return ids
}

// rebuildFilter builds the filters of a segment from its rows. Until then, the segment is searched
// without filters.
func (s *Store) rebuildFilter(ctx context.Context, id uint64) error {
	s.upkeep.Lock()
	defer s.upkeep.Unlock()
	p := s.pin()
	defer p.release()
	i := slices.IndexFunc(p.tables.segments, func(seg *segment) bool { return seg.info.ID == id })
	if i < 0 {
		return nil
	}
	seg := p.tables.segments[i]
	packed, err := filterSegment(ctx, s.reading, attachedName(id), &seg.info)
	if err != nil {
		return storeError(ctx, "read the keys of a filter", err)
	}
	info, err := s.writeFilter(seg.info.Filter.Name, packed)
	if err != nil {
		return fmt.Errorf("write filter %s: %w", seg.info.Filter.Name, err)
	}
	f, err := filter.Open(s.segmentPath(info.Name), seg.info.Slices)
	if err != nil {
		return fmt.Errorf("open filter %s: %w", info.Name, err)
	}
	m := *p.manifest
	m.Segments = slices.Clone(m.Segments)
	for n := range m.Segments {
		if m.Segments[n].ID == id {
			m.Segments[n].Filter = info
		}
	}
	if err := s.commit(&m); err != nil {
		_ = f.Close()
		return err
	}
	seg.filters.Store(f)
	s.install(func(next *storeVersion) { next.manifest = &m })
	s.log.Info("a segment's filter was rebuilt", "segment", seg.info.Data.Name)
	return nil
}

// writeFilter replaces a file of filters that is missing or damaged.
func (s *Store) writeFilter(name string, packed []byte) (FileInfo, error) {
	path := s.segmentPath(name)
	info := FileInfo{Name: name}
	err := durable.Write(path+".tmp", bytes.NewReader(packed))
	if err == nil {
		err = describe(path+".tmp", &info)
	}
	if err == nil {
		err = os.Rename(path+".tmp", path)
	}
	if err != nil {
		_ = os.Remove(path + ".tmp")
		return info, err
	}
	return info, durable.SyncDir(s.segmentDir())
}
