package duckdb

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

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
	// KeepTombstones: go on with the lines that are whole of a file of tombstones that is missing
	// or damaged, and of TombstonesCopy, the path of a copy of it, which may be older; empty for
	// none.
	KeepTombstones bool
	TombstonesCopy string
	// Step is called between two changes of files, for tests: an error ends the work there, as a
	// crash would.
	Step func(name string) error
}

// Recovery is a plan: what can be recovered of a store whose manifest is missing or damaged.
type Recovery struct {
	Flushed    uint64        // the last frame whose records are in segments
	Segments   []SegmentInfo // that are there with the right size
	Missing    []SegmentInfo // that the manifest names, and that are not
	Unnamed    []string      // files of segments that it does not name; they go into quarantine
	Tombstones int           // that are applied
	Forgets    bool          // the file of tombstones is quarantined
	// Keeps: the file of tombstones is replaced by KeptLines of its Lines.
	Keeps            bool
	KeptLines, Lines int

	// LeftOut are the segments that are there and that an empty store leaves out. LeftOutBy is the
	// path of the manifest that names them, empty when there is none.
	LeftOut   []SegmentInfo
	LeftOutBy string
	// Empty: nothing of the store comes back.
	Empty bool

	opts        RecoverOptions
	manifest    Manifest
	quarantined map[string]string // files of Segments that lie in quarantine, by name
	kept        erasure.Document  // with Keeps
}

// ErrNothingToRecover is returned when the manifest can be used as it is.
var ErrNothingToRecover = errors.New("the store's manifest can be used; there is nothing to recover")

// TombstonesError is the error of a file of tombstones that is missing or damaged.
type TombstonesError struct {
	Err   error
	empty bool // the store is to begin empty
}

func (e *TombstonesError) Error() string {
	command := RecoverOptions{Empty: e.empty}.command
	return e.Err.Error() + "; nothing was changed. Put the file back, or a copy that was made after the last erasure. " +
		command("--keep-tombstones") + " goes on with the lines that are whole, and shows how many are not; an older copy, such as that of a backup (`eye backup extract BACKUP tombstones FILE`), helps with --tombstones FILE. " +
		"When nothing of it is left, " + command("--forget-tombstones") + " goes on without it: what was erased can then come back, when it is sent again or from a backup"
}

func (e *TombstonesError) Unwrap() error { return e.Err }

// tombstonesError makes a *TombstonesError of an error of reading the tombstones, unless a newer
// version wrote the file, or the error says nothing about it, such as a missing permission.
func tombstonesError(err error) error {
	if err == nil || errors.Is(err, erasure.ErrNewer) || durable.Denied(err) {
		return err
	}
	return &TombstonesError{Err: err}
}

// command returns the command with these options and one more flag, as advice shows it.
func (o RecoverOptions) command(flag string) string {
	words := []string{"eye store recover"}
	for _, f := range []struct {
		set  bool
		flag string
	}{{o.Empty, "--empty"}, {o.KeepTombstones, "--keep-tombstones"}, {o.ForgetTombstones, "--forget-tombstones"}} {
		if f.set {
			words = append(words, f.flag)
		}
	}
	return "`" + strings.Join(append(words, flag), " ") + "`"
}

// PlanRecovery finds out what can be recovered. It changes nothing.
func PlanRecovery(opts RecoverOptions) (*Recovery, error) {
	r := &Recovery{opts: opts, Empty: opts.Empty, quarantined: map[string]string{}}
	s := &Store{opts: Options{Dir: opts.Dir}}
	present, there, presentErr := readPresent(opts.Dir)
	if errors.Is(presentErr, ErrNewer) || durable.Denied(presentErr) {
		return nil, presentErr
	}
	m, usable := loadedManifest{Manifest: emptyManifest()}, false
	m.ConfirmedSince = 1 // such a record should exist: a start reports when it is missing
	switch {
	case opts.Empty && there && presentErr == nil && s.checkPresent(present.Manifest) == nil:
		m, usable = present, true
	case opts.Empty:
		if err := r.listLeftOut(s); err != nil {
			return nil, err
		}
	case there && presentErr == nil:
		m, usable = present, true
	default:
		var err error
		if m, there, err = readManifest(filepath.Join(opts.Dir, copyName)); err != nil {
			return nil, err
		}
		if !there {
			return nil, fmt.Errorf("there is no %s in %s: restore a backup into another data directory, or start an empty store with what the queue still holds: %s", copyName, opts.Dir, opts.command("--empty"))
		}
	}
	tombstones, err := erasure.Read(opts.Tombstones, m.Tombstones)
	err = tombstonesError(err)
	lost, damaged := errors.AsType[*TombstonesError](err)
	if damaged {
		lost.empty = opts.Empty
	}
	switch {
	case err == nil && usable:
		return nil, ErrNothingToRecover
	case opts.Empty && usable: // it comes back without Empty
		return nil, err
	case err == nil:
		r.Tombstones = len(tombstones.Tombstones)
	case damaged && opts.KeepTombstones:
		if err := r.keepTombstones(m.Tombstones.Lines); err != nil {
			return nil, err
		}
		if m.Tombstones, err = r.kept.Digest(); err != nil {
			return nil, err
		}
	case damaged && opts.ForgetTombstones:
		m.Tombstones, r.Forgets = erasure.Digest{}, true
	default:
		return nil, err
	}
	named := map[string]bool{}
	for _, info := range m.Segments {
		named[info.Data.Name], named[info.Filter.Name] = true, true
		switch there, quarantined, err := s.findSegment(info); {
		case err != nil:
			return nil, err
		case !there:
			r.Missing = append(r.Missing, info)
			continue
		case quarantined != "":
			r.quarantined[info.Data.Name] = quarantined
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

// keepTombstones finds the lines of tombstones that are whole. committed is the number of lines
// that the manifest knows.
func (r *Recovery) keepTombstones(committed int) error {
	var copies [][]byte
	lines := committed
	for _, path := range []string{r.opts.TombstonesCopy, r.opts.Tombstones} {
		if path == "" {
			continue
		}
		b, err := os.ReadFile(path) // of a file that can be read in part it returns that part
		absent := errors.Is(err, fs.ErrNotExist) && path == r.opts.Tombstones
		if err != nil && !absent && !errors.Is(err, syscall.EIO) {
			return fmt.Errorf("read tombstones: %w", err)
		}
		if len(b) == 0 && path == r.opts.TombstonesCopy {
			return &erasure.Error{Path: path, Err: errors.New("it is empty, and no copy of the tombstones")}
		}
		copies = append(copies, b)
		lines = max(lines, bytes.Count(b, []byte("\n")))
	}
	kept, err := erasure.Salvage(copies...)
	if errors.Is(err, erasure.ErrNothingWhole) {
		return fmt.Errorf("nothing of the file of erased sessions %s can be kept: %w; nothing was changed. Give a copy of it with --tombstones FILE, "+
			"or go on without it: %s", r.opts.Tombstones, err, RecoverOptions{Empty: r.opts.Empty}.command("--forget-tombstones"))
	}
	if errors.Is(err, erasure.ErrOtherKey) {
		err = &erasure.Error{Path: r.opts.TombstonesCopy, Err: err}
	}
	r.kept, r.Keeps, r.Tombstones = kept.Document, true, len(kept.Tombstones)
	r.KeptLines, r.Lines = kept.Whole, max(lines, kept.Whole)
	return err
}

// findSegment reports whether the file of a segment is there; when it is in quarantine, quarantined
// is its path.
func (s *Store) findSegment(info SegmentInfo) (there bool, quarantined string, err error) {
	err = checkSize(s.segmentPath(info.Data.Name), info.Data)
	if _, damaged := errors.AsType[*damageError](err); damaged {
		quarantined, err = s.wholeCopy(info)
		return quarantined != "", quarantined, err
	}
	return err == nil, "", err
}

// listLeftOut lists the segments that an empty store leaves out: those of the manifest, or of its
// copy when the manifest cannot be used.
func (r *Recovery) listLeftOut(s *Store) error {
	for _, name := range []string{manifestName, copyName} {
		path := filepath.Join(r.opts.Dir, name)
		m, there, err := readManifest(path)
		if name == manifestName {
			m, there, err = readPresent(r.opts.Dir)
		}
		if durable.Denied(err) {
			return err
		}
		if !there || err != nil {
			continue
		}
		r.LeftOutBy = path
		for _, info := range m.Segments {
			there, _, err := s.findSegment(info)
			if err != nil {
				return err
			}
			if there {
				r.LeftOut = append(r.LeftOut, info)
			}
		}
		return nil
	}
	return nil
}

// Apply carries the plan out. The old manifest and its copy are kept in quarantine, and so is
// everything that the new manifest does not name. What is missing is counted as lost at the next
// start. After a failure, or a crash, recovery can be planned and done again.
func (r *Recovery) Apply() error {
	s := &Store{opts: Options{Dir: r.opts.Dir}}
	for _, dir := range []string{s.quarantineDir(), s.segmentDir()} {
		if err := durable.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("recover the store: %w", err)
		}
	}
	for name, from := range r.quarantined {
		if err := os.Rename(from, s.segmentPath(name)); err != nil {
			return fmt.Errorf("recover the store: %w", err)
		}
	}
	s.lastID.Store(s.maxSegmentID())
	if err := s.moveToQuarantine(r.Unnamed...); err != nil {
		return err
	}
	if err := durable.SyncDir(s.segmentDir()); err != nil {
		return fmt.Errorf("recover the store: %w", err)
	}
	r.manifest.NextID = max(r.manifest.NextID, s.lastID.Load()+1)
	r.manifest.Obsolete = nil // those files went into quarantine as well
	r.manifest.beginTimeline(r.manifest.Flushed)
	if err := r.step("segments moved"); err != nil {
		return err
	}
	// The manifest stays in its place until the new one takes it: without any, nothing would tell
	// what the store consists of.
	for _, name := range []string{manifestName, copyName} {
		path := filepath.Join(r.opts.Dir, name)
		err := linkOrCopy(path, freeName(filepath.Join(s.quarantineDir(), name)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("keep %s: %w", path, err)
		}
	}
	if err := durable.SyncDir(s.quarantineDir()); err != nil {
		return fmt.Errorf("recover the store: %w", err)
	}
	if err := r.step("manifest kept"); err != nil {
		return err
	}
	if err := r.replaceTombstones(s.quarantineDir()); err != nil {
		return err
	}
	return r.manifest.write(r.opts.Dir)
}

// replaceTombstones keeps the file of tombstones in quarantine, and removes it or replaces it by
// its whole lines. Until the manifest is written a start refuses that file as well, and recovery
// can be done again.
func (r *Recovery) replaceTombstones(quarantine string) error {
	if !r.Forgets && !r.Keeps {
		return nil
	}
	path := r.opts.Tombstones
	err := linkOrCopy(path, freeName(filepath.Join(quarantine, filepath.Base(path))))
	if errors.Is(err, syscall.EIO) { // it is of no use beyond what was read
		err = nil
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = durable.SyncDir(quarantine)
	}
	if err != nil {
		return fmt.Errorf("keep %s: %w", path, err)
	}
	if err := r.step("tombstones kept"); err != nil {
		return err
	}
	if r.Keeps {
		err = r.kept.Write(path)
	} else if err = os.Remove(path); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err == nil {
		err = durable.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("recover the store: %w", err)
	}
	return r.step("tombstones moved")
}

func (r *Recovery) step(name string) error {
	if r.opts.Step == nil {
		return nil
	}
	return r.opts.Step("recovery " + name)
}

// BeginTimeline begins another timeline after a frame in the store of a folder that nobody uses:
// the frames after it are not those that followed it elsewhere. A store of a version without
// timelines gets its first one when it is opened.
func BeginTimeline(dir string, last uint64) error {
	m, err := ReadManifest(dir)
	if err != nil || m.Timeline == "" {
		return err
	}
	m.beginTimeline(last)
	m.ConfirmedSince, m.ConfirmedRecord = 0, "" // a backup does not have that record
	return m.write(dir)
}
