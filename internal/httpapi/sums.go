package httpapi

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"theeye/internal/registry"
)

// Limits of what the audit log keeps about requests that changed nothing, so that they cannot
// displace entries about changes.
const (
	ownEntries   = 100 // of a key and a kind, in a day (UTC), have an entry of their own
	sumEvery     = time.Minute
	sumTick      = time.Second
	sumTimeout   = 5 * time.Second // of writing the last sums
	sumDay       = 24 * time.Hour
	maxSumNames  = 10       // addresses, and ids of keys, in a sum
	maxLeases    = 64       // of backups whose entry is remembered
	refusedEvery = sumEvery // between two log lines about refused keys
)

// The acts of sums in the log.
const (
	refusedKeys  = "refusedKeys"  // requests whose key is unknown, ended or of the wrong kind
	refusedActs  = "refusedActs"  // acts of an admin key that were refused because of what they asked for
	repeatedActs = "repeatedActs" // backups and exports of an admin key
)

// sumOf identifies a sum. The key is a valid one, or the server.
type sumOf struct{ key, act string }

// sum counts the requests of a day that have no entry of their own.
type sum struct {
	day            time.Time
	own            int            // requests with an entry of their own
	counts         map[string]int // by act or reason
	remotes, ids   []string
	total, written int
	first, last    time.Time
	entry          registry.Entry // the entry that is replaced
	tried          time.Time      // when it was last written, or when writing failed
}

// sums bounds what the log contains about requests that changed nothing. It is safe for concurrent
// use.
type sums struct {
	mu     sync.Mutex // guards what follows
	of     map[sumOf]*sum
	ended  []*sum // of earlier days, still to be written
	leases []leaseOf

	logged   time.Time // when refused keys were last logged
	unlogged int
}

type leaseOf struct{ lease, key string }

// today returns the sum of the current day.
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

// ownEntry reports whether a request gets an entry of its own. If not, the caller adds it to the
// sum.
func (s *sums) ownEntry(of sumOf, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.today(of, now)
	if x.own >= ownEntries {
		return false
	}
	x.own++
	return true
}

// occurrence is a request that a sum counts.
type occurrence struct {
	name          string // the act, or why the key was refused
	remote, keyID string // empty when unknown or already recorded
	at            time.Time
}

// add counts a request.
func (s *sums) add(of sumOf, r occurrence) {
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

// withName appends a name if it is new and there is room.
func withName(names []string, name string) []string {
	if name == "" || len(names) == maxSumNames || slices.Contains(names, name) {
		return names
	}
	return append(names, name)
}

// due returns the sums to write: all that have changed, or only those that have not been written
// for a while. It drops past days.
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

// entryOf returns a sum as an entry, and its total.
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

// markWritten records that a sum was written with a total, or that writing failed and must be
// retried.
func (s *sums) markWritten(x *sum, e *registry.Entry, total int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x.entry.ID, x.entry.At = e.ID, e.At // it may have been written in spite of the error
	if err == nil {
		x.written = total
		return
	}
	if !slices.Contains(slices.Collect(maps.Values(s.of)), x) {
		s.ended = append(s.ended, x)
	}
}

// coverLease records that a key has taken a lease of a backup, or files under it. It reports
// whether that is new.
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

// shouldLog reports whether to log a refused key now, and how many were refused since the last
// log line.
func (s *sums) shouldLog(now time.Time) (count int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unlogged++
	if now.Sub(s.logged) < refusedEvery {
		return 0, false
	}
	count, s.unlogged, s.logged = s.unlogged, 0, now
	return count, true
}

// Run writes the sums until ctx is done: each at most once a minute, and all of them at the end.
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
		err := s.opts.Registry.AuditLog().Summarize(ctx, e)
		s.sums.markWritten(x, e, total, err)
		if err != nil {
			s.log.Error("a summary of the audit log could not be written; it will be retried", "act", e.Act, "error", err)
			return
		}
	}
}

// noteRefusedKey records a request, other than to the intake, whose key was refused. A request
// without a key is only counted.
func (s *Server) noteRefusedKey(rt Route, c *Call, err error) {
	p := ProblemOf(err)
	if p.Status != 401 && p.Status != 403 {
		return
	}
	secret, _ := secretOf(c.Request)
	s.noteRefusal(rt, c, secret, p)
}

// noteRefusal is noteRefusedKey for a secret that may be anywhere in a request.
func (s *Server) noteRefusal(rt Route, c *Call, secret string, p *ProblemDetails) {
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
	s.sums.add(sumOf{registry.SystemActor, refusedKeys}, occurrence{reason, remote, key.ID, now})
	if count, ok := s.sums.shouldLog(now); ok {
		s.log.Warn("keys were refused", "count", count, "last_reason", reason, "last_key_id", key.ID, "last_remote", remote, "last_operation", rt.Doc.ID)
	}
}
