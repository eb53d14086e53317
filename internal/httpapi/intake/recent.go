package intake

import (
	"slices"
	"sync"
	"time"

	"theeye/internal/httpapi"
)

// recentKey identifies a group of refused requests. The application is that of a known key.
// Requests without one share a group for each reason, so they cannot create many.
type recentKey struct{ app, reason string }

// recentGroup holds the latest requests of a group, the oldest first.
type recentGroup struct {
	requests    []UnreadableRequest
	bytes       int
	count       int64
	first, last time.Time
}

func (r *recentGroup) drop() {
	r.bytes -= r.requests[0].size()
	r.requests = r.requests[1:]
}

// recent holds the latest refused requests: recentRequests in each group, and about recentBytes
// in all.
type recent struct {
	mu     sync.Mutex // guards what follows
	of     map[recentKey]*recentGroup
	bytes  int
	serial uint64
}

func (s *recent) add(app string, x UnreadableRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.groupLocked(recentKey{app, x.Reason})
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
	if len(r.requests) > recentRequests {
		s.dropLocked(r)
	}
	for s.bytes > recentBytes {
		s.dropLocked(s.largestLocked())
	}
}

// groupLocked returns a group. When there are too many, the least recently used one is evicted.
func (s *recent) groupLocked(of recentKey) *recentGroup {
	if r := s.of[of]; r != nil {
		return r
	}
	if s.of == nil {
		s.of = map[recentKey]*recentGroup{}
	}
	if len(s.of) >= maxRecentGroups {
		var oldest recentKey
		for other, r := range s.of {
			if o := s.of[oldest]; o == nil || r.last.Before(o.last) {
				oldest = other
			}
		}
		s.bytes -= s.of[oldest].bytes
		delete(s.of, oldest)
	}
	r := &recentGroup{}
	s.of[of] = r
	return r
}

func (s *recent) largestLocked() *recentGroup {
	var largest *recentGroup
	for _, r := range s.of {
		if largest == nil || r.bytes > largest.bytes {
			largest = r
		}
	}
	return largest
}

func (s *recent) dropLocked(r *recentGroup) {
	before := r.bytes
	r.drop()
	s.bytes -= before - r.bytes
}

// each calls do with every group, which do may read only until it returns.
func (s *recent) each(do func(recentKey, *recentGroup)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for of, r := range s.of {
		do(of, r)
	}
}

func (s *recent) forget(app string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for of, r := range s.of {
		if of.app == app {
			s.bytes -= r.bytes
			delete(s.of, of)
		}
	}
}

// Refused returns the kinds of requests that left neither an event nor a rejection, at most n, the
// latest first.
func (h *Handlers) Refused(n int) []httpapi.RefusedGroup {
	type seen struct {
		httpapi.RefusedGroup
		last time.Time
	}
	var all []seen
	h.recent.each(func(of recentKey, r *recentGroup) {
		all = append(all, seen{httpapi.RefusedGroup{
			App: httpapi.TextOrNull(of.app), Reason: of.reason, Count: r.count, FirstSeen: httpapi.FormatTime(r.first), LastSeen: httpapi.FormatTime(r.last),
		}, r.last})
	})
	slices.SortFunc(all, func(a, b seen) int { return b.last.Compare(a.last) })
	return httpapi.MapSlice(all[:min(len(all), n)], func(x *seen) httpapi.RefusedGroup { return x.RefusedGroup })
}
