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

// DamagedSegment is a segment that was found to be damaged (S13). Its files are in quarantine; its
// rows are not served and count as lost.
type DamagedSegment struct {
	Segment SegmentInfo `json:"segment"`
	Reason  string      `json:"reason"`
	Found   time.Time   `json:"found"`
	// Acknowledged: operators know of it.
	Acknowledged bool `json:"acknowledged,omitzero"`
}

// String describes what is not available.
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

// Damaged returns the segments that are damaged now.
func (s *Store) Damaged() []DamagedSegment { return slices.Clone(s.current().manifest.Damaged) }

// AcknowledgeDamage notes that operators know of the segments that are damaged now, and returns
// those that were not acknowledged before. It is durable when AcknowledgeDamage returns.
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

// AwaitsRebuild reports whether a damaged segment is still to be rebuilt from the queue.
func (s *Store) AwaitsRebuild(d DamagedSegment) bool {
	_, tried := s.unrecoverable.Load(d.Segment.ID)
	return !tried && s.canRebuild(d.Segment)
}

// canRebuild reports whether the frames that a segment was made of may be in the queue. Only
// segments of a flush can be rebuilt: no other segment has rows of their frames.
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

// damageError is the error of a file that is not what the manifest says.
type damageError struct{ text string }

func (e *damageError) Error() string { return e.text }

// checkSize checks that a file exists and has its size. The error is a *damageError when it does
// not.
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
// when it is not; any other error, such as a missing permission or file descriptor, says nothing
// about the file.
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

// suspects returns the segments that an error of reading points to. DuckDB names the file that it
// could not read. For a block whose checksum does not match it reports the offset and the stored
// checksum, which is looked up in each file.
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

// holdsAt reports whether a file has a number at an offset, or cannot be read there.
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

// checkSegment quarantines a segment when its file is damaged. It reports whether the segment is
// not served any more, whoever quarantined it.
func (s *Store) checkSegment(seg *segment) (out bool, err error) {
	damaged, err := s.quarantineIfDamaged(seg)
	return damaged || err == nil && !s.serves(seg), err
}

// quarantineIfDamaged quarantines a segment when its file is damaged, and reports whether it did.
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
		return false, fmt.Errorf("put segment %s aside: %w", seg.info.Data.Name, err)
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

// quarantine moves the files of damaged segments into quarantine, and logs them. The manifest does
// not name them any more. A file that cannot be moved now is moved at the next start.
func (s *Store) quarantine(damaged []DamagedSegment) {
	for _, d := range damaged {
		log := s.log.With("segment", d.Segment.Data.Name, "reason", d.Reason, "rows", d.Segment.Rows, "apps", d.Segment.Apps, "quarantine", s.quarantineDir())
		if err := s.moveToQuarantine(d.Segment.Data.Name, d.Segment.Filter.Name); err != nil {
			log = log.With("error", err)
		}
		log.Error("a segment is damaged and was quarantined; its rows count as lost, unless the queue still has them")
	}
}

// QuarantineDir is the folder of damaged segments and of files that no manifest names. Only Readmit
// reads it. Nothing empties it by itself, and no erasure searches it.
func (s *Store) QuarantineDir() string { return s.quarantineDir() }

func (s *Store) quarantineDir() string { return filepath.Join(s.opts.Dir, "quarantine") }

// moveToQuarantine moves files of segments into quarantine, under a free name; those that do not
// exist are passed over.
func (s *Store) moveToQuarantine(names ...string) error {
	moved := false
	for _, name := range names {
		from := s.segmentPath(name)
		if _, err := os.Lstat(from); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := durable.MkdirAll(s.quarantineDir(), 0o700); err != nil {
			return fmt.Errorf("put %s aside: %w", name, err)
		}
		if err := os.Rename(from, freeName(filepath.Join(s.quarantineDir(), name))); err != nil {
			return fmt.Errorf("put %s aside: %w", name, err)
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
	// In this order: what was being made when the folder was read is noted until a manifest has it,
	// and none is committed meanwhile.
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
		s.log.Warn("files of segments that the manifest does not name are put into quarantine", "files", strays, "quarantine", s.quarantineDir())
	}
	return s.moveToQuarantine(strays...)
}

// freeName returns a path, with a number appended when it is taken.
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

// wake lets Run look for work at once.
func (s *Store) wake() {
	select {
	case s.wakeups <- struct{}{}:
	default:
	}
}
