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

// RecoverOptions are the options of PlanRecovery. No server may use the store.
type RecoverOptions struct {
	Dir        string // of the store
	Tombstones string // the file of tombstones
	// Empty begins an empty store instead of using the copy of the manifest.
	Empty bool
	// ForgetTombstones continues without a file of tombstones that is missing or damaged. Erased
	// events then come back when they are sent again, or are among what is recovered.
	ForgetTombstones bool
	// KeepTombstones continues with the intact lines of a damaged file of tombstones, and with
	// those of TombstonesCopy, the path of a copy of that file, which may be older; empty for none.
	KeepTombstones bool
	TombstonesCopy string
	// Step injects faults in tests: it is called between changes of files, and its error ends the
	// work there as a crash would.
	Step func(name string) error
}

// RecoveryPlan describes what can be recovered of a store whose manifest or file of tombstones is
// missing or damaged. Apply carries it out.
type RecoveryPlan struct {
	Flushed    uint64        // the last frame whose records are in segments
	Segments   []SegmentInfo // whose files exist with the right size
	Missing    []SegmentInfo // of the manifest, whose files do not exist with the right size
	Unnamed    []string      // files of segments that the manifest does not name; Apply quarantines them
	Tombstones int           // that stay in force
	Forgets    bool          // the file of tombstones is quarantined, and no tombstone stays in force
	// Keeps: the file of tombstones is replaced by the KeptLines intact ones of its Lines.
	Keeps            bool
	KeptLines, Lines int

	// LeftOut are the existing segments that an empty store does not have. LeftOutBy is the path of
	// the manifest that names them, empty when there is none.
	LeftOut   []SegmentInfo
	LeftOutBy string
	// Empty: no segment is recovered.
	Empty bool

	opts        RecoverOptions
	manifest    Manifest
	quarantined map[string]string // paths in quarantine of files of Segments, by name
	kept        erasure.Document  // the tombstones to keep, with Keeps
}

// ErrNothingToRecover is returned when the manifest can be used as it is.
var ErrNothingToRecover = errors.New("the store's manifest can be used; there is nothing to recover")

// TombstonesError is the error of a file of tombstones that is missing or damaged.
type TombstonesError struct {
	Err   error
	empty bool // Empty is set
}

func (e *TombstonesError) Error() string {
	command := RecoverOptions{Empty: e.empty}.command
	return e.Err.Error() + "; nothing was changed. Put the file back, or a copy that was made after the last erasure. " +
		command("--keep-tombstones") + " continues with the intact lines, and shows how many are damaged; an older copy, such as that of a backup (`eye backup extract BACKUP tombstones FILE`), helps with --tombstones FILE. " +
		"When nothing of it is left, " + command("--forget-tombstones") + " continues without it: what was erased can then come back, when it is sent again or from a backup"
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
func PlanRecovery(opts RecoverOptions) (*RecoveryPlan, error) {
	plan := &RecoveryPlan{opts: opts, Empty: opts.Empty, quarantined: map[string]string{}}
	s := &Store{opts: Options{Dir: opts.Dir}}
	m, usable, err := plan.chooseManifest(s)
	if err != nil {
		return nil, err
	}
	if err := plan.checkTombstones(&m, usable); err != nil {
		return nil, err
	}
	if err := plan.findSegments(s, m.Segments); err != nil {
		return nil, err
	}
	plan.Flushed, plan.manifest = m.Flushed, m.Manifest
	return plan, nil
}

// chooseManifest returns the manifest to recover: the present one if it is usable, else its copy,
// or an empty one with Empty. usable reports that it is the present one.
func (plan *RecoveryPlan) chooseManifest(s *Store) (m loadedManifest, usable bool, err error) {
	opts := plan.opts
	present, there, err := readPresent(opts.Dir)
	if errors.Is(err, ErrNewer) || durable.Denied(err) {
		return m, false, err
	}
	usable = there && err == nil
	if opts.Empty {
		if usable && s.checkPresent(present.Manifest) == nil {
			return present, true, nil
		}
		m.Manifest = emptyManifest()
		m.ConfirmedSince = 1 // there should be a confirmed record: a start reports if it is missing
		return m, false, plan.listLeftOut(s)
	}
	if usable {
		return present, true, nil
	}
	m, there, err = readManifest(filepath.Join(opts.Dir, copyName))
	if err == nil && !there {
		err = fmt.Errorf("there is no %s in %s: restore a backup into another data directory, or start an empty store with what the queue still holds: %s", copyName, opts.Dir, opts.command("--empty"))
	}
	return m, false, err
}

// checkTombstones determines what becomes of the file of tombstones, and sets its digest in m.
// usable says that m needs no recovery itself: then only damaged tombstones do.
func (plan *RecoveryPlan) checkTombstones(m *loadedManifest, usable bool) error {
	opts := plan.opts
	tombstones, err := erasure.Read(opts.Tombstones, m.Tombstones)
	err = tombstonesError(err)
	fault, damaged := errors.AsType[*TombstonesError](err)
	if damaged {
		fault.empty = opts.Empty
	}
	switch {
	case err == nil && usable:
		return ErrNothingToRecover
	case opts.Empty && usable: // without Empty, the store can be recovered
		return err
	case err == nil:
		plan.Tombstones = len(tombstones.Tombstones)
	case damaged && opts.KeepTombstones:
		if err := plan.keepTombstones(m.Tombstones.Lines); err != nil {
			return err
		}
		m.Tombstones, err = plan.kept.Digest()
		return err
	case damaged && opts.ForgetTombstones:
		m.Tombstones, plan.Forgets = erasure.Digest{}, true
	default:
		return err
	}
	return nil
}

// findSegments finds the files of the segments of a manifest, and those that it does not name.
func (plan *RecoveryPlan) findSegments(s *Store, segments []SegmentInfo) error {
	named := map[string]bool{}
	for _, info := range segments {
		named[info.Data.Name], named[info.Filter.Name] = true, true
		switch there, quarantined, err := s.findSegment(info); {
		case err != nil:
			return err
		case !there:
			plan.Missing = append(plan.Missing, info)
			continue
		case quarantined != "":
			plan.quarantined[info.Data.Name] = quarantined
		}
		plan.Segments = append(plan.Segments, info)
	}
	entries, err := os.ReadDir(s.segmentDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		if isSegmentFile(entry.Name()) && !named[entry.Name()] {
			plan.Unnamed = append(plan.Unnamed, entry.Name())
		}
	}
	return nil
}

// keepTombstones finds the intact lines of tombstones. committed is the number of lines according
// to the manifest.
func (plan *RecoveryPlan) keepTombstones(committed int) error {
	var copies [][]byte
	lines := committed
	for _, path := range []string{plan.opts.TombstonesCopy, plan.opts.Tombstones} {
		if path == "" {
			continue
		}
		b, err := os.ReadFile(path) // returns what could be read before an error
		absent := errors.Is(err, fs.ErrNotExist) && path == plan.opts.Tombstones
		if err != nil && !absent && !errors.Is(err, syscall.EIO) {
			return fmt.Errorf("read tombstones: %w", err)
		}
		if len(b) == 0 && path == plan.opts.TombstonesCopy {
			return &erasure.Error{Path: path, Err: errors.New("it is empty, so it is not a copy of the tombstones")}
		}
		copies = append(copies, b)
		lines = max(lines, bytes.Count(b, []byte("\n")))
	}
	kept, err := erasure.Salvage(copies...)
	if errors.Is(err, erasure.ErrNothingWhole) {
		return fmt.Errorf("nothing of the file of erased sessions %s can be kept: %w; nothing was changed. Give a copy of it with --tombstones FILE, "+
			"or continue without it: %s", plan.opts.Tombstones, err, RecoverOptions{Empty: plan.opts.Empty}.command("--forget-tombstones"))
	}
	if errors.Is(err, erasure.ErrOtherKey) {
		err = &erasure.Error{Path: plan.opts.TombstonesCopy, Err: err}
	}
	plan.kept, plan.Keeps, plan.Tombstones = kept.Document, true, len(kept.Tombstones)
	plan.KeptLines, plan.Lines = kept.Whole, max(lines, kept.Whole)
	return err
}

// findSegment reports whether there is a file of a segment. quarantined is its path if it is in
// quarantine.
func (s *Store) findSegment(info SegmentInfo) (there bool, quarantined string, err error) {
	err = checkSize(s.segmentPath(info.Data.Name), info.Data)
	if _, damaged := errors.AsType[*damageError](err); damaged {
		quarantined, err = s.intactCopy(info)
		return quarantined != "", quarantined, err
	}
	return err == nil, "", err
}

// listLeftOut lists the segments that an empty store leaves out: those of the manifest, or of its
// copy when the manifest cannot be used.
func (plan *RecoveryPlan) listLeftOut(s *Store) error {
	for _, name := range []string{manifestName, copyName} {
		path := filepath.Join(plan.opts.Dir, name)
		m, there, err := readManifest(path)
		if name == manifestName {
			m, there, err = readPresent(plan.opts.Dir)
		}
		if durable.Denied(err) {
			return err
		}
		if !there || err != nil {
			continue
		}
		plan.LeftOutBy = path
		for _, info := range m.Segments {
			there, _, err := s.findSegment(info)
			if err != nil {
				return err
			}
			if there {
				plan.LeftOut = append(plan.LeftOut, info)
			}
		}
		return nil
	}
	return nil
}

// Apply carries out the plan. The old manifest, its copy, and everything that the new manifest does
// not name go into quarantine. The next start counts missing segments as lost. After an error or a
// crash, recovery can be planned and applied again.
func (plan *RecoveryPlan) Apply() error {
	s := &Store{opts: Options{Dir: plan.opts.Dir}}
	for _, dir := range []string{s.quarantineDir(), s.segmentDir()} {
		if err := durable.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("recover the store: %w", err)
		}
	}
	for name, from := range plan.quarantined {
		if err := os.Rename(from, s.segmentPath(name)); err != nil {
			return fmt.Errorf("recover the store: %w", err)
		}
	}
	s.lastID.Store(s.maxSegmentID())
	if err := s.moveToQuarantine(plan.Unnamed...); err != nil {
		return err
	}
	if err := durable.SyncDir(s.segmentDir()); err != nil {
		return fmt.Errorf("recover the store: %w", err)
	}
	plan.manifest.NextID = max(plan.manifest.NextID, s.lastID.Load()+1)
	plan.manifest.Obsolete = nil // these files are in quarantine now
	plan.manifest.beginTimeline(plan.manifest.Flushed)
	if plan.Forgets {
		plan.manifest.forgetTimelines(nil)
	}
	if err := plan.step("segments moved"); err != nil {
		return err
	}
	// The old manifest stays in its place until the new one replaces it: without a manifest, it
	// would not be known which segments the store has.
	for _, name := range []string{manifestName, copyName} {
		path := filepath.Join(plan.opts.Dir, name)
		err := linkOrCopy(path, freeName(filepath.Join(s.quarantineDir(), name)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("keep %s: %w", path, err)
		}
	}
	if err := durable.SyncDir(s.quarantineDir()); err != nil {
		return fmt.Errorf("recover the store: %w", err)
	}
	if err := plan.step("manifest kept"); err != nil {
		return err
	}
	if err := plan.replaceTombstones(s.quarantineDir()); err != nil {
		return err
	}
	return plan.manifest.write(plan.opts.Dir)
}

// replaceTombstones copies the file of tombstones into quarantine, and removes it or replaces it by
// its intact lines. Until the new manifest is written, a start refuses that file too, and recovery
// can be planned again.
func (plan *RecoveryPlan) replaceTombstones(quarantine string) error {
	if !plan.Forgets && !plan.Keeps {
		return nil
	}
	path := plan.opts.Tombstones
	err := linkOrCopy(path, freeName(filepath.Join(quarantine, filepath.Base(path))))
	if errors.Is(err, syscall.EIO) { // the rest of the file cannot be read
		err = nil
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = durable.SyncDir(quarantine)
	}
	if err != nil {
		return fmt.Errorf("keep %s: %w", path, err)
	}
	if err := plan.step("tombstones kept"); err != nil {
		return err
	}
	if plan.Keeps {
		err = plan.kept.Write(path)
	} else if err = os.Remove(path); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err == nil {
		err = durable.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("recover the store: %w", err)
	}
	return plan.step("tombstones moved")
}

func (plan *RecoveryPlan) step(name string) error {
	if plan.opts.Step == nil {
		return nil
	}
	return plan.opts.Step("recovery " + name)
}

// BeginTimeline begins a new timeline after a frame, in the folder of a store that is not open. The
// frames after it will not be those that followed it elsewhere. tombstones is the path of the file of
// tombstones. A store of a version without timelines gets its first one when it is opened.
func BeginTimeline(dir, tombstones string, last uint64) error {
	m, err := ReadManifest(dir)
	if err != nil || m.Timeline == "" {
		return err
	}
	d, err := erasure.Read(tombstones, erasure.Digest{})
	if err != nil {
		return err
	}
	m.beginTimeline(last)
	if m.Tombstones.Lines == 0 {
		m.forgetTimelines(d.Tombstones)
	}
	m.ConfirmedSince, m.ConfirmedRecord = 0, "" // a backup does not contain the confirmed record
	return m.write(dir)
}
