package queue

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
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

// confirmed is a record of what was acknowledged, outside the folders of queue and store, so that
// damage to either is noticed. Before anybody is told that a frame is durable, a line with its
// counts is written here. A plain write survives the end of the process; once a second it is
// synced, so that a power cut may take the lines of the last second.
//
// The folder has files confirmed-N, where N grows. Each is a list of lines of text:
//
//	version 2 CRC                           first; version 1 has no such line
//	totals APP RECEIVED REJECTED … CRC      what all lines of earlier files add up to
//	SEQUENCE APP RECEIVED REJECTED … CRC    one for each frame
//
// CRC is the CRC-32C of the text before it, in hex. A line that is damaged counts for nothing. One
// that is whole and has another form, or another version, was written by a newer version of The Eye.
type confirmed struct {
	dir string

	mu      sync.Mutex // guards what follows
	file    *os.File
	size    int64
	full    bool            // the next line begins another file
	files   []confirmedFile // oldest first; the last one is being written
	totals  map[string]Count
	last    uint64
	unsaved bool // lines were written since the last sync
	closed  bool
}

type confirmedFile struct {
	number uint64
	last   uint64 // greatest sequence of its lines
}

const (
	confirmedPrefix = "confirmed-"
	totalsWord      = "totals"
	versionWord     = "version"
	// confirmedVersion is the version of the files that are written.
	confirmedVersion = 2
	// confirmedBytes is the size at which another file is begun, unless the totals alone take
	// an eighth of it.
	confirmedBytes = 4 << 20
)

// openConfirmed opens the folder; there is false when it has no file yet.
func openConfirmed(dir string) (c *confirmed, there bool, err error) {
	c = &confirmed{dir: dir, totals: map[string]Count{}}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, false, fmt.Errorf("make the folder of confirmed frames: %w", err)
	}
	numbers, err := confirmedNumbers(dir)
	if err != nil {
		return nil, false, err
	}
	for _, n := range numbers {
		f, sum := confirmedFile{number: n}, map[string]Count{}
		totals, err := scanConfirmed(c.path(n), func(e entry) {
			f.last = max(f.last, e.sequence)
			e.addTo(sum)
		})
		if err != nil {
			return nil, false, err
		}
		if totals != nil { // exact, also when lines of earlier files are damaged
			c.totals = totals
		}
		entry{counts: slices.Collect(maps.Values(sum))}.addTo(c.totals)
		c.files = append(c.files, f)
		c.last = max(c.last, f.last)
	}
	return c, len(numbers) > 0, nil
}

func (c *confirmed) path(number uint64) string {
	return filepath.Join(c.dir, fmt.Sprintf("%s%020d", confirmedPrefix, number))
}

func confirmedNumbers(dir string) (numbers []uint64, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, unreadable(dir, err)
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
	if c.file != nil && c.size < confirmedBytes && !c.full {
		return nil
	}
	first := slices.Concat(confirmedLine(fmt.Sprintf("%s %d", versionWord, confirmedVersion), nil), confirmedLine(totalsWord, slices.Collect(maps.Values(c.totals))))
	if c.file != nil && c.size < 8*int64(len(first)) && !c.full {
		return nil
	}
	next := uint64(1)
	if len(c.files) > 0 {
		next = c.files[len(c.files)-1].number + 1
	}
	if err := c.syncLocked(); err != nil {
		return err
	}
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
	c.file, c.size, c.full = f, int64(len(first)), false
	c.files = append(c.files, confirmedFile{number: next})
	return nil
}

// writeLocked adds a line. One that was cut off is ended, so that the next can be read.
func (c *confirmed) writeLocked(line []byte) error {
	n, err := c.file.Write(line)
	c.size += int64(n)
	c.unsaved = true
	if err != nil {
		if n > 0 {
			_, _ = c.file.WriteString("\n")
		}
		return fmt.Errorf("confirm a frame: %w", err)
	}
	return nil
}

// sync makes what was written durable.
func (c *confirmed) sync() error {
	c.mu.Lock()
	f, unsaved := c.file, c.unsaved
	c.unsaved = false
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
	if c.file == nil || !c.unsaved {
		return nil
	}
	c.unsaved = false
	return c.file.Sync()
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

// correct sets the totals, in a file of their own. When that cannot be written now, the next line
// begins it.
func (c *confirmed) correct(totals map[string]Count) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.totals, c.full = totals, true
	err := c.roomLocked()
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return nil // a full disk must not keep anyone from reading
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
	return fmt.Appendf(b, " %08x\n", crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

// unreadable is the error of a file, or of the folder, that is there and cannot be read.
func unreadable(path string, err error) error {
	advice := "make it readable for the server's user, and start again"
	if errors.Is(err, syscall.EIO) {
		advice = "its disk cannot read it: copy the data directory to another disk and start there; without that file, moved away, events that were lost may not be counted as lost"
	}
	return fmt.Errorf("the record of what was acknowledged, %s, cannot be read: %w; %s", path, err, advice)
}

// scanConfirmed reads a file. It passes over lines that are damaged or cut off, and returns the
// totals that its beginning has, nil when they cannot be read. The error wraps ErrNewer for a file of
// a newer version.
func scanConfirmed(path string, each func(entry)) (totals map[string]Count, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // it was removed meanwhile, because it is flushed
	}
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 64<<10)
	for {
		line, err := r.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return totals, nil
		}
		if err != nil {
			return nil, unreadable(path, err)
		}
		text, ok := wholeLine(line)
		if !ok {
			continue
		}
		head, e, known := parseConfirmed(text)
		switch {
		case !known:
			return nil, fmt.Errorf("read confirmed frames: %s, which has the line %.40q, was %w", path, text, ErrNewer)
		case head == totalsWord:
			totals = map[string]Count{}
			e.addTo(totals)
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
	return text, line[i+1:] == fmt.Sprintf("%08x\n", crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli)))
}

// parseConfirmed reads the text of a line, and returns false when its form is not known. head is its
// word, and empty for that of a frame.
func parseConfirmed(text string) (head string, e entry, known bool) {
	if text == fmt.Sprintf("%s %d", versionWord, confirmedVersion) {
		return versionWord, e, true
	}
	fields := strings.Fields(text)
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
