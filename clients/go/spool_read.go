package theeye

import (
	"bufio"
	"fmt"
	"os"
)

// reader reads a spool from its beginning to its end.
type reader struct {
	file   uint64 // the number of the open segment
	open   *os.File
	in     *bufio.Reader
	next   uint64 // the number of the next event
	last   entry  // the one before it
	isLast bool   // there is one
}

// close closes a segment if it is open.
func (r *reader) close(file uint64) {
	if r.open != nil && r.file == file {
		_ = r.open.Close()
		*r = reader{}
	}
}

// read returns an event that is on disk. Events are read in their order; the last one can be read
// again.
func (s *spool) read(number uint64) (entry, error) {
	r := &s.reader
	if r.isLast && number == r.next-1 {
		return r.last, nil
	}
	segment, ok := s.find(number)
	if !ok {
		return entry{}, fmt.Errorf("read the spool: event %d is not in it", number)
	}
	if r.open == nil || r.file != segment.file || number < r.next {
		if err := s.open(segment); err != nil {
			return entry{}, fmt.Errorf("read the spool: %w", err)
		}
	}
	for r.next <= number {
		event, id, err := readRecord(r.in)
		if err != nil {
			return entry{}, fmt.Errorf("read segment %d of the spool: %w", segment.file, err)
		}
		s.mu.Lock()
		r.last, r.isLast = entry{event: event, era: s.eras[id]}, true
		s.mu.Unlock()
		r.next++
	}
	return r.last, nil
}

// open opens a segment at its first event that has a number.
func (s *spool) open(segment segment) error {
	r := &s.reader
	r.close(r.file)
	f, err := os.Open(segment.name(s.folder))
	if err != nil {
		return err
	}
	*r = reader{file: segment.file, open: f, in: bufio.NewReader(f), next: segment.first}
	if err := readMagic(r.in); err != nil {
		return err
	}
	for range segment.skip {
		if _, _, err := readRecord(r.in); err != nil {
			return err
		}
	}
	return nil
}
