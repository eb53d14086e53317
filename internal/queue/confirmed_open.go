package queue

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"theeye/internal/durable"
)

// ConfirmedMissing is what ConfirmedDamage returns if the record has no file.
const ConfirmedMissing = "is missing"

// openConfirmed opens the record in dir. record is the id that it should have, empty if that is not
// known, and flushed the last frame that the store has flushed.
func openConfirmed(dir, record string, flushed uint64) (*confirmedRecord, error) {
	c := &confirmedRecord{dir: dir, totals: map[string]Count{}, id: record, next: 1}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the confirmed record: %w", err)
	}
	numbers, err := confirmedNumbers(dir)
	if err != nil {
		return nil, err
	}
	if len(numbers) == 0 {
		c.damage, c.id = ConfirmedMissing, "" // if the missing record reappears, it is treated as another one
	}
	for i, n := range numbers {
		f, sum := confirmedFile{number: n}, map[string]Count{}
		h, err := scanConfirmed(c.path(n), func(e confirmedEntry) {
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
		case h.damage != "": // its intact lines count
			c.discard(n, "is damaged: "+h.damage)
		case i > 0 && c.last < h.began && h.began > flushed:
			c.noteDamage(fmt.Sprintf("is damaged: before %s it ends with frame %d instead of %d", filepath.Base(c.path(n)), c.last, h.began))
		}
		c.replace = c.replace || h.record == ""
		if h.totals != nil { // exact, even if lines of earlier files are damaged
			c.totals = h.totals
		}
		confirmedEntry{counts: slices.Collect(maps.Values(sum))}.addTo(c.totals)
		c.files = append(c.files, f)
		c.last = max(c.last, f.last, h.last)
	}
	c.checkReaches(flushed, "the store has flushed up to")
	return c, nil
}

// checkReaches notes damage if the record ends before a frame that an intact record would have
// reached. why says what has reached that frame.
func (c *confirmedRecord) checkReaches(frame uint64, why string) {
	if c.hasLast && c.last < frame {
		c.noteDamage(fmt.Sprintf("is out of date or damaged: it ends with frame %d, and %s frame %d", c.last, why, frame))
	}
}

// discard notes a file that is to be quarantined.
func (c *confirmedRecord) discard(number uint64, damage string) {
	c.toQuarantine = append(c.toQuarantine, number)
	c.noteDamage(fmt.Sprintf("%s (%s)", damage, filepath.Base(c.path(number))))
}

// noteDamage notes what is wrong with the record. Only the first such note is reported.
func (c *confirmedRecord) noteDamage(damage string) {
	c.damage, c.replace = cmp.Or(c.damage, damage), true
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

// rewrite replaces the record by a new one with these totals and lines, and a last sequence of at
// least last. Files that are damaged or belong to another record are quarantined, and the others
// are removed.
func (c *confirmedRecord) rewrite(totals map[string]Count, last uint64, lines []confirmedEntry) error {
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
	for _, n := range c.toQuarantine {
		if _, err := durable.Quarantine(c.path(n)); err != nil {
			return ignoreFull(fmt.Errorf("quarantine a file of the confirmed record: %w", err))
		}
	}
	for _, f := range before {
		if err := os.Remove(c.path(f.number)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove a file of the confirmed record: %w", err)
		}
	}
	return nil
}
