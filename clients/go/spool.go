package theeye

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

const (
	// spoolDelay is how long a group waits for more events before it is written.
	spoolDelay = 20 * time.Millisecond
	// spoolRetry is the time between two attempts to write to a spool that is stuck.
	spoolRetry = time.Second
	// maxSegmentBytes is the size at which a segment ends.
	maxSegmentBytes = 4 << 20
	// chunkBytes is about how much is written with one sync.
	chunkBytes = 1 << 20
)

var (
	errSpoolFull  = errors.New("the spool has reached its bound")
	errSpoolInUse = errors.New("another client uses it; each needs a folder of its own")
)

// spool keeps events in a folder, in segments: files that are only appended to, and removed when
// their events are settled.
//
// One goroutine appends; another one, the sender's, reads and forgets.
type spool struct {
	folder string
	bound  int64
	lock   io.Closer
	create func(name string) (segmentFile, error)
	cut    int64 // bytes that were cut off when it was opened

	wake   chan struct{} // there are events to write
	urgent chan struct{} // somebody waits for them
	stop   chan struct{} // closed to end the writer
	done   chan struct{} // closed when the writer has returned

	current  segmentFile // the writer's; nil when the next event begins a segment
	lastFile uint64      // the writer's; the number of the last segment made
	reader   reader      // the sender's
	settled  *os.File    // the sender's; see segment.go

	mu       sync.Mutex // guards the following
	segments []segment
	writing  uint64 // the number of the current segment, 0 for none
	eras     map[uint64]*era
}

// segmentFile is a segment that is being written.
type segmentFile interface {
	io.WriteCloser
	Sync() error
	Truncate(size int64) error
}

// openSpool opens a spool and makes its folder if it does not exist. It fails when another client
// uses the folder.
func openSpool(o *Options) (_ *spool, err error) {
	folder := o.Spool
	if err := makeFolder(folder); err != nil {
		return nil, fmt.Errorf("make the spool's folder: %w", err)
	}
	s := &spool{
		folder: folder, bound: o.SpoolBytes, create: o.create, eras: map[uint64]*era{},
		wake: make(chan struct{}, 1), urgent: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	if s.lock, err = lockFile(filepath.Join(folder, "lock")); err != nil {
		return nil, fmt.Errorf("lock the spool %s: %w", folder, err)
	}
	if s.settled, err = os.OpenFile(filepath.Join(folder, "settled"), os.O_RDWR|os.O_CREATE, 0o600); err == nil {
		s.segments, s.cut, err = listSegments(folder)
	}
	if err != nil {
		_ = s.settled.Close()
		_ = s.lock.Close()
		return nil, fmt.Errorf("open the spool: %w", err)
	}
	s.number()
	return s, nil
}

// makeFolder makes a folder, in one that exists, so that it outlives a power cut.
func makeFolder(name string) error {
	err := os.Mkdir(name, 0o700) //nolint:forbidigo // it is synced below
	if errors.Is(err, os.ErrExist) {
		return nil // if it is not a folder, its lock cannot be made
	}
	if err != nil {
		return err
	}
	return syncFolder(filepath.Dir(name))
}

func createSegment(name string) (segmentFile, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err // a nil *os.File is not a nil segmentFile
	}
	return f, nil
}

// number gives the events that other processes have left their numbers, from 0 for the first that is
// not settled.
func (s *spool) number() {
	file, settled := readSettled(s.settled)
	s.lastFile = file
	next := uint64(0)
	for i := range s.segments {
		segment := &s.segments[i]
		if segment.file == file {
			segment.skip = min(settled, segment.events)
			segment.events -= segment.skip
		}
		segment.first = next
		next = segment.end()
		s.lastFile = max(s.lastFile, segment.file)
	}
}

// end returns the number after that of the last event.
func (s *spool) end() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.segments) == 0 {
		return 0
	}
	return s.segments[len(s.segments)-1].end()
}

// find returns the segment of an event. ok is false if it is in none.
func (s *spool) find(number uint64) (found segment, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, segment := range s.segments {
		if number >= segment.first && number < segment.end() {
			return segment, true
		}
	}
	return segment{}, false
}

// append writes events, the first of which has the given number, and returns how many are on disk.
// After an error the next call begins another segment: what a failed write or sync has left of this
// one is not known.
func (s *spool) append(number uint64, events []entry) (written int, err error) {
	for written < len(events) {
		n, err := s.appendChunk(number+uint64(written), events[written:])
		if err != nil {
			s.endSegment()
			return written, err
		}
		written += n
	}
	return written, nil
}

// appendChunk writes as many of the events as one write takes.
func (s *spool) appendChunk(number uint64, events []entry) (n int, err error) {
	if s.current != nil && s.end() != number {
		s.endSegment() // the events between were sent from memory; those of a segment are consecutive
	}
	size, all := s.sizes()
	room := s.bound - all
	if s.current == nil {
		if size, room = int64(len(magic)), room-int64(len(magic)); room < recordBytes(events[0].event) {
			return 0, errSpoolFull
		}
		if err := s.beginSegment(number); err != nil {
			return 0, err
		}
	}
	end := min(maxSegmentBytes, s.bound/4) // so that room becomes free in a small spool as well
	var chunk []byte
	for _, e := range events {
		record := recordBytes(e.event)
		if room < record || n > 0 && (size >= end || len(chunk) >= chunkBytes) {
			break
		}
		chunk = appendRecord(chunk, e)
		size, room = size+record, room-record
		n++
	}
	if n == 0 {
		return 0, errSpoolFull
	}
	if _, err := s.current.Write(chunk); err != nil {
		return 0, err
	}
	if err := s.current.Sync(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	last := &s.segments[len(s.segments)-1]
	last.events += n
	last.bytes = size
	for _, e := range events[:n] {
		if e.era != nil {
			s.eras[e.era.id] = e.era
		}
	}
	s.mu.Unlock()
	if size >= end {
		s.endSegment()
	}
	return n, nil
}

// sizes returns the bytes of the last segment and of all.
func (s *spool) sizes() (last, all int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, segment := range s.segments {
		last = segment.bytes
		all += last
	}
	return last, all
}

// beginSegment makes a segment whose first event has the given number.
func (s *spool) beginSegment(number uint64) error {
	s.lastFile++
	next := segment{file: s.lastFile, first: number, bytes: int64(len(magic))}
	f, err := s.create(next.name(s.folder))
	if err != nil {
		return err
	}
	s.current = f
	s.mu.Lock()
	s.segments = append(s.segments, next)
	s.writing = next.file
	s.mu.Unlock()
	if _, err := f.Write([]byte(magic)); err != nil {
		return err
	}
	return syncFolder(s.folder)
}

// endSegment makes the next event begin another segment. What is not known to be on disk is cut off.
func (s *spool) endSegment() {
	if s.current == nil {
		return
	}
	s.mu.Lock()
	last := s.segments[len(s.segments)-1]
	if last.events == 0 {
		s.segments = s.segments[:len(s.segments)-1]
	}
	s.writing = 0
	s.mu.Unlock()
	_ = s.current.Truncate(last.bytes) // what is left after it costs duplicates, which the server knows
	_ = s.current.Close()
	s.current = nil
	if last.events == 0 {
		_ = os.Remove(last.name(s.folder))
	}
}

// forget removes the segments whose events are before a number, and notes how far events are settled.
// When that fails, the next process sends events again, which the server recognizes by their ids.
func (s *spool) forget(number uint64) {
	s.mu.Lock()
	var old []segment
	for len(s.segments) > 0 && s.segments[0].end() <= number && s.segments[0].file != s.writing {
		old = append(old, s.segments[0])
		s.segments = s.segments[1:]
	}
	var first segment
	if len(s.segments) > 0 {
		first = s.segments[0]
	}
	s.mu.Unlock()
	for _, segment := range old {
		s.reader.close(segment.file)
		_ = os.Remove(segment.name(s.folder))
	}
	if number > first.first {
		_ = writeSettled(s.settled, first.file, first.skip+int(min(number, first.end())-first.first))
	}
}

// close ends the use of the folder. The events before a number are settled; a spool without others is
// left empty.
func (s *spool) close(settled uint64) {
	s.endSegment()
	s.forget(settled)
	s.reader.close(s.reader.file)
	_ = s.settled.Close()
	_ = s.lock.Close()
}

// writeSpool writes the events in memory to the spool, in groups, until it is stopped.
func (c *Client) writeSpool() {
	s := c.spool
	defer close(s.done)
	for {
		stuck := c.writeGroup()
		wake, retry := s.wake, (<-chan time.Time)(nil)
		if stuck {
			wake, retry = nil, time.After(spoolRetry)
		}
		select {
		case <-wake:
		case <-retry:
		case <-s.stop:
			c.writeGroup()
			return
		}
		if c.opts.SpoolSync {
			continue
		}
		select {
		case <-time.After(spoolDelay):
		case <-s.urgent:
		case <-s.stop:
		}
	}
}

// writeGroup writes the events in memory and reports whether some could not be written.
func (c *Client) writeGroup() (stuck bool) {
	c.mu.Lock()
	first, events := c.queue.first, slices.Clone(c.queue.entries)
	c.mu.Unlock()
	written, err := c.spool.append(first, events)
	var problem *Error
	if err != nil {
		problem = &Error{Code: CodeSpool, Message: redacted("events stay in memory: "+err.Error(), c.opts.Key), Events: len(events) - written}
	}
	c.mu.Lock()
	c.forgetLocked(first + uint64(written))
	known := c.spoolStuck != nil
	c.spoolStuck = problem
	c.answerLocked()
	c.mu.Unlock()
	notify(c.sender.wake)
	if problem != nil && !known {
		c.reporter.error(problem)
	}
	return problem != nil
}
