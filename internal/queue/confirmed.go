package queue

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"theeye/internal/durable"
)

// confirmed is the confirmed record: the counts of acknowledged frames, kept outside the folders of
// queue and store, so that damage to either is noticed. Before a frame is acknowledged, a line with
// its counts is written here. A plain write survives the end of the process; the file is synced
// once a second, so a power cut may lose the lines of the last second.
//
// The folder has files confirmed-N, where N grows. Each is a list of lines of text:
//
//	version 3 CRC                           first; version 1 has no such line
//	record ID CRC                           the record that the file belongs to, since version 3
//	totals APP RECEIVED REJECTED … CRC      what all lines of earlier files add up to
//	last SEQUENCE CRC                       an upper bound for the frames before this line, since version 3
//	SEQUENCE APP RECEIVED REJECTED … CRC    one for each frame
//
// CRC is the CRC-32C of the text before it, in hex. A damaged line is ignored. An intact line of
// another form, or with another version, was written by a newer version of The Eye.
//
// The first lines of a file are written atomically, and nothing is written into it after the
// process that began it has ended. So a crash can only leave it shorter, cut off within a line, or
// with zeros instead of its last lines. Before the store flushes a frame, a line with its sequence
// or a later one is synced.
type confirmed struct {
	dir string

	syncing sync.Mutex // held by sync, before mu

	mu       sync.Mutex // guards what follows
	file     *os.File
	size     int64
	rotate   bool            // the next line begins another file
	files    []confirmedFile // oldest first; the last one is being written
	totals   map[string]Count
	last     uint64
	unsynced bool // lines were written since the last sync
	closed   bool

	// id identifies the record; damage says what is wrong with the record that was found, and
	// replace whether it must be rewritten. They do not change after Open and rewrite have
	// returned.
	id       string
	damage   string
	replace  bool
	hasLast  bool     // the newest file that was found has the last sequence
	next     uint64   // the number of the next file
	setAside []uint64 // files that are damaged, or of another record
}

type confirmedFile struct {
	number uint64
	last   uint64 // greatest sequence of its lines
}

// MissingRecord is what RecordDamage returns when there is no file.
const MissingRecord = "is missing"

const (
	confirmedPrefix = "confirmed-"
	totalsWord      = "totals"
	versionWord     = "version"
	recordWord      = "record"
	lastWord        = "last"
	// confirmedVersion is the version of the files that are written.
	confirmedVersion = 3
	// confirmedBytes is the size at which another file is begun, unless the totals alone take
	// an eighth of it.
	confirmedBytes = 4 << 20
)

// openConfirmed opens the folder. record is the id that the record should have, empty when that is
// not known, and flushed the last frame that the store has flushed.
func openConfirmed(dir, record string, flushed uint64) (*confirmed, error) {
	c := &confirmed{dir: dir, totals: map[string]Count{}, id: record, next: 1}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of confirmed frames: %w", err)
	}
	numbers, err := confirmedNumbers(dir)
	if err != nil {
		return nil, err
	}
	if len(numbers) == 0 {
		c.damage, c.id = MissingRecord, "" // if the missing record comes back, it is treated as another one
	}
	for i, n := range numbers {
		f, sum := confirmedFile{number: n}, map[string]Count{}
		h, err := scanConfirmed(c.path(n), func(e entry) {
			f.last = max(f.last, e.sequence)
			e.addTo(sum)
		})
		if err != nil {
			return nil, err
		}
		c.next = n + 1
		c.hasLast = h.hasLast
		if c.id == "" {
			c.id = h.record
		}
		switch {
		case h.record != c.id && (h.record != "" || h.damage == ""):
			c.discard(n, "is not the one that the store knows")
			continue
		case h.damage != "": // its whole lines count
			c.discard(n, "is damaged: "+h.damage)
		case i > 0 && c.last < h.began && h.began > flushed:
			c.noteDamage(fmt.Sprintf("is damaged: before %s it ends with frame %d instead of %d", filepath.Base(c.path(n)), c.last, h.began))
		}
		c.replace = c.replace || h.record == ""
		if h.totals != nil { // exact, also when lines of earlier files are damaged
			c.totals = h.totals
		}
		entry{counts: slices.Collect(maps.Values(sum))}.addTo(c.totals)
		c.files = append(c.files, f)
		c.last = max(c.last, f.last, h.last)
	}
	c.checkReaches(flushed, "the store has flushed up to")
	return c, nil
}

// checkReaches notes damage if the record ends before a frame that an intact record would have
// reached. why says what has reached that frame.
func (c *confirmed) checkReaches(frame uint64, why string) {
	if c.hasLast && c.last < frame {
		c.noteDamage(fmt.Sprintf("is out of date or damaged: it ends with frame %d, and %s frame %d", c.last, why, frame))
	}
}

// discard notes a file that is to be moved away.
func (c *confirmed) discard(number uint64, damage string) {
	c.setAside = append(c.setAside, number)
	c.noteDamage(fmt.Sprintf("%s (%s)", damage, filepath.Base(c.path(number))))
}

// noteDamage notes what is wrong with the record. Only what was noted first is reported.
func (c *confirmed) noteDamage(damage string) {
	c.damage, c.replace = cmp.Or(c.damage, damage), true
}

func (c *confirmed) path(number uint64) string {
	return filepath.Join(c.dir, fmt.Sprintf("%s%020d", confirmedPrefix, number))
}

func confirmedNumbers(dir string) (numbers []uint64, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, unreadableError(dir, err)
	}
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), confirmedPrefix)
		if n, err := strconv.ParseUint(rest, 10, 64); ok && err == nil {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// entry is one line.
type entry struct {
	sequence uint64
	counts   []Count
}

func (e entry) addTo(totals map[string]Count) {
	for _, n := range e.counts {
		sum := totals[n.App]
		totals[n.App] = Count{n.App, sum.Received + n.Received, sum.Rejected + n.Rejected}
	}
}

// add writes the line of a frame. It must be called before anybody is told of the frame.
func (c *confirmed) add(sequence uint64, counts []Count) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	if err := c.roomLocked(); err != nil {
		return err
	}
	if err := c.writeLocked(confirmedLine(strconv.FormatUint(sequence, 10), counts)); err != nil {
		return err
	}
	f := &c.files[len(c.files)-1]
	f.last, c.last = max(f.last, sequence), max(c.last, sequence)
	entry{sequence, counts}.addTo(c.totals)
	return nil
}

// roomLocked begins another file when there is none or the present one is large.
func (c *confirmed) roomLocked() error {
	if c.file != nil && c.size < confirmedBytes && !c.rotate {
		return nil
	}
	first := c.headLocked(c.totals)
	if c.file != nil && c.size < 8*int64(len(first)) && !c.rotate {
		return nil
	}
	if err := c.syncLocked(); err != nil {
		return err
	}
	return c.beginLocked(first, 0)
}

// headLocked returns the first lines of a file.
func (c *confirmed) headLocked(totals map[string]Count) []byte {
	if c.id == "" {
		c.id = rand.Text()
	}
	return slices.Concat(
		confirmedLine(fmt.Sprintf("%s %d", versionWord, confirmedVersion), nil), confirmedLine(recordWord+" "+c.id, nil),
		confirmedLine(totalsWord, slices.Collect(maps.Values(totals))), lastLine(c.last))
}

func lastLine(sequence uint64) []byte {
	return confirmedLine(fmt.Sprintf("%s %d", lastWord, sequence), nil)
}

// beginLocked begins another file with the content first, whose lines reach up to the sequence
// last.
func (c *confirmed) beginLocked(first []byte, last uint64) error {
	next := c.next
	if err := durable.Replace(c.path(next), bytes.NewReader(first)); err != nil {
		return fmt.Errorf("begin a file of confirmed frames: %w", err)
	}
	f, err := os.OpenFile(c.path(next), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("begin a file of confirmed frames: %w", err)
	}
	if c.file != nil {
		_ = c.file.Close()
	}
	c.file, c.size, c.rotate, c.next = f, int64(len(first)), false, next+1
	c.files = append(c.files, confirmedFile{number: next, last: last})
	return nil
}

// writeLocked adds a line. If it is written only in part, that part is truncated, so that the next
// line can be read.
func (c *confirmed) writeLocked(line []byte) error {
	n, err := c.file.Write(line)
	c.size += int64(n)
	c.unsynced = true
	if err != nil {
		if n > 0 {
			c.size -= int64(n)
			c.rotate = c.file.Truncate(c.size) != nil
		}
		return fmt.Errorf("confirm a frame: %w", err)
	}
	return nil
}

// sync makes what was written durable.
func (c *confirmed) sync() error {
	c.syncing.Lock()
	defer c.syncing.Unlock()
	c.mu.Lock()
	f, unsaved := c.file, c.unsynced
	c.unsynced = false
	c.mu.Unlock()
	if !unsaved {
		return nil
	}
	err := f.Sync() // without the lock: nobody who confirms a frame waits for it
	if errors.Is(err, os.ErrClosed) {
		return nil // another file was begun, which syncs this one
	}
	return err
}

func (c *confirmed) syncLocked() error {
	if c.file == nil {
		return nil
	}
	c.unsynced = false
	return c.file.Sync() // even if sync is about to do so: it cannot once the file is closed
}

// extendTo makes the record durable, and makes it reach a frame that the store is about to flush.
func (c *confirmed) extendTo(frame uint64) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	var err error
	if c.last < frame { // by frames that were never acknowledged
		c.last = frame
		if err = c.roomLocked(); err == nil {
			err = c.writeLocked(lastLine(frame))
		}
	}
	c.mu.Unlock()
	return errors.Join(ignoreFull(err), c.sync())
}

// forget removes the files whose frames are all flushed. The totals stay.
func (c *confirmed) forget(flushed uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.files) > 1 && c.files[0].last <= flushed {
		if err := os.Remove(c.path(c.files[0].number)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove a file of confirmed frames: %w", err)
		}
		c.files = c.files[1:]
	}
	return nil
}

// setTotals begins another file with these totals, whose last sequence is at least last. If that
// file cannot be written now, the next line begins it.
func (c *confirmed) setTotals(totals map[string]Count, last uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.totals, c.rotate, c.last = totals, true, max(c.last, last)
	return ignoreFull(c.roomLocked())
}

// rewrite does the same for a new record with the given lines. Files that are damaged, or belong to
// another record, are moved away, and the others are removed.
func (c *confirmed) rewrite(totals map[string]Count, last uint64, lines []entry) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, sum, greatest := c.files, map[string]Count{}, uint64(0)
	c.totals, c.rotate, c.last, c.id = totals, true, max(c.last, last), ""
	for _, e := range lines {
		e.addTo(sum)
		greatest = max(greatest, e.sequence)
	}
	earlier := maps.Clone(totals)
	for app, n := range sum {
		earlier[app] = Count{app, earlier[app].Received - n.Received, earlier[app].Rejected - min(n.Rejected, earlier[app].Rejected)}
	}
	c.last = max(c.last, greatest)
	content := c.headLocked(earlier)
	for _, e := range lines {
		content = append(content, confirmedLine(strconv.FormatUint(e.sequence, 10), e.counts)...)
	}
	if err := c.beginLocked(content, greatest); err != nil {
		return ignoreFull(err)
	}
	c.files = c.files[len(c.files)-1:]
	for _, n := range c.setAside {
		if _, err := durable.SetAside(c.path(n)); err != nil {
			return ignoreFull(fmt.Errorf("move away a file of confirmed frames: %w", err))
		}
	}
	for _, f := range before {
		if err := os.Remove(c.path(f.number)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove a file of confirmed frames: %w", err)
		}
	}
	return nil
}

// ignoreFull returns nil for the error of a full disk, which must not prevent reads.
func ignoreFull(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return nil
	}
	return err
}

// between returns the lines of the frames from one sequence to another, both included.
func (c *confirmed) between(first, last uint64) (found []entry, err error) {
	c.mu.Lock()
	files := slices.Clone(c.files)
	c.mu.Unlock()
	seen := map[uint64]bool{}
	for _, f := range files {
		if f.last < first {
			continue
		}
		_, err := scanConfirmed(c.path(f.number), func(e entry) {
			if e.sequence >= first && e.sequence <= last && !seen[e.sequence] {
				seen[e.sequence] = true
				found = append(found, e)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(found, func(a, b entry) int { return cmp.Compare(a.sequence, b.sequence) })
	return found, nil
}

// total returns what all frames ever confirmed add up to, and the greatest sequence.
func (c *confirmed) total() (totals map[string]Count, last uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.totals), c.last
}

func (c *confirmed) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.file == nil {
		return nil
	}
	return errors.Join(c.syncLocked(), c.file.Close())
}

func confirmedLine(head string, counts []Count) []byte {
	b := append(make([]byte, 0, 64), head...)
	for _, n := range counts {
		b = append(append(b, ' '), n.App...)
		b = strconv.AppendUint(append(b, ' '), n.Received, 10)
		b = strconv.AppendUint(append(b, ' '), n.Rejected, 10)
	}
	return fmt.Appendf(b, " %08x\n", durable.Checksum(b))
}

// unreadableError is the error of a file, or of the folder, that is there and cannot be read.
func unreadableError(path string, err error) error {
	advice := "make it readable for the server's user, and start again"
	if errors.Is(err, syscall.EIO) {
		advice = "its disk cannot read it: copy the data directory to another disk and start there; without that file, moved away, events that were lost may not be counted as lost"
	}
	return fmt.Errorf("the record of what was acknowledged, %s, cannot be read: %w; %s", path, err, advice)
}

// confirmedHead is what a file has besides the lines of frames.
type confirmedHead struct {
	record  string
	totals  map[string]Count // nil when they cannot be read
	began   uint64           // the last sequence that it begins with
	last    uint64           // the greatest that any line of that kind has
	hasLast bool             // there is such a line
	damage  string           // damage that a crash cannot cause; empty for none
}

// scanConfirmed reads a file. It passes over lines that are damaged or cut off. The error wraps
// ErrNewer for a file of a newer version.
func scanConfirmed(path string, each func(entry)) (h confirmedHead, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil // it was removed meanwhile, because it is flushed
	}
	if err != nil {
		return h, unreadableError(path, err)
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 64<<10)
	for number := 1; ; number++ {
		line, err := r.ReadString('\n')
		if errors.Is(err, io.EOF) {
			if (h.totals == nil || h.record != "" && !h.hasLast) && h.damage == "" {
				h.damage = "it does not have its first lines"
			}
			return h, nil
		}
		if err != nil {
			return h, unreadableError(path, err)
		}
		text, ok := wholeLine(line)
		if !ok {
			if h.damage == "" {
				h.damage = fmt.Sprintf("line %d is not what was written", number)
			}
			continue
		}
		head, e, known := parseConfirmed(text)
		switch {
		case !known:
			return h, fmt.Errorf("read confirmed frames: %s, which has the line %.40q, was %w", path, text, ErrNewer)
		case head == totalsWord:
			h.totals = map[string]Count{}
			e.addTo(h.totals)
		case head == recordWord:
			h.record = strings.TrimPrefix(text, recordWord+" ")
		case head == lastWord:
			if !h.hasLast {
				h.began = e.sequence
			}
			h.hasLast, h.last = true, max(h.last, e.sequence)
		case head == "":
			each(e)
		}
	}
}

// wholeLine returns the text of a line without its checksum, and false when that does not match.
func wholeLine(line string) (text string, ok bool) {
	i := strings.LastIndexByte(strings.TrimSuffix(line, "\n"), ' ')
	if i < 0 {
		return "", false
	}
	text = line[:i]
	return text, line[i+1:] == fmt.Sprintf("%08x\n", durable.Checksum([]byte(text)))
}

// parseConfirmed reads the text of a line, and returns false when its form is not known. head is
// its keyword, empty for the line of a frame.
func parseConfirmed(text string) (head string, e entry, known bool) {
	fields := strings.Fields(text)
	if len(fields) == 2 {
		n, err := strconv.ParseUint(fields[1], 10, 64)
		switch fields[0] {
		case versionWord:
			return versionWord, e, err == nil && n >= 2 && n <= confirmedVersion
		case recordWord:
			return recordWord, e, true
		case lastWord:
			return lastWord, entry{sequence: n}, err == nil
		}
	}
	if len(fields)%3 != 1 {
		return "", e, false
	}
	if head = fields[0]; head != totalsWord {
		var err error
		if e.sequence, err = strconv.ParseUint(head, 10, 64); err != nil {
			return "", e, false
		}
		head = ""
	}
	for f := fields[1:]; len(f) > 0; f = f[3:] {
		received, err1 := strconv.ParseUint(f[1], 10, 64)
		rejected, err2 := strconv.ParseUint(f[2], 10, 64)
		if errors.Join(err1, err2) != nil {
			return "", e, false
		}
		e.counts = append(e.counts, Count{App: f[0], Received: received, Rejected: rejected})
	}
	return head, e, true
}
