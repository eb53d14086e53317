package queue

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"theeye/internal/durable"
)

// confirmedRecord is the confirmed record: the counts of acknowledged frames, kept outside the
// folders of queue and store, so that damage to either is noticed. Before a frame is acknowledged,
// a line with its counts is written here. A write without a sync survives the end of the process;
// the file is synced once a second, so a power failure may lose the lines of the last second.
//
// The folder has files confirmed-N, where N grows. Each is a list of lines of text:
//
//	version 3 CRC                           first; version 1 has no such line
//	record ID CRC                           the record that the file belongs to, since version 3
//	totals APP RECEIVED REJECTED … CRC      the sums of all lines of earlier files
//	last SEQUENCE CRC                       an upper bound for the frames before this line, since version 3
//	SEQUENCE APP RECEIVED REJECTED … CRC    one for each frame
//
// CRC is the CRC-32C of the text before it, in hex. A damaged line is ignored. An intact line of
// another form, or with another version, was written by a newer version of The Eye.
//
// The first lines of a file are written atomically, and only the process that created a file writes
// to it. So a crash can only leave the file shorter, cut off within a line, or with zeros instead
// of its last lines. Before the store flushes a frame, a line with its sequence or a later one is
// synced.
type confirmedRecord struct {
	dir string

	syncing sync.Mutex // held by sync, before mu

	mu       sync.Mutex // guards what follows
	file     *os.File
	size     int64
	rotate   bool            // the next line goes to a new file
	files    []confirmedFile // oldest first; the last one is being written
	totals   map[string]Count
	last     uint64
	unsynced bool // lines were written since the last sync
	closed   bool

	// id identifies the record; damage says what is wrong with the record that openConfirmed found,
	// and replace whether it must be rewritten. They do not change after Open and rewrite have
	// returned.
	id           string
	damage       string
	replace      bool
	hasLast      bool     // the newest file that was found has a line with the last sequence
	next         uint64   // the number of the next file
	toQuarantine []uint64 // files that are damaged or belong to another record
}

type confirmedFile struct {
	number uint64
	last   uint64 // greatest sequence of its lines
}

const (
	confirmedPrefix = "confirmed-"
	totalsWord      = "totals"
	versionWord     = "version"
	recordWord      = "record"
	lastWord        = "last"
	// confirmedVersion is the version of the files that are written.
	confirmedVersion = 3
	// confirmedBytes is the size at which a new file is begun, unless the totals alone take an
	// eighth of it.
	confirmedBytes = 4 << 20
)

func (c *confirmedRecord) path(number uint64) string {
	return filepath.Join(c.dir, fmt.Sprintf("%s%020d", confirmedPrefix, number))
}

// add writes the line of a frame. It must be called before the frame is acknowledged.
func (c *confirmedRecord) add(sequence uint64, counts []Count) error {
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
	confirmedEntry{sequence, counts}.addTo(c.totals)
	return nil
}

// roomLocked begins a new file if there is none or the current one is large.
func (c *confirmedRecord) roomLocked() error {
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
func (c *confirmedRecord) headLocked(totals map[string]Count) []byte {
	if c.id == "" {
		c.id = rand.Text()
	}
	return slices.Concat(
		confirmedLine(fmt.Sprintf("%s %d", versionWord, confirmedVersion), nil), confirmedLine(recordWord+" "+c.id, nil),
		confirmedLine(totalsWord, slices.Collect(maps.Values(totals))), lastLine(c.last))
}

// beginLocked begins a new file with the content first, whose greatest sequence is last.
func (c *confirmedRecord) beginLocked(first []byte, last uint64) error {
	next := c.next
	if err := durable.Replace(c.path(next), bytes.NewReader(first)); err != nil {
		return fmt.Errorf("begin a file of the confirmed record: %w", err)
	}
	f, err := os.OpenFile(c.path(next), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("begin a file of the confirmed record: %w", err)
	}
	if c.file != nil {
		_ = c.file.Close()
	}
	c.file, c.size, c.rotate, c.next = f, int64(len(first)), false, next+1
	c.files = append(c.files, confirmedFile{number: next, last: last})
	return nil
}

// writeLocked appends a line. A partial write is truncated, so that the next line can be read.
func (c *confirmedRecord) writeLocked(line []byte) error {
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
func (c *confirmedRecord) sync() error {
	c.syncing.Lock()
	defer c.syncing.Unlock()
	c.mu.Lock()
	f, unsaved := c.file, c.unsynced
	c.unsynced = false
	c.mu.Unlock()
	if !unsaved {
		return nil
	}
	err := f.Sync() // without the lock, so that add does not wait for it
	if errors.Is(err, os.ErrClosed) {
		return nil // a new file was begun, which included a sync of this one
	}
	return err
}

func (c *confirmedRecord) syncLocked() error {
	if c.file == nil {
		return nil
	}
	c.unsynced = false
	return c.file.Sync() // even if sync is about to: it cannot once the file is closed
}

// extendTo makes the record durable up to a frame that the store is about to flush.
func (c *confirmedRecord) extendTo(frame uint64) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	var err error
	if c.last < frame { // the frames in between were never acknowledged
		c.last = frame
		if err = c.roomLocked(); err == nil {
			err = c.writeLocked(lastLine(frame))
		}
	}
	c.mu.Unlock()
	return errors.Join(ignoreFull(err), c.sync())
}

// forget removes the files whose frames are all flushed. The totals remain.
func (c *confirmedRecord) forget(flushed uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.files) > 1 && c.files[0].last <= flushed {
		if err := os.Remove(c.path(c.files[0].number)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove a file of the confirmed record: %w", err)
		}
		c.files = c.files[1:]
	}
	return nil
}

// setTotals begins a new file with these totals and a last sequence of at least last. If the disk
// is full, the next line begins the file.
func (c *confirmedRecord) setTotals(totals map[string]Count, last uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.totals, c.rotate, c.last = totals, true, max(c.last, last)
	return ignoreFull(c.roomLocked())
}

// ignoreFull returns nil if err reports a full disk, which must not prevent reads.
func ignoreFull(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return nil
	}
	return err
}

// between returns the lines of the frames from one sequence to another, both included.
func (c *confirmedRecord) between(first, last uint64) (found []confirmedEntry, err error) {
	c.mu.Lock()
	files := slices.Clone(c.files)
	c.mu.Unlock()
	seen := map[uint64]bool{}
	for _, f := range files {
		if f.last < first {
			continue
		}
		_, err := scanConfirmed(c.path(f.number), func(e confirmedEntry) {
			if e.sequence >= first && e.sequence <= last && !seen[e.sequence] {
				seen[e.sequence] = true
				found = append(found, e)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(found, func(a, b confirmedEntry) int { return cmp.Compare(a.sequence, b.sequence) })
	return found, nil
}

// total returns the sums over all frames ever confirmed, and the greatest sequence.
func (c *confirmedRecord) total() (totals map[string]Count, last uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.totals), c.last
}

func (c *confirmedRecord) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.file == nil {
		return nil
	}
	return errors.Join(c.syncLocked(), c.file.Close())
}
