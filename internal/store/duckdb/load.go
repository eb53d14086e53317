package duckdb

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
)

// load opens what the manifest names and removes what it does not.
func (s *Store) load(ctx context.Context) error {
	m := emptyManifest()
	if s.keeps() {
		var err error
		if m, err = ReadManifest(s.opts.Dir); err != nil {
			return err
		}
		if err := m.addTombstones(s.opts.Tombstones); err != nil {
			return err
		}
		if err := s.sweep(m); err != nil {
			return err
		}
	}
	s.lastID.Store(m.NextID - 1)
	g, err := s.newGeneration(ctx, 1)
	if err != nil {
		return err
	}
	v := &view{hot: []*generation{g}}
	for _, info := range m.Segments {
		x, err := s.openSegment(ctx, info)
		if err != nil {
			return err
		}
		v.segments = append(v.segments, x)
	}
	s.change(func(next *state) {
		next.view, next.position, next.manifest = v, m.Flushed, &m
		next.arrivals = maps.Clone(m.Arrivals)
	})
	return nil
}

// sweep removes the files that no manifest names: what a crash left of a
// segment that was being written, or of one whose rows are elsewhere by now.
func (s *Store) sweep(m Manifest) error {
	named := map[string]bool{}
	for _, info := range m.Segments {
		named[info.Data.Name], named[info.Filter.Name] = true, true
	}
	for _, dir := range []string{s.segmentDir(), s.opts.TempDir, s.exportDir()} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return fmt.Errorf("read the store's folder: %w", err)
		}
		for _, entry := range entries {
			if named[entry.Name()] {
				continue
			}
			s.log.Info("a file that belongs to nothing is removed", "file", entry.Name())
			if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
				return fmt.Errorf("remove what belongs to nothing: %w", err)
			}
		}
	}
	return nil
}
