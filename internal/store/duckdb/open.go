package duckdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"theeye/internal/durable"
	"theeye/internal/erasure"
)

// MissingManifestError is the error of a store's folder without a manifest.
type MissingManifestError struct {
	Dir      string
	Segments bool // the folder has files of segments
}

func (e *MissingManifestError) Error() string {
	if !e.Segments {
		return fmt.Sprintf("the store's folder %s has no %s: it is not the folder that a server used, or no server has used it yet. "+
			"Put the folder store back if it was moved; or see with `eye store recover` what can be brought back; "+
			"or restore a backup into another data directory", e.Dir, manifestName)
	}
	return fmt.Sprintf("the store's folder %s has segments, but no %s that names them; nothing was changed. "+
		"Put the file back if it was moved; or see with `eye store recover` what can be brought back; "+
		"or restore a backup into another data directory", e.Dir, manifestName)
}

// loadFolder opens the files that the manifest names. It deletes only files that are known to be
// unfinished or obsolete.
func (s *Store) loadFolder(ctx context.Context) error {
	m := loadedManifest{Manifest: emptyManifest()}
	if s.persistent() {
		var err error
		if m, err = s.readFolder(); err != nil {
			return err
		}
		if err := s.reconcileFiles(&m.Manifest); err != nil {
			return err
		}
	}
	if m.Timeline == "" {
		m.beginTimeline(m.Flushed)
	}
	s.hadManifest, s.upToDate = m.version > 0, m.version == manifestVersion
	s.lastID.Store(max(m.NextID, s.maxSegmentID()+1) - 1)
	t, whole, err := s.openTables(ctx, s.reading, m.Manifest, 1)
	if err != nil {
		return fmt.Errorf("%w; nothing was changed: give this user the right to read all files in %s, or raise its limits, and start again", err, s.opts.Dir)
	}
	s.install(func(next *storeVersion) {
		next.tables, next.position, next.manifest = t, whole.Flushed, &whole
		next.arrivals = newArrivals(whole.Arrivals)
		next.erased = erasure.NewSet(s.tombstones.Document(), whole.lineage())
	})
	if s.hadManifest && m.version < manifestVersion {
		return s.CommitManifest(false)
	}
	return nil
}

// readFolder reads the manifest and the tombstones. It returns an error if opening the folder would
// lose data.
func (s *Store) readFolder() (loadedManifest, error) {
	m, there, err := readPresent(s.opts.Dir)
	if err != nil {
		return m, err
	}
	if !there && s.maxSegmentID() > 0 {
		return m, &MissingManifestError{Dir: s.opts.Dir, Segments: true}
	}
	if m.version >= manifestVersion { // earlier versions do not use that file
		if err := erasure.FinishConversion(s.opts.Tombstones); err != nil {
			return m, err
		}
	}
	if s.tombstones, err = erasure.OpenLog(s.opts.Tombstones, m.Tombstones); err != nil {
		return m, tombstonesError(err)
	}
	if err := s.tombstones.Add(erasure.Document{Key: m.key, Tombstones: m.tombstones}, 0); err != nil {
		return m, err
	}
	return m, s.checkPresent(m.Manifest)
}

// HadManifest reports whether the folder had a manifest when it was opened. A store without a
// manifest is empty, and must not commit one if the queue was trimmed for an earlier store.
func (s *Store) HadManifest() bool { return s.hadManifest }

// CommitManifest makes the manifest durable in the current format, before anything refers to it. With
// the first one it makes the key of session ids: copies of the feed know sessions by it, so it belongs
// in the first backup.
// After that, versions that do not know the format refuse the folder. upgraded reports that the
// store has no manifest and an earlier version created its queue.
func (s *Store) CommitManifest(upgraded bool) error {
	if !s.persistent() {
		return nil
	}
	s.upkeep.Lock()
	defer s.upkeep.Unlock()
	m := *s.current().manifest
	// A full disk must not prevent reads, so nothing is written unless it is needed.
	if s.upToDate && m.Tombstones == s.tombstones.Digest() && (m.Upgraded || !upgraded) {
		return s.tombstones.FinishConversion()
	}
	if err := s.tombstones.CreateKey(); err != nil {
		return err
	}
	m.Tombstones = s.tombstones.Digest()
	m.Upgraded = m.Upgraded || upgraded
	if err := s.commit(&m); err != nil {
		return err
	}
	s.install(func(next *storeVersion) {
		next.manifest, next.erased = &m, next.erased.With(s.tombstones.Document(), m.lineage())
	})
	return s.tombstones.FinishConversion()
}

// ConfirmedSince returns what SetConfirmed last set, or zero values.
func (s *Store) ConfirmedSince() (frame uint64, record string) {
	m := s.current().manifest
	return m.ConfirmedSince, m.ConfirmedRecord
}

// SetConfirmed notes that the confirmed record, which is outside the store, has every frame from
// since on, and the id of that record. From then on, a start notices if the record is missing or is
// another one. The note is durable when SetConfirmed returns.
func (s *Store) SetConfirmed(since uint64, record string) error {
	if !s.persistent() {
		return nil
	}
	s.upkeep.Lock()
	defer s.upkeep.Unlock()
	m := *s.current().manifest
	if m.ConfirmedSince == since && m.ConfirmedRecord == record {
		return nil
	}
	m.ConfirmedSince, m.ConfirmedRecord = since, record
	if err := s.commit(&m); err != nil {
		return err
	}
	s.install(func(next *storeVersion) { next.manifest = &m })
	return nil
}

// Upgraded reports whether the directory was created with a manifest of a version before 3. If so,
// some stored events may have ids as that version assigned them.
func (s *Store) Upgraded() bool { return s.current().manifest.Upgraded }

// checkPresent returns an error if all segments of a store are missing: it is more likely that the
// folder is in another place than that all segments are damaged at once.
func (s *Store) checkPresent(m Manifest) error {
	for _, info := range m.Segments {
		if _, err := os.Stat(s.segmentPath(info.Data.Name)); !errors.Is(err, os.ErrNotExist) {
			return nil
		}
	}
	if len(m.Segments) < 2 { // a single segment may be lost
		return nil
	}
	return fmt.Errorf("none of the %d segments of the store is in %s: put the folder back, or see whether its disk is mounted; "+
		"nothing was changed. To begin without them, run `eye store recover --empty`", len(m.Segments), s.segmentDir())
}

// openTables attaches the segments of a manifest to a new instance and adds an empty memtable with
// the given number. It quarantines damaged segments; the returned manifest, which does not name
// them, has been written.
func (s *Store) openTables(ctx context.Context, in *instance, m Manifest, number uint64) (*tableSet, Manifest, error) {
	mt, err := makeMemtable(ctx, in, number)
	if err != nil {
		return nil, m, err
	}
	t := &tableSet{memtables: []*memtable{mt}}
	whole := m
	for _, info := range m.Segments {
		seg, err := s.attach(ctx, in, info)
		if damage, ok := errors.AsType[*damageError](err); ok {
			whole = whole.without(info.ID, damage.Error())
			continue
		}
		if err != nil {
			return nil, m, errors.Join(err, t.closeFilters())
		}
		t.segments = append(t.segments, seg)
	}
	if len(whole.Segments) == len(m.Segments) {
		return t, m, nil
	}
	if err := whole.write(s.opts.Dir); err != nil {
		return nil, m, errors.Join(err, t.closeFilters())
	}
	s.quarantine(whole.Damaged[len(m.Damaged):])
	return t, whole, nil
}

// closeFilters closes the filters of a table set that will not be used.
func (t *tableSet) closeFilters() error {
	var err error
	for _, seg := range t.segments {
		err = errors.Join(err, seg.filters.Load().Close())
	}
	return err
}

// reconcileFiles makes the folder agree with the manifest. It deletes files that are obsolete,
// unfinished or temporary, quarantines other files of segments, and ignores unknown files.
func (s *Store) reconcileFiles(m *Manifest) error {
	named, unwanted := map[string]bool{}, map[string]bool{}
	for _, info := range m.Segments {
		named[info.Data.Name], named[info.Filter.Name] = true, true
	}
	for _, name := range append(readIntent(s.opts.Dir), m.Obsolete...) {
		unwanted[name] = !named[name]
	}
	for _, d := range m.Damaged {
		if err := s.moveToQuarantine(d.Segment.Data.Name, d.Segment.Filter.Name); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(s.segmentDir())
	if err != nil {
		return fmt.Errorf("read the store's folder: %w", err)
	}
	var strays []string
	for _, entry := range entries {
		name := entry.Name()
		switch {
		case named[name]:
		case unwanted[name], isUnfinished(name):
			s.log.Info("removing an unfinished or obsolete file", "file", name)
			if err := os.Remove(filepath.Join(s.segmentDir(), name)); err != nil {
				return fmt.Errorf("remove an obsolete file: %w", err)
			}
		case isSegmentFile(name):
			strays = append(strays, name)
			s.log.Warn("a segment's file is not named by the manifest; it is quarantined",
				"file", name, "quarantine", s.quarantineDir())
		default:
			s.log.Warn("a file in the store's folder is unknown and was left alone", "file", filepath.Join(s.segmentDir(), name))
		}
	}
	if err := s.moveToQuarantine(strays...); err != nil {
		return err
	}
	if err := durable.SyncDir(s.segmentDir()); err != nil {
		return fmt.Errorf("sync the store's folder: %w", err)
	}
	m.Obsolete = nil
	if err := os.Remove(filepath.Join(s.opts.Dir, intentName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("clear the intent: %w", err)
	}
	return errors.Join(s.removeKnown(s.opts.TempDir, isSpill), s.removeKnown(s.exportDir(), isExport))
}

// isUnfinished reports whether a name is that of a segment's file before it is renamed.
func isUnfinished(name string) bool {
	rest, ok := strings.CutSuffix(strings.TrimSuffix(name, ".wal"), ".tmp")
	return ok && isSegmentFile(rest)
}

// isSpill reports whether an entry of the temporary folder was created by DuckDB or the store.
func isSpill(name string) bool {
	return strings.HasPrefix(name, "duckdb_temp_") || strings.HasPrefix(name, "instance-") || strings.HasPrefix(name, "heavy") ||
		strings.HasPrefix(name, "export-") || name == "feed"
}

// isExport reports whether an entry of the exports' folder was made by an export or the feed.
func isExport(name string) bool {
	return strings.HasPrefix(name, "export-") || strings.HasPrefix(name, "feed-")
}

// removeKnown removes the known entries of a folder for temporary files.
func (s *Store) removeKnown(dir string, known func(name string) bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read the store's folder: %w", err)
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		if !known(entry.Name()) {
			s.log.Warn("a file in the store's folder is unknown and was left alone", "file", path)
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove a temporary file: %w", err)
		}
	}
	return nil
}

// maxSegmentID returns the greatest id of a segment of which a file exists, 0 for none. New ids are
// greater, so that no id is used twice.
func (s *Store) maxSegmentID() (greatest uint64) {
	for _, dir := range []string{s.segmentDir(), s.quarantineDir()} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, entry := range entries {
			if id, ok := segmentID(entry.Name()); ok {
				greatest = max(greatest, id)
			}
		}
	}
	return greatest
}
