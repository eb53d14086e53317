package duckdb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"theeye/internal/durable"
	"theeye/internal/erasure"
)

// RecoverOptions of PlanRecovery. The store's process must have ended.
type RecoverOptions struct {
	Dir        string // of the store
	Tombstones string // the file of tombstones
	// Empty: begin an empty store instead of using the manifest before the present one.
	Empty bool
	// ForgetTombstones: go on without a file of tombstones that is missing or damaged. What was
	// erased then comes back when it is sent again, or with what is recovered.
	ForgetTombstones bool
}

// Recovery is what can be brought back of a store whose manifest is missing or damaged.
type Recovery struct {
	Flushed    uint64        // the last frame whose records are in segments
	Segments   []SegmentInfo // that are there with the right size
	Missing    []SegmentInfo // that the manifest names, and that are not
	Unnamed    []string      // files of segments that it does not name; they go into quarantine
	Tombstones int           // that are applied

	opts     RecoverOptions
	manifest Manifest
	aside    map[string]string // files of Segments that lie in quarantine, by name
}

// ErrNothingToRecover tells that the manifest can be used as it is.
var ErrNothingToRecover = errors.New("the store's manifest can be used; there is nothing to recover")

// PlanRecovery finds out what can be brought back. It changes nothing.
func PlanRecovery(opts RecoverOptions) (*Recovery, error) {
	r := &Recovery{opts: opts, aside: map[string]string{}}
	s := &Store{opts: Options{Dir: opts.Dir}}
	present, there, presentErr := readManifest(filepath.Join(opts.Dir, manifestName))
	if errors.Is(presentErr, ErrNewer) {
		return nil, presentErr
	}
	m := read{Manifest: emptyManifest()}
	switch {
	case opts.Empty:
	case there && presentErr == nil && !opts.ForgetTombstones:
		return nil, ErrNothingToRecover
	case there && presentErr == nil:
		m = present
	default:
		var err error
		if m, there, err = readManifest(filepath.Join(opts.Dir, previousName)); err != nil {
			return nil, err
		}
		if !there {
			return nil, fmt.Errorf("there is no %s in %s: restore a backup, or begin an empty store with what the queue still holds (--empty)", previousName, opts.Dir)
		}
	}
	tombstones, err := erasure.Read(opts.Tombstones, m.Tombstones)
	switch {
	case err == nil:
		r.Tombstones = len(tombstones.Tombstones)
	case opts.ForgetTombstones:
		m.Tombstones = erasure.Digest{}
	default:
		return nil, fmt.Errorf("%w; put the file of a backup in its place, or go on without (--forget-tombstones): what was erased may then come back", err)
	}
	named := map[string]bool{}
	for _, info := range m.Segments {
		named[info.Data.Name], named[info.Filter.Name] = true, true
		aside := s.wholeAside(info)
		switch {
		case checkSize(s.segmentPath(info.Data.Name), info.Data) == nil:
		case aside != "":
			r.aside[info.Data.Name] = aside
		default:
			r.Missing = append(r.Missing, info)
			continue
		}
		r.Segments = append(r.Segments, info)
	}
	entries, err := os.ReadDir(s.segmentDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		if isSegmentFile(e.Name()) && !named[e.Name()] {
			r.Unnamed = append(r.Unnamed, e.Name())
		}
	}
	r.Flushed, r.manifest = m.Flushed, m.Manifest
	return r, nil
}

// Do brings it back. The manifest of before is kept in quarantine, as everything else is that the
// new one does not name. What is missing is counted as lost at the next start.
func (r *Recovery) Do() error {
	s := &Store{opts: Options{Dir: r.opts.Dir}}
	for _, dir := range []string{s.quarantineDir(), s.segmentDir()} {
		if err := durable.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("recover the store: %w", err)
		}
	}
	for name, from := range r.aside {
		if err := os.Rename(from, s.segmentPath(name)); err != nil {
			return fmt.Errorf("recover the store: %w", err)
		}
	}
	s.lastID.Store(s.greatestID())
	if err := s.moveAside(r.Unnamed...); err != nil {
		return err
	}
	if err := durable.SyncDir(s.segmentDir()); err != nil {
		return fmt.Errorf("recover the store: %w", err)
	}
	r.manifest.NextID = max(r.manifest.NextID, s.lastID.Load()+1)
	r.manifest.Obsolete = nil // those files went into quarantine as well
	r.manifest.branch(r.manifest.Flushed)
	aside := []string{filepath.Join(r.opts.Dir, manifestName)}
	if r.opts.ForgetTombstones {
		aside = append(aside, r.opts.Tombstones)
	}
	for _, path := range aside {
		err := os.Rename(path, freeName(filepath.Join(s.quarantineDir(), filepath.Base(path))))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("recover the store: %w", err)
		}
	}
	return r.manifest.write(r.opts.Dir)
}

// BeginTimeline lets the store in a folder, which nobody uses, go on with another timeline behind a
// frame, because what comes behind it is not what came behind it elsewhere. A store of a version
// that had no timelines gets its first one when it is opened.
func BeginTimeline(dir string, last uint64) error {
	m, err := ReadManifest(dir)
	if err != nil || m.Timeline == "" {
		return err
	}
	m.branch(last)
	return m.write(dir)
}
