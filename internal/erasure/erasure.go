// Package erasure keeps the tombstones of erased sessions and applications, so that their events do
// not come back by a retry, by a replay, or from a backup that is older than the erasure. One
// function, Set.Covers, decides for intake and store whether an arrival belongs to an erased
// session or application.
//
// It does not erase anything itself, and it keeps keyed hashes of session ids, not the ids.
package erasure

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"iter"

	"theeye/internal/event"
)

// AllApps is the application of a tombstone that applies to every application.
const AllApps = "*"

// ErrUnfinished reports that an erasure has begun but is not complete. It continues by itself.
var ErrUnfinished = errors.New("the erasure is not finished")

// Tombstone records that a session, or all of an application, was erased.
type Tombstone struct {
	ID string // unique among all tombstones
	// App is the application, or AllApps. It is empty in tombstones of the first format, which have
	// Hash instead of App and Session.
	App string
	// Session is the hex HMAC-SHA256 of the session id, empty for a whole application.
	Session string
	// Hash is the hex HMAC-SHA256 of application, NUL and session id, or of the application alone.
	// It is used by tombstones of the first format only.
	Hash string
	At   event.Micros
	// Frame is the queue's last frame, and Visible the store's, when the tombstone was written.
	Frame, Visible uint64
	Timeline       string // to which the frames belong; empty in the first format
	// Added is the last frame of the directory to which a restore added the tombstone; 0 if it was
	// written there.
	Added uint64
	// Finished reports that everything covered is gone; the queue was trimmed up to Trimmed, a
	// frame of the timeline TrimmedOn.
	Finished  bool
	Trimmed   uint64
	TrimmedOn string
}

// OfApp reports whether the whole application App was erased. It is false for a tombstone of the
// first format, which does not say.
func (t Tombstone) OfApp() bool { return t.App != "" && t.Session == "" }

// Lineage is the timeline of a data directory, with the last frame of each earlier one.
type Lineage struct {
	Timeline string
	Ended    map[string]uint64
}

// localFrame returns the last frame that this directory shares with a timeline up to frame: frame
// itself, or the end of an earlier timeline. ok is false if the directory has no part of that
// timeline.
func (l Lineage) localFrame(frame uint64, timeline string) (last uint64, ok bool) {
	if timeline == l.Timeline {
		return frame, true
	}
	end, ok := l.Ended[timeline]
	return min(frame, end), ok
}

// Set is an immutable index of the tombstones of a data directory. It may be used concurrently. The
// zero value is empty.
type Set struct {
	key     []byte
	list    []Tombstone
	lineage Lineage
	indexed int      // list[:indexed] is in the first index, which sets share, and the rest in the second
	indexes [2]index // of list
}

// index maps keys to the positions of tombstones in a list.
type index struct {
	sessions map[string][]int // by Session
	apps     map[string][]int // of whole applications, by name
	hashes   map[string][]int // by Hash
}

// newIndex returns the index of list[from:].
func newIndex(list []Tombstone, from int) index {
	x := index{sessions: map[string][]int{}, apps: map[string][]int{}, hashes: map[string][]int{}}
	for i := from; i < len(list); i++ {
		switch t := &list[i]; {
		case t.Hash != "":
			x.hashes[t.Hash] = append(x.hashes[t.Hash], i)
		case t.Session != "":
			x.sessions[t.Session] = append(x.sessions[t.Session], i)
		default:
			x.apps[t.App] = append(x.apps[t.App], i)
		}
	}
	return x
}

// NewSet returns the set of a document in the directory with the given lineage.
func NewSet(d Document, lineage Lineage) *Set {
	s := &Set{lineage: lineage, list: d.Tombstones, indexed: len(d.Tombstones)}
	s.key, _ = hex.DecodeString(d.Key) // valid: it was checked when the document was read
	s.indexes[0] = newIndex(s.list, 0)
	return s
}

// maxReindexed is the maximum number of tombstones that With indexes.
const maxReindexed = 256

// With returns the set of a document to which tombstones were added since s. Most calls index only
// the new tombstones.
func (s *Set) With(d Document, lineage Lineage) *Set {
	if s.indexed == 0 || len(d.Tombstones) > s.indexed+maxReindexed {
		return NewSet(d, lineage)
	}
	next := &Set{key: s.key, lineage: lineage, list: d.Tombstones, indexed: s.indexed}
	next.indexes = [2]index{s.indexes[0], newIndex(d.Tombstones, s.indexed)}
	return next
}

// Only returns a set of some of the tombstones.
func (s *Set) Only(list []Tombstone) *Set {
	return NewSet(Document{Key: hex.EncodeToString(s.key), Tombstones: list}, s.lineage)
}

// Len returns the number of tombstones.
func (s *Set) Len() int { return len(s.list) }

// Tombstones returns the tombstones in the order in which they were written. The caller must not
// change them.
func (s *Set) Tombstones() []Tombstone { return s.list }

// LastFrame returns the last frame of this directory's queue that t can concern: t.Frame, or the
// end of the earlier timeline that t belongs to. ok is false when t belongs to a timeline that this
// directory has no part of; only t.At can be compared then.
func (s *Set) LastFrame(t Tombstone) (frame uint64, ok bool) {
	return s.lineage.localFrame(t.Frame, t.Timeline)
}

// LastVisible returns the last frame of this directory that was visible when t was written or, when
// t belongs to a timeline that this directory has no part of, when a restore added it. ok is false
// for the first format, which does not say.
func (s *Set) LastVisible(t Tombstone) (frame uint64, ok bool) {
	if t.Hash != "" {
		return 0, false
	}
	if frame, ok = s.lineage.localFrame(t.Visible, t.Timeline); !ok {
		return t.Added, t.Added > 0
	}
	return frame, true
}

// HasKey reports whether there is a key of the hashes.
func (s *Set) HasKey() bool { return len(s.key) > 0 }

// Trimmed returns the frame up to which finished erasures have trimmed the queue of this directory,
// 0 for none.
func (s *Set) Trimmed() (frame uint64) {
	for _, t := range s.list {
		if last, ok := s.lineage.localFrame(t.Trimmed, t.TrimmedOn); ok {
			frame = max(frame, last)
		}
	}
	return frame
}

// MaxFrame returns the last frame that any tombstone concerns, 0 if there is none.
func (s *Set) MaxFrame() (frame uint64) {
	for _, t := range s.list {
		if last, ok := s.LastFrame(t); ok {
			frame = max(frame, last)
		}
	}
	return frame
}

// Covers reports whether a record belongs to an erased session or application.
//
// The tombstone of a session covers every record of the session in a frame up to the tombstone's,
// whatever the clocks said, and every record whose own time (event.Event.Own) is not after the
// erasure: a retry repeats its timestamp, and a replay keeps its time of receipt, although its
// timestamp may have been repaired. The tombstone of an application covers all its records in
// frames up to the tombstone's; a record without a frame is later than all of them.
//
// For many records of one session, use Cover.
func (s *Set) Covers(r event.Record) bool {
	if s.Len() == 0 || r.Erased != nil {
		return r.Erased != nil
	}
	return s.Cover(r.App(), r.SessionID()).Has(r)
}

// CoversFound is Covers for a record that was found outside the queue and the store. Its frame may
// belong to another timeline and then has no meaning. So the tombstone of an application also
// covers every record that was received up to the erasure.
func (s *Set) CoversFound(r event.Record) bool {
	if s.Covers(r) {
		return true
	}
	for _, name := range [...]string{r.App(), AllApps} {
		for t := range s.lookup(ofApps, func() string { return name }) {
			if r.ReceivedAt() <= t.At {
				return true
			}
		}
	}
	return false
}

// Cover says which records of one session of one application are erased. The zero value covers
// none.
type Cover struct {
	session event.Micros // the session: erased up to here; 0 for never
	carried uint64       // the session: erased up to this frame
	frame   uint64       // the application: erased up to this frame
	app     event.Micros // the application, by tombstones of unknown timelines: received up to here
}

// Cover looks up the tombstones of a session, which costs one or two HMACs.
func (s *Set) Cover(app, session string) (c Cover) {
	if s.Len() == 0 {
		return c
	}
	for _, name := range [...]string{app, AllApps} {
		for t := range s.lookup(ofApps, func() string { return name }) {
			c = s.withApp(c, t)
		}
	}
	for t := range s.lookup(ofHashes, func() string { return s.hash(app) }) {
		c = s.withApp(c, t)
	}
	if session == "" {
		return c
	}
	for t := range s.lookup(ofSessions, func() string { return s.hash(session) }) {
		if t.App == app || t.App == AllApps {
			c.session = max(c.session, t.At)
			if last, ok := s.LastFrame(t); ok {
				c.carried = max(c.carried, last)
			}
		}
	}
	for t := range s.lookup(ofHashes, func() string { return s.hash(app + "\x00" + session) }) {
		c.session = max(c.session, t.At)
	}
	return c
}

func ofApps(x *index) map[string][]int     { return x.apps }
func ofSessions(x *index) map[string][]int { return x.sessions }
func ofHashes(x *index) map[string][]int   { return x.hashes }

// lookup yields the tombstones with a key, which is only computed if there are any in the maps.
func (s *Set) lookup(in func(*index) map[string][]int, key func() string) iter.Seq[Tombstone] {
	return func(yield func(Tombstone) bool) {
		var made string
		for k := range s.indexes {
			m := in(&s.indexes[k])
			if len(m) == 0 {
				continue
			}
			if made == "" {
				made = key()
			}
			for _, i := range m[made] {
				if !yield(s.list[i]) {
					return
				}
			}
		}
	}
}

// withApp adds a tombstone of the whole application to a cover.
func (s *Set) withApp(c Cover, t Tombstone) Cover {
	if last, ok := s.LastFrame(t); ok && t.Hash == "" {
		c.frame = max(c.frame, last)
	} else {
		c.app = max(c.app, t.At)
	}
	return c
}

// Has reports whether a record of the session is covered.
func (c Cover) Has(r event.Record) bool {
	received, carriedBy := r.ReceivedAt(), r.CarriedBy()
	if c.app > 0 && received <= c.app || carriedBy > 0 && carriedBy <= max(c.frame, c.carried) {
		return true
	}
	return c.session > 0 && r.Own() <= c.session
}

// Bounds are the last times and frames that are covered: rows of the session by any of their times
// or by their frame, and rows of the whole application by their time of receipt or by their frame.
// 0 means none.
type Bounds struct {
	Session, App           event.Micros
	SessionFrame, AppFrame uint64
}

// Bounds returns the bounds of the cover.
func (c Cover) Bounds() Bounds { return Bounds{c.session, c.app, c.carried, c.frame} }

// SessionOnly returns the cover without the erasure of the whole application.
func (c Cover) SessionOnly() Cover { return Cover{session: c.session, carried: c.carried} }

// Empty reports whether no record is covered.
func (c Cover) Empty() bool { return c == Cover{} }

// SessionKey returns the keyed hash of a session id, as in Tombstone.Session. It identifies a
// session without disclosing its id.
func (s *Set) SessionKey(session string) string { return s.hash(session) }

func (s *Set) hash(text string) string { return keyedHash(s.key, text) }

func keyedHash(key []byte, text string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}
