package duckdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"theeye/internal/durable"
	"theeye/internal/plural"
	"theeye/internal/store"
)

// DamagedSegment is a segment that was found to be damaged. Its files are in quarantine; its rows
// are not served and count as lost.
type DamagedSegment struct {
	Segment SegmentInfo `json:"segment"`
	Reason  string      `json:"reason"`
	Found   time.Time   `json:"found"`
	// Acknowledged reports that an operator has acknowledged the damage.
	Acknowledged bool `json:"acknowledged,omitzero"`
}

// String describes the damage and what is not available.
func (d DamagedSegment) String() string {
	r := d.Segment.Rows
	text := fmt.Sprintf("segment %s is damaged (%s): %s, %s and %s without content", d.Segment.Data.Name, d.Reason,
		plural.Count(r.Events, "event"), plural.Count(r.Rejections, "rejection"), plural.Count(r.Traces, "arrival"))
	switch c := d.Segment.Carried; {
	case c.empty():
	case *c.Min == *c.Max:
		text += fmt.Sprintf(" of frame %d", *c.Min)
	default:
		text += fmt.Sprintf(" of frames %d to %d", *c.Min, *c.Max)
	}
	return text + " are not available"
}

// Damaged returns the damaged segments.
func (s *Store) Damaged() []DamagedSegment { return slices.Clone(s.current().manifest.Damaged) }

// AcknowledgeDamage marks all damaged segments as acknowledged, and returns those that were not
// acknowledged before. It is durable when AcknowledgeDamage returns.
func (s *Store) AcknowledgeDamage() (list []DamagedSegment, err error) {
	s.upkeep.Lock()
	defer s.upkeep.Unlock()
	m := *s.current().manifest
	m.Damaged = slices.Clone(m.Damaged)
	for i, d := range m.Damaged {
		if !d.Acknowledged {
			list = append(list, d)
			m.Damaged[i].Acknowledged = true
		}
	}
	if len(list) == 0 {
		return nil, nil
	}
	if err := s.commit(&m); err != nil {
		return nil, err
	}
	s.install(func(next *storeVersion) { next.manifest = &m })
	return list, nil
}

// AwaitsRebuild reports whether the store has yet to try to rebuild a damaged segment from the
// queue.
func (s *Store) AwaitsRebuild(d DamagedSegment) bool {
	_, tried := s.unrecoverable.Load(d.Segment.ID)
	return !tried && s.canRebuild(d.Segment)
}

// canRebuild reports whether the frames from which a segment was made may be in the queue. Only
// segments of a flush can be rebuilt: they have all rows of their frames, and merged segments do
// not.
func (s *Store) canRebuild(info SegmentInfo) bool {
	return s.opts.Queue != nil && info.Level == 0 && !info.Carried.empty()
}

// lost counts the arrivals whose rows are in damaged segments, by application.
func (m *Manifest) lost() map[string]int64 {
	lost := map[string]int64{}
	for _, d := range m.Damaged {
		for app, n := range d.Segment.Apps {
			lost[app] += n.total()
		}
	}
	return lost
}

func (c *Counts) total() int64 { return c.Stored + c.Rejected + c.Duplicate + c.Erased + c.Expired }

// without returns the manifest with a segment moved to Damaged.
func (m *Manifest) without(id uint64, reason string) Manifest {
	i := slices.IndexFunc(m.Segments, func(info SegmentInfo) bool { return info.ID == id })
	next := *m
	next.Damaged = append(slices.Clone(m.Damaged), DamagedSegment{Segment: m.Segments[i], Reason: reason, Found: time.Now().UTC().Truncate(time.Second)})
	next.Segments = slices.Delete(slices.Clone(m.Segments), i, i+1)
	return next
}

// damageError is the error of a file that differs from what the manifest says.
type damageError struct{ text string }

func (e *damageError) Error() string { return e.text }

// checkSize checks that a file exists and has the right size. The error is a *damageError if it
// does not.
func checkSize(path string, want FileInfo) error {
	stat, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &damageError{"its file is missing"}
	case err != nil:
		return err
	case stat.Size() != want.Bytes:
		return &damageError{fmt.Sprintf("its file has %d bytes instead of %d", stat.Size(), want.Bytes)}
	}
	return nil
}

// checkFile reads a whole file and checks that it is as it was written. The error is a *damageError
// if it is not. Any other error, such as a missing permission or file descriptor, does not mean
// that the file is damaged.
func checkFile(path string, want FileInfo) error {
	if err := checkSize(path, want); err != nil {
		return err
	}
	var got FileInfo
	switch err := describe(path, &got); {
	case errors.Is(err, syscall.EIO), errors.Is(err, fs.ErrNotExist):
		return &damageError{"its file cannot be read: " + err.Error()}
	case err != nil:
		return fmt.Errorf("%w: check whether a file is damaged: %w", store.ErrUnavailable, err)
	}
	if got.SHA256 != want.SHA256 {
		return &damageError{"its checksum does not match"}
	}
	return nil
}

// suspects returns the segments to which an error of reading points. DuckDB names a file that it
// could not read. For a block whose checksum does not match, it only reports the offset and the
// stored checksum, which suspects compares with each file.
func (p *pinned) suspects(err error) []*segment {
	text := err.Error()
	var computed, written uint64
	var at int64
	_, block, corrupt := strings.Cut(text, "Corrupt database file: ")
	if corrupt {
		_, scanErr := fmt.Sscanf(block, "computed checksum %d does not match stored checksum %d in block at location %d", &computed, &written, &at)
		corrupt = scanErr == nil
	}
	var list []*segment
	for _, seg := range p.tables.segments {
		if strings.Contains(text, "/"+seg.info.Data.Name+`"`) || corrupt && holdsAt(p.store.segmentPath(seg.info.Data.Name), at, written) {
			list = append(list, seg)
		}
	}
	return list
}

// holdsAt reports whether a file contains a number at an offset, or cannot be read there.
func holdsAt(path string, at int64, number uint64) bool {
	f, err := os.Open(path)
	if err != nil {
		return true
	}
	defer f.Close()
	var b [8]byte
	_, err = f.ReadAt(b[:], at)
	return err != nil || binary.NativeEndian.Uint64(b[:]) == number
}

// checkSegment quarantines a segment if its file is damaged. It reports whether the segment is no
// longer served, also if another goroutine has quarantined it.
func (s *Store) checkSegment(seg *segment) (out bool, err error) {
	damaged, err := s.quarantineIfDamaged(seg)
	return damaged || err == nil && !s.serves(seg), err
}

// quarantineIfDamaged quarantines a segment if its file is damaged, and reports whether it did.
func (s *Store) quarantineIfDamaged(seg *segment) (damaged bool, err error) {
	s.recovering.Lock()
	defer s.recovering.Unlock()
	if !s.serves(seg) {
		return false, nil
	}
	err = checkFile(s.segmentPath(seg.info.Data.Name), seg.info.Data)
	damage, ok := errors.AsType[*damageError](err)
	if !ok {
		return false, err
	}
	s.upkeep.Lock()
	defer s.upkeep.Unlock()
	if !s.serves(seg) {
		return false, nil
	}
	m := s.current().manifest.without(seg.info.ID, damage.Error())
	if err := s.commit(&m); err != nil {
		if errors.Is(err, durable.ErrUncertain) {
			s.fail(err)
		}
		return false, fmt.Errorf("quarantine segment %s: %w", seg.info.Data.Name, err)
	}
	s.install(func(next *storeVersion) {
		next.tables = &tableSet{memtables: next.tables.memtables, segments: next.tables.withReplaced([]*segment{seg}, nil)}
		next.manifest = &m
	})
	s.quarantine(m.Damaged[len(m.Damaged)-1:])
	s.wake()
	return true, nil
}

// serves reports whether a segment is in the current version.
func (s *Store) serves(seg *segment) bool {
	p := s.pin()
	defer p.release()
	return slices.Contains(p.tables.segments, seg)
}

// quarantine moves the files of damaged segments into quarantine, and logs that. The manifest must
// no longer name these segments. If a file cannot be moved, the next start moves it.
func (s *Store) quarantine(damaged []DamagedSegment) {
	for _, d := range damaged {
		log := s.log.With("segment", d.Segment.Data.Name, "reason", d.Reason, "rows", d.Segment.Rows, "apps", d.Segment.Apps, "quarantine", s.quarantineDir())
		if err := s.moveToQuarantine(d.Segment.Data.Name, d.Segment.Filter.Name); err != nil {
			log = log.With("error", err)
		}
		log.Error("a segment is damaged and was quarantined; its rows count as lost, unless the queue still has them")
	}
}

// QuarantineDir returns the folder of damaged segments and of files that no manifest names. Only
// recovery reads it. The store does not empty it by itself, and erasures do not search it.
func (s *Store) QuarantineDir() string { return s.quarantineDir() }

func (s *Store) quarantineDir() string { return filepath.Join(s.opts.Dir, "quarantine") }

// moveToQuarantine moves files of segments into quarantine, under free names. It ignores files that
// do not exist.
func (s *Store) moveToQuarantine(names ...string) error {
	moved := false
	for _, name := range names {
		from := s.segmentPath(name)
		if _, err := os.Lstat(from); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := durable.MkdirAll(s.quarantineDir(), 0o700); err != nil {
			return fmt.Errorf("quarantine %s: %w", name, err)
		}
		if err := os.Rename(from, freeName(filepath.Join(s.quarantineDir(), name))); err != nil {
			return fmt.Errorf("quarantine %s: %w", name, err)
		}
		moved = true
	}
	if !moved {
		return nil
	}
	return errors.Join(durable.SyncDir(s.quarantineDir()), durable.SyncDir(s.segmentDir()))
}

// QuarantineStrays moves files of segments into quarantine that neither the manifest nor an intent
// names. Open does so, too.
func (s *Store) QuarantineStrays() error {
	if !s.persistent() {
		return nil
	}
	s.upkeep.Lock()
	defer s.upkeep.Unlock()
	entries, err := os.ReadDir(s.segmentDir())
	if err != nil {
		return fmt.Errorf("read the store's folder: %w", err)
	}
	// The folder must be read before the intents: a file that was being written then is among the
	// intents until a manifest names it, and upkeep prevents a new manifest.
	known := s.intents.list()
	m := s.current().manifest
	for _, info := range m.Segments {
		known[info.Data.Name], known[info.Filter.Name] = true, true
	}
	for _, name := range m.Obsolete {
		known[name] = true
	}
	var strays []string
	for _, e := range entries {
		if isSegmentFile(e.Name()) && !known[e.Name()] {
			strays = append(strays, e.Name())
		}
	}
	if len(strays) > 0 {
		s.log.Warn("files of segments that the manifest does not name are quarantined", "files", strays, "quarantine", s.quarantineDir())
	}
	return s.moveToQuarantine(strays...)
}

// freeName returns a path, with a number appended if a file of that name exists.
func freeName(path string) string {
	free := path
	for n := 2; ; n++ {
		if _, err := os.Lstat(free); err != nil {
			return free
		}
		free = path + "." + strconv.Itoa(n)
	}
}

// fail ends Run with an error.
func (s *Store) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// wake makes Run look for work immediately.
func (s *Store) wake() {
	select {
	case s.wakeups <- struct{}{}:
	default:
	}
}
