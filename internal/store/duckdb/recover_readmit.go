package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"theeye/internal/durable"
	"theeye/internal/event"
)

// readmitRows is the approximate number of rows of a readmitted segment that become one new
// segment.
const readmitRows = 200_000

// readmitBytes is the approximate size of the payloads of a readmitted segment that are decided at
// once.
const readmitBytes = 16 << 20

// Readmitted is a segment that was damaged and is served again.
type Readmitted struct {
	Segment string    `json:"segment"`
	Rows    RowCounts `json:"rows"`
}

// Readmit reads all segments and quarantines the damaged ones. Then it recovers damaged segments:
// those of which an intact file is in quarantine or in its original place, and those whose frames
// the queue still has. Their rows are decided as if they arrived now, so that nothing is stored
// twice, and nothing comes back that was erased or has expired. Readmit returns the segments that
// are served again, and those that are still damaged, with the current reason.
func (s *Store) Readmit(ctx context.Context) (readmitted []Readmitted, damaged []DamagedSegment, err error) {
	if !s.persistent() {
		return nil, nil, errNoFolder
	}
	s.unrecoverable.Clear()
	before := s.Damaged()
	found, err := s.quarantineDamaged(ctx)
	if err != nil {
		return nil, nil, err
	}
	before = append(before, found...)
	if err := s.withRecovery(ctx, s.recoverDamaged); err != nil {
		return nil, nil, err
	}
	damaged = s.Damaged()
	for _, d := range before {
		if !slices.ContainsFunc(damaged, func(other DamagedSegment) bool { return other.Segment.ID == d.Segment.ID }) {
			readmitted = append(readmitted, Readmitted{d.Segment.Data.Name, d.Segment.Rows})
		}
	}
	for i := range damaged {
		damaged[i].Reason = s.whyUnrecoverable(damaged[i].Segment)
	}
	return readmitted, damaged, nil
}

// quarantineDamaged compares the files of all segments with their checksums, and quarantines and
// returns the damaged ones.
func (s *Store) quarantineDamaged(ctx context.Context) (list []DamagedSegment, err error) {
	p := s.pin()
	defer p.release()
	for _, seg := range p.tables.segments {
		if err := ctx.Err(); err != nil {
			return list, err
		}
		damaged, err := s.quarantineIfDamaged(seg)
		if err != nil {
			return list, err
		}
		if damaged {
			list = append(list, DamagedSegment{Segment: seg.info})
		}
	}
	return list, nil
}

// candidates returns the paths of files that may be that of a damaged segment: in its original
// place, and in quarantine with its name, or with its size and any name.
func (s *Store) candidates(info SegmentInfo) (paths []string) {
	if _, err := os.Lstat(s.segmentPath(info.Data.Name)); err == nil {
		paths = append(paths, s.segmentPath(info.Data.Name))
	}
	entries, err := os.ReadDir(s.quarantineDir())
	if err != nil {
		return paths
	}
	for _, e := range entries {
		found, err := e.Info()
		if strings.HasPrefix(e.Name(), info.Data.Name) || err == nil && found.Size() == info.Data.Bytes {
			paths = append(paths, filepath.Join(s.quarantineDir(), e.Name()))
		}
	}
	return paths
}

// intactCopy returns the path of an intact file of a damaged segment, empty if there is none. The
// error is that of a file that could not be checked.
func (s *Store) intactCopy(info SegmentInfo) (path string, unknown error) {
	for _, path := range s.candidates(info) {
		err := checkFile(path, info.Data)
		if err == nil {
			return path, nil
		}
		if _, damaged := errors.AsType[*damageError](err); !damaged && unknown == nil {
			unknown = err
		}
	}
	return "", unknown
}

// whyUnrecoverable says why a damaged segment cannot be readmitted.
func (s *Store) whyUnrecoverable(info SegmentInfo) string {
	var reasons []string
	for _, path := range s.candidates(info) {
		text := "it is intact, but could not be readmitted; see the log"
		if err := checkFile(path, info.Data); err != nil {
			text = strings.Replace(err.Error(), "its file", "it", 1)
		}
		reasons = append(reasons, "store/"+filepath.Base(filepath.Dir(path))+"/"+filepath.Base(path)+": "+text)
	}
	if len(reasons) == 0 {
		return "its file is neither in store/segments nor in store/quarantine"
	}
	return strings.Join(reasons, "; ")
}

// UnnamedFiles returns the names of the files of segments in quarantine that do not belong to a
// damaged segment. Their checksums are not known, so Readmit ignores them.
func (s *Store) UnnamedFiles() []string {
	entries, err := os.ReadDir(s.quarantineDir())
	if err != nil {
		return nil
	}
	damaged := s.Damaged()
	var names []string
	for _, e := range entries {
		if _, ok := segmentID(withoutNumber(e.Name())); !ok {
			continue
		}
		if !slices.ContainsFunc(damaged, func(d DamagedSegment) bool {
			return strings.HasPrefix(e.Name(), d.Segment.Data.Name) || strings.HasPrefix(e.Name(), d.Segment.Filter.Name)
		}) {
			names = append(names, e.Name())
		}
	}
	return names
}

// withoutNumber returns a name without the number that freeName appended.
func withoutNumber(name string) string {
	ext := filepath.Ext(name)
	if _, err := strconv.ParseUint(strings.TrimPrefix(ext, "."), 10, 64); err != nil {
		return name
	}
	return strings.TrimSuffix(name, ext)
}

// readmit writes the rows of an intact file into new segments, which replace the damaged one.
// Nothing else is written meanwhile.
func (s *Store) readmit(ctx context.Context, damaged SegmentInfo, file string) (err error) {
	s.upkeep.Lock()
	defer s.upkeep.Unlock()
	s.writing.Lock()
	defer s.writing.Unlock()
	p := s.pin()
	defer p.release()
	// DuckDB may only read the folder of segments. A start deletes files with this suffix.
	link := s.segmentPath(damaged.Data.Name) + ".tmp"
	_ = os.Remove(link)
	if err := linkOrCopy(file, link); err != nil {
		return fmt.Errorf("readmit %s: %w", file, err)
	}
	defer func() { err = errors.Join(err, os.Remove(link)) }()
	name := "r" + strconv.FormatUint(damaged.ID, 10)
	if err := s.reading.exec(ctx, "ATTACH "+quoted(link)+" AS "+name+" (READ_ONLY)"); err != nil {
		return fmt.Errorf("readmit %s: %w", file, err)
	}
	defer func() { err = errors.Join(err, s.reading.exec(context.WithoutCancel(ctx), "DETACH "+name)) }()

	r := &readmission{store: s, p: p, from: &segment{info: damaged, in: s.reading}, name: name}
	defer r.discard()
	if err := r.all(ctx); err != nil {
		s.unlinkAll(r.made)
		return err
	}
	var accounts SegmentInfo
	accounts.Apps = map[string]Counts{}
	for _, info := range r.made {
		accounts.Replays += info.Replays
		for app, n := range info.Apps {
			sum := accounts.Apps[app]
			sum.addAll(n)
			accounts.Apps[app] = sum
		}
	}
	if !sameArrivals(accounts, damaged) {
		s.unlinkAll(r.made)
		return fmt.Errorf("%w as they were: %s gives %v instead of %v", ErrNoFrames, file, accounts.Apps, damaged.Apps)
	}
	if err := s.commitRestored(ctx, *p.manifest, r.made, damaged.ID); err != nil {
		return err
	}
	filter := damaged.Filter.Name + strings.TrimPrefix(filepath.Base(file), damaged.Data.Name)
	for _, path := range []string{file, s.segmentPath(filter), filepath.Join(s.quarantineDir(), filter)} { // erasures would not search these files
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("a file of a readmitted segment could not be deleted", "file", path, "error", err)
		}
	}
	return nil
}

// readmission is the state of readmit. The caller must hold s.upkeep and s.writing.
type readmission struct {
	store    *Store
	p        *pinned
	from     *segment
	name     string    // under which its file is attached
	memtable *memtable // receives the rows until it becomes a segment; nil when there is none
	made     []SegmentInfo
}

// discard drops the memtable.
func (r *readmission) discard() {
	if r.memtable != nil {
		r.store.dropOrphans(orphans{memtables: []*memtable{r.memtable}})
		r.memtable = nil
	}
}

// all reads the tables, decides their rows again and writes the result.
func (r *readmission) all(ctx context.Context) error {
	var waiting []event.Record
	var bytes int // size of their payloads
	decide := func() error {
		records := waiting
		waiting, bytes = nil, 0
		return r.add(ctx, func(q *pinned) (*decision, error) { return q.decide(ctx, records) })
	}
	each := func(record event.Record) error {
		bytes += len(record.Payload())
		if waiting = append(waiting, record); len(waiting) < rebuildRecords && bytes < readmitBytes {
			return nil
		}
		return decide()
	}
	order := " ORDER BY carried_by, frame, frame_index"
	err := r.rows(ctx, "SELECT "+r.from.columnsOf(eventTable)+" FROM "+r.name+"."+eventTable+order, func(scan scanner) error {
		e, err := scanEvent(scan)
		if err != nil {
			return err
		}
		return each(event.Record{Event: &e})
	})
	if err != nil {
		return err
	}
	body := "(SELECT " + r.from.columnsOf(rejectionTable) + " FROM " + r.name + "." + rejectionTable + ")"
	err = r.rows(ctx, "SELECT "+listedRejection+" FROM "+body+order, func(scan scanner) error {
		x, err := r.store.scanRejection(scan)
		if err != nil {
			return err
		}
		return each(event.Record{Rejection: &x})
	})
	if err != nil {
		return err
	}
	if err := decide(); err != nil {
		return err
	}
	var residues []residue
	err = r.rows(ctx, "SELECT "+residueColumns+" FROM "+r.name+"."+residueTable, func(scan scanner) error {
		t, err := scanResidue(scan)
		if err != nil {
			return err
		}
		b := r.p.erased.Cover(t.app, t.sessionID).Bounds()
		if t.receivedAt <= max(b.Session, b.App) || t.carriedBy <= max(b.SessionFrame, b.AppFrame) {
			t = t.redacted()
			t.problems = nil
		}
		residues = append(residues, t)
		if len(residues) < rebuildRecords {
			return nil
		}
		batch := residues
		residues = nil
		return r.add(ctx, func(*pinned) (*decision, error) { return residueDecision(batch), nil })
	})
	if err == nil {
		err = r.add(ctx, func(*pinned) (*decision, error) { return residueDecision(residues), nil })
	}
	if err == nil {
		err = r.write(ctx)
	}
	return err
}

func residueDecision(list []residue) *decision {
	return &decision{residues: list, outcomes: make([]event.Outcome, len(list))}
}

func scanResidue(scan scanner) (t residue, err error) {
	var fate int
	var problems sql.RawBytes
	err = scan(&t.app, &t.eventID, &t.clientID, &t.sessionID, &t.category, &t.name, &t.receivedAt,
		&t.position.Frame, &t.position.Index, &t.carriedBy, &fate, &problems)
	if err == nil {
		t.fate = event.Fate(fate)
		t.problems, err = parseProblems(problems)
	}
	return t, err
}

// rows calls each for every row of a query.
func (r *readmission) rows(ctx context.Context, text string, each func(scanner) error) error {
	return eachRow(ctx, r.store.reading, text, func(rows *sql.Rows) error { return each(rows.Scan) })
}

// add inserts what decide returns into the memtable, and writes a segment when the memtable is
// full.
func (r *readmission) add(ctx context.Context, decide func(*pinned) (*decision, error)) error {
	if r.memtable == nil {
		mt, err := r.store.newMemtable(ctx, r.p.tables.memtables[len(r.p.tables.memtables)-1].number+1)
		if err != nil {
			return err
		}
		r.memtable = mt
	}
	with := *r.p.storeVersion
	with.tables = &tableSet{memtables: append(slices.Clone(r.p.tables.memtables), r.memtable), segments: r.p.tables.segments}
	d, err := decide(&pinned{storeVersion: &with, store: r.store, in: r.p.in})
	if err == nil {
		err = r.store.insert(ctx, r.memtable, d)
	}
	if err != nil {
		return err
	}
	r.store.addKnown(r.memtable, d)
	if r.memtable.rows < readmitRows && r.memtable.bytes < r.store.opts.MemoryLimit/flushMemoryPart {
		return nil
	}
	return r.write(ctx)
}

// write writes the memtable as a segment.
func (r *readmission) write(ctx context.Context) error {
	if r.memtable == nil || r.memtable.empty() {
		return nil
	}
	info, err := r.store.writeMemtable(ctx, r.memtable)
	if err != nil {
		return err
	}
	r.made = append(r.made, info)
	r.discard()
	return nil
}

// linkOrCopy creates a hard link to a file, or a copy where hard links do not work.
func linkOrCopy(from, to string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	return durable.Write(to, f)
}
