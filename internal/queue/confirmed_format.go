package queue

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"theeye/internal/durable"
)

// confirmedEntry is one line.
type confirmedEntry struct {
	sequence uint64
	counts   []Count
}

func (e confirmedEntry) addTo(totals map[string]Count) {
	for _, n := range e.counts {
		sum := totals[n.App]
		totals[n.App] = Count{n.App, sum.Received + n.Received, sum.Rejected + n.Rejected}
	}
}

func lastLine(sequence uint64) []byte {
	return confirmedLine(fmt.Sprintf("%s %d", lastWord, sequence), nil)
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

// unreadableError returns the error for a file, or the folder, that exists but cannot be read.
func unreadableError(path string, err error) error {
	advice := "make it readable for the server's user, and start again"
	if errors.Is(err, syscall.EIO) {
		advice = "its disk cannot read it: copy the data directory to another disk and start there; if you move that file away, lost events may not be counted as lost"
	}
	return fmt.Errorf("the confirmed record, %s, cannot be read: %w; %s", path, err, advice)
}

// confirmedHead is what a file contains besides the lines of frames.
type confirmedHead struct {
	record  string
	totals  map[string]Count // nil if they cannot be read
	began   uint64           // of the first line "last"
	last    uint64           // the greatest of all lines "last"
	hasLast bool             // there is a line "last"
	damage  string           // damage that a crash cannot cause; empty for none
}

// scanConfirmed reads a file and calls each for the lines of frames. It skips lines that are
// damaged or cut off. The error wraps ErrNewer for a file of a newer version.
func scanConfirmed(path string, each func(confirmedEntry)) (h confirmedHead, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil // its frames were flushed and it was removed in the meantime
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
				h.damage = "its first lines are missing"
			}
			return h, nil
		}
		if err != nil {
			return h, unreadableError(path, err)
		}
		text, ok := wholeLine(line)
		if !ok {
			if h.damage == "" {
				h.damage = fmt.Sprintf("the checksum of line %d does not match", number)
			}
			continue
		}
		head, e, known := parseConfirmed(text)
		switch {
		case !known:
			return h, fmt.Errorf("read the confirmed record: %s, which has the line %.40q, was %w", path, text, ErrNewer)
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

// parseConfirmed parses the text of a line. known is false if its form is not known. head is its
// keyword, empty for the line of a frame.
func parseConfirmed(text string) (head string, e confirmedEntry, known bool) {
	fields := strings.Fields(text)
	if len(fields) == 2 {
		n, err := strconv.ParseUint(fields[1], 10, 64)
		switch fields[0] {
		case versionWord:
			return versionWord, e, err == nil && n >= 2 && n <= confirmedVersion
		case recordWord:
			return recordWord, e, true
		case lastWord:
			return lastWord, confirmedEntry{sequence: n}, err == nil
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
