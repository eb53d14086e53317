package duckdb

import (
	"context"
	"errors"
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
		if err := s.inPlace(m); err != nil {
			return err
		}
		if err := s.sweep(m); err != nil {
			return err
		}
	}
	s.lastID.Store(m.NextID - 1)
	v, m, err := s.assemble(ctx, s.reading, m, 1)
	if err != nil {
		return err
	}
	s.change(func(next *state) {
		next.view, next.position, next.manifest = v, m.Flushed, &m
		next.arrivals = maps.Clone(m.Arrivals)
	})
	return nil
}

// inPlace refuses a store of which every segment is missing: rather than all of
// them being damaged at once, its folder is not there.
func (s *Store) inPlace(m Manifest) error {
	for _, info := range m.Segments {
		if _, err := os.Stat(s.segmentPath(info.Data.Name)); !errors.Is(err, os.ErrNotExist) {
			return nil
		}
	}
	if len(m.Segments) < 2 { // a single one may well be lost
		return nil
	}
	return fmt.Errorf("none of the %d segments of the store is in %s: put the folder back, or see whether its disk is mounted; to begin without them, remove %s",
		len(m.Segments), s.segmentDir(), filepath.Join(s.opts.Dir, manifestName))
}

// assemble makes a view of what a manifest names in a new instance, with empty
// hot tables of the given number. Segments that are damaged are left out, by a
// manifest that is in force when it returns.
func (s *Store) assemble(ctx context.Context, in *instance, m Manifest, number uint64) (*view, Manifest, error) {
	g, err := makeGeneration(ctx, in, number)
	if err != nil {
		return nil, m, err
	}
	v := &view{hot: []*generation{g}}
	whole := m
	for _, info := range m.Segments {
		x, err := s.attach(ctx, in, info)
		if damage, ok := errors.AsType[*damageError](err); ok {
			whole = whole.without(info.ID, damage.Error())
			continue
		}
		if err != nil {
			return nil, m, errors.Join(err, v.closeFilters())
		}
		v.segments = append(v.segments, x)
	}
	if len(whole.Segments) == len(m.Segments) {
		return v, m, nil
	}
	if err := whole.write(s.opts.Dir); err != nil {
		return nil, m, errors.Join(err, v.closeFilters())
	}
	s.putAside(whole.Damaged[len(m.Damaged):])
	return v, whole, nil
}

// closeFilters closes the files of a view that nobody will have.
func (v *view) closeFilters() error {
	var err error
	for _, x := range v.segments {
		err = errors.Join(err, x.filters.Load().close())
	}
	return err
}

// sweep removes the files that no manifest names: what a crash left of a
// segment that was being written, or of one whose rows are elsewhere by now. Files
// that are in quarantine by name go there.
func (s *Store) sweep(m Manifest) error {
	named := map[string]bool{}
	for _, info := range m.Segments {
		named[info.Data.Name], named[info.Filter.Name] = true, true
	}
	for _, d := range m.Damaged {
		if err := s.moveAside(d.Segment); err != nil {
			return err
		}
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
