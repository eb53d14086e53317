package httpapi

import (
	"sync"
	"time"
)

// ringOf says what a ring is of. Applications are those that a key told, so that
// nobody without a key makes rings.
type ringOf struct{ app, reason string }

// ring holds the last requests of a kind, the oldest first.
type ring struct {
	requests    []UnreadableRequest
	bytes       int
	count       int64
	first, last time.Time
}

func (r *ring) drop() {
	r.bytes -= r.requests[0].size()
	r.requests = r.requests[1:]
}

// rings hold requests that could not be read: ringRequests of a kind, and ringBytes
// of all together.
type rings struct {
	mu     sync.Mutex // guards what follows
	of     map[ringOf]*ring
	bytes  int
	serial uint64
}

func (s *rings) add(app string, x UnreadableRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.ringLocked(ringOf{app, x.Reason})
	if r.count == 0 {
		r.first = x.at
	}
	r.count++
	r.last = x.at
	s.serial++
	x.serial = s.serial
	r.requests = append(r.requests, x)
	r.bytes += x.size()
	s.bytes += x.size()
	if len(r.requests) > ringRequests {
		s.dropLocked(r)
	}
	for s.bytes > ringBytes {
		s.dropLocked(s.largestLocked())
	}
}

// ringLocked returns a ring; when there are too many, the one that was used last
// the longest ago makes room.
func (s *rings) ringLocked(of ringOf) *ring {
	if r := s.of[of]; r != nil {
		return r
	}
	if s.of == nil {
		s.of = map[ringOf]*ring{}
	}
	if len(s.of) >= maxRings {
		var oldest ringOf
		for other, r := range s.of {
			if o := s.of[oldest]; o == nil || r.last.Before(o.last) {
				oldest = other
			}
		}
		s.bytes -= s.of[oldest].bytes
		delete(s.of, oldest)
	}
	r := &ring{}
	s.of[of] = r
	return r
}

func (s *rings) largestLocked() *ring {
	var largest *ring
	for _, r := range s.of {
		if largest == nil || r.bytes > largest.bytes {
			largest = r
		}
	}
	return largest
}

func (s *rings) dropLocked(r *ring) {
	before := r.bytes
	r.drop()
	s.bytes -= before - r.bytes
}

// each calls do with every ring, which it may read while it is called.
func (s *rings) each(do func(ringOf, *ring)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for of, r := range s.of {
		do(of, r)
	}
}

func (s *rings) forget(app string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for of, r := range s.of {
		if of.app == app {
			s.bytes -= r.bytes
			delete(s.of, of)
		}
	}
}
