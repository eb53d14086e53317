package httpapi

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"theeye/internal/registry"
)

// Bounds of what the audit trail keeps of requests that changed nothing, so that they cannot push
// out what was changed.
const (
	ownEntries   = 100 // of a key and a kind of sum, in a day (UTC), have an entry each
	sumEvery     = time.Minute
	sumTick      = time.Second
	sumTimeout   = 5 * time.Second // of writing the sums at the end
	sumDay       = 24 * time.Hour
	maxSumNames  = 10       // addresses, and ids of keys, that a sum tells
	maxLeases    = 64       // of backups whose entry is remembered
	refusedEvery = sumEvery // between two lines of the log about refused keys
)

// The acts under which sums stand in the trail.
const (
	refusedKeys  = "refusedKeys"  // requests whose key is unknown, ended or of the wrong kind
	refusedActs  = "refusedActs"  // acts of an admin key that were refused for what they asked
	repeatedActs = "repeatedActs" // backups and exports of an admin key
)

// sumOf says what a sum is of. Keys are those that are valid, or the server.
type sumOf struct{ key, act string }

// sum is what was not written down one by one, of one day.
type sum struct {
	day            time.Time
	own            int            // entries that were written one by one
	counts         map[string]int // by act or reason
	remotes, ids   []string
	total, written int
	first, last    time.Time
	entry          registry.Entry // in whose place it is written again
	tried          time.Time      // when it was last written, or could not be
}

// sums bounds what is written down of requests that changed nothing. Its methods
// may be called concurrently.
type sums struct {
	mu     sync.Mutex // guards what follows
	of     map[sumOf]*sum
	ended  []*sum // of earlier days, which are to be written once more
	leases []leaseOf

	logged   time.Time // when refused keys were last logged
	unlogged int
}

type leaseOf struct{ lease, key string }

// today returns the sum of a day that has begun.
func (s *sums) today(of sumOf, now time.Time) *sum {
	if s.of == nil {
		s.of = map[sumOf]*sum{}
	}
	day := now.UTC().Truncate(sumDay)
	x := s.of[of]
	if x != nil && x.day.Equal(day) {
		return x
	}
	if x != nil && x.total > x.written {
		s.ended = append(s.ended, x)
	}
	x = &sum{day: day, counts: map[string]int{}, entry: registry.Entry{KeyID: of.key, Act: of.act, Outcome: registry.Refused}}
	if of.act == repeatedActs {
		x.entry.Outcome = registry.Done
	}
	s.of[of] = x
	return x
}

// alone reports whether a request has an entry of its own. If not, it is to be
// added.
func (s *sums) alone(of sumOf, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.today(of, now)
	if x.own >= ownEntries {
		return false
	}
	x.own++
	return true
}

// summed is a request that is summed up.
type summed struct {
	name          string // the act, or why the key was refused
	remote, keyID string // empty when they are not known, or told already
	at            time.Time
}

// add counts a request.
func (s *sums) add(of sumOf, r summed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.today(of, r.at)
	if x.total == 0 {
		x.first = r.at
	}
	x.total++
	x.last = r.at
	x.counts[r.name]++
	x.remotes = withName(x.remotes, r.remote)
	x.ids = withName(x.ids, r.keyID)
}

// withName adds a name to the first few.
func withName(names []string, name string) []string {
	if name == "" || len(names) == maxSumNames || slices.Contains(names, name) {
		return names
	}
	return append(names, name)
}

// due returns the sums that are to be written: all that are news, or those that
// were not written for a while. Days that are over are forgotten.
func (s *sums) due(now time.Time, all bool) []*sum {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.ended
	s.ended = nil
	for of, x := range s.of {
		over := now.Sub(x.day) >= sumDay
		if x.total > x.written && (all || over || now.Sub(x.tried) >= sumEvery) {
			x.tried = now
			list = append(list, x)
		} else if over && x.total == x.written {
			delete(s.of, of)
		}
	}
	return list
}

// entryOf returns a sum as an entry, and how much is in it.
func (s *sums) entryOf(x *sum) (*registry.Entry, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := x.entry
	e.Detail = nil
	what := "acts"
	if e.Act == refusedKeys {
		what = "reasons"
	}
	e.Note("count", x.total)
	e.Note(what, maps.Clone(x.counts))
	e.Note("first", FormatTime(x.first))
	e.Note("last", FormatTime(x.last))
	if x.remotes != nil {
		e.Note("remotes", slices.Clone(x.remotes))
	}
	if x.ids != nil {
		e.Note("key_ids", slices.Clone(x.ids))
	}
	return &e, x.total
}

// wrote says that a sum was written, as an entry with so much in it, or that it
// could not be and is to be tried again.
func (s *sums) wrote(x *sum, e *registry.Entry, total int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x.entry.ID, x.entry.At = e.ID, e.At // it may have been written all the same
	if err == nil {
		x.written = total
		return
	}
	if !slices.Contains(slices.Collect(maps.Values(s.of)), x) {
		s.ended = append(s.ended, x)
	}
}

// coverLease remembers that a key has taken the lease of a backup, or files under it,
// and reports whether it is news.
func (s *sums) coverLease(lease, key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := leaseOf{lease, key}
	if slices.Contains(s.leases, of) {
		return false
	}
	if len(s.leases) == maxLeases {
		s.leases = s.leases[1:]
	}
	s.leases = append(s.leases, of)
	return true
}

// log reports whether a refused key is to be logged now, and how many were refused
// since the last one that was.
func (s *sums) log(now time.Time) (count int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unlogged++
	if now.Sub(s.logged) < refusedEvery {
		return 0, false
	}
	count, s.unlogged, s.logged = s.unlogged, 0, now
	return count, true
}

// Run writes the sums of what the audit trail does not keep one by one, until ctx
// ends: each at most once a minute, and all of them at the end.
func (s *Server) Run(ctx context.Context) error {
	tick := time.NewTicker(sumTick)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.writeSums(ctx, false)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), sumTimeout)
			defer cancel()
			s.writeSums(last, true)
			return nil
		}
	}
}

func (s *Server) writeSums(ctx context.Context, all bool) {
	for _, x := range s.sums.due(time.Now(), all) {
		e, total := s.sums.entryOf(x)
		err := s.opts.Registry.AuditLog().Sum(ctx, e)
		s.sums.wrote(x, e, total, err)
		if err != nil {
			s.log.Error("a sum of the audit trail could not be written; it is tried again", "act", e.Act, "error", err)
			return
		}
	}
}

// noteRefusedKey tells of a request, other than to the intake, whose key may not
// do what it asks for. One without a key is only counted.
func (s *Server) noteRefusedKey(rt Route, c *Call, err error) {
	p := ProblemOf(err)
	if p.Status != 401 && p.Status != 403 {
		return
	}
	secret, _ := secretOf(c.Request)
	key, known := s.opts.Registry.Recognize(secret)
	reason := p.reason
	switch {
	case reason != "":
	case p.Status == 401:
		reason = reasonOf(p.Status, secret, key, known)
	case !rt.Access.OpenTo(c.Principal):
		reason = "wrong_kind"
	default:
		reason = "not_allowed"
	}
	s.metrics.refusedKeys.WithLabelValues(reason).Inc()
	if secret == "" {
		return
	}
	now, remote := time.Now(), s.remoteText(c.Request)
	s.sums.add(sumOf{registry.SystemActor, refusedKeys}, summed{reason, remote, key.ID, now})
	if count, ok := s.sums.log(now); ok {
		s.log.Warn("keys were refused", "count", count, "last_reason", reason, "last_key_id", key.ID, "last_remote", remote, "last_operation", rt.Doc.ID)
	}
}
