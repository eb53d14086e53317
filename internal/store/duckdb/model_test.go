package duckdb_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
	"theeye/internal/store/duckdb"
)

// life is a store with all that may happen to it, and beside it what must be true:
// which events have to be seen, and which may be seen still, because they have
// expired and were not removed yet.
type life struct {
	*rapid.T
	store   *duckdb.Store
	opts    duckdb.Options
	now     time.Time
	frames  []store.Batch
	stored  map[uuid.UUID]*event.Event
	refused map[uuid.UUID]*event.Rejection
	erased  map[[2]string][]eraseTarget // by application and session
	gone    map[uuid.UUID][]departure   // arrivals that were erased, by the id of their event
	through map[event.Position]uint64   // the first replay that came through, by what it replays

	timeline, timelines int            // the current one, and how many there were
	ended               map[int]uint64 // the last frames of the timelines before it
	backups             []backup
	dirs                int // of stores and backups

	// A server around the store: it starts when the store is open, which may not have all frames
	// then, is told up to which frame the store has come, and ends before the store is closed.
	started, ending func()
	wrote           func(frame uint64)
}

func born() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

const lifeRetain = 20 * 24 * time.Hour

func TestLife(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := newLife(rt, t.TempDir())
		defer l.close()
		l.open()
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			rapid.SampledFrom([]func(){
				l.write, l.write, l.write, l.write, l.replay, l.replay, l.replay, l.flush, l.flush, l.compact, l.expire, l.erase, l.reopen, l.page, l.page,
			}).Draw(rt, "step")()
			l.balance()
		}
		l.page()
	})
}

// newLife returns a life whose store is not open yet.
func newLife(rt *rapid.T, dir string) *life {
	l := &life{
		T: rt, now: born(),
		stored: map[uuid.UUID]*event.Event{}, refused: map[uuid.UUID]*event.Rejection{}, erased: map[[2]string][]eraseTarget{}, gone: map[uuid.UUID][]departure{},
		through: map[event.Position]uint64{}, ended: map[int]uint64{},
		started: func() {}, ending: func() {}, wrote: func(uint64) {},
	}
	l.opts = duckdb.Options{
		Dir: filepath.Join(dir, "store"), DedupeWindow: 7 * 24 * time.Hour, FlushRows: 1000, MaxSegmentRows: 40, MemoryLimit: 512 << 20, Clock: func() (time.Time, bool) { return l.now, false },
		Retain: func(app string) time.Duration {
			if app == "blog" {
				return lifeRetain
			}
			return 0
		},
	}
	return l
}

func (l *life) do(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

func (l *life) open() {
	s, err := duckdb.Open(l.Context(), l.opts)
	l.do(err)
	l.store = s
	l.started()
}

// close closes the store, which may have been closed already by a step that failed.
func (l *life) close() {
	if l.store == nil {
		return
	}
	l.ending()
	s := l.store
	l.store = nil
	l.do(s.Close())
}

func (l *life) cutoff() event.Micros { return event.Micros(l.now.Add(-lifeRetain).UnixMicro()) }

func (l *life) expired(e *event.Event) bool { return e.App == "blog" && e.OccurredAt < l.cutoff() }

// eraseTarget is up to when and up to which frame of a timeline a session was erased.
type eraseTarget struct {
	at       event.Micros
	frame    uint64
	timeline int
}

// isErased tells it by the frame, or by any of the times, of an arrival.
func (l *life) isErased(app, session string, carriedBy uint64, times ...event.Micros) bool {
	return slices.ContainsFunc(l.erased[[2]string{app, session}], func(tg eraseTarget) bool {
		last := tg.frame
		if tg.timeline != l.timeline {
			last = min(last, l.ended[tg.timeline])
		}
		return carriedBy <= last || slices.Min(times) <= tg.at
	})
}

// departure is an arrival that was erased.
type departure struct {
	carriedBy  uint64
	receivedAt event.Micros
	expired    bool // it may have been removed before
}

// left tells the fates that an arrival may have because its id was erased within the dedupe window:
// any of want if it was not, erased if it was. What remains of an erased arrival expires too: a
// frame that is written again after a crash may not find it any more.
func (l *life) left(r event.Record, want ...event.Fate) []event.Fate {
	window := r.ReceivedAt() - event.Micros(l.opts.DedupeWindow.Microseconds())
	erased, perhaps := false, false
	for _, d := range l.gone[r.EventID()] {
		if d.receivedAt >= window {
			removed := d.expired || r.App() == "blog" && d.receivedAt < l.cutoff()
			erased, perhaps = erased || !removed, perhaps || removed
		}
	}
	switch {
	case erased:
		return []event.Fate{event.Erased}
	case perhaps:
		return append(want, event.Erased)
	}
	return want
}

// write puts a few events and rejections into the next frame. Ids come again, with
// the same body and another.
func (l *life) write() {
	number := uint64(len(l.frames) + 1)
	var records []event.Record
	for range rapid.IntRange(1, 6).Draw(l.T, "records") {
		n := rapid.IntRange(1, 40).Draw(l.T, "id")
		app, session := []string{"shop", "blog"}[n%2], []string{"s", "t", "u"}[n%3]
		at := event.Micros(born().Add(time.Duration(20-n/4*4) * 24 * time.Hour).UnixMicro()) // an id's own, and several's
		if rapid.IntRange(0, 4).Draw(l.T, "kind") == 0 {
			if rapid.Bool().Draw(l.T, "time to be repaired") {
				n = repairedFrom + n%5*2 // of shop, of all sessions
				app, session = "shop", []string{"s", "t", "u"}[n%3]
				at = event.Micros(born().UnixMicro())
			}
			raw := fmt.Appendf(nil, `{"n":%d}`, n%7)
			records = append(records, event.Record{Rejection: &event.Rejection{
				ID: event.RejectionID(app, numbered(n), raw), EventID: numbered(n), App: app, SessionID: session, SentTime: at,
				ReceivedAt: event.Micros(l.now.UnixMicro()), Problems: []event.Problem{{Code: event.MissingField, Pointer: "/name"}}, Raw: raw,
			}})
			continue
		}
		records = append(records, event.Record{Event: &event.Event{
			App: app, ID: numbered(n), SessionID: session, Category: "c", Name: "n", Data: []byte(rapid.SampledFrom([]string{`{}`, `{}`, `{"a":1}`}).Draw(l.T, "data")),
			Timestamp: at.String(), SentTime: at, Seq: event.NoSeq, OccurredAt: at, ReceivedAt: event.Micros(l.now.UnixMicro()),
		}})
	}
	b := frame(number, records...)
	l.frames = append(l.frames, b)
	l.put(b)
	l.now = l.now.Add(time.Duration(rapid.IntRange(0, 72).Draw(l.T, "hours")) * time.Hour)
}

// put writes a frame and compares its fates with what they have to be.
func (l *life) put(b store.Batch) {
	outcomes, err := l.store.Write(l.Context(), b)
	l.do(err)
	l.wrote(b.Last)
	for i, r := range b.Records {
		var first *event.Event
		if r.Event != nil {
			first = l.stored[r.Event.ID]
		}
		if want := l.decide(r); !slices.Contains(want, outcomes[i].Fate) {
			l.Fatalf("frame %d, record %d: %v, want one of %v: %+v, stored before is %+v", b.First, i, outcomes[i].Fate, want, r.Event, first)
		}
		l.came(r, outcomes[i])
		switch e := r.Event; outcomes[i].Fate {
		case event.Stored:
			l.stored[e.ID] = e
		case event.Expired:
			delete(l.stored, e.ID)
		case event.Erased:
			l.gone[r.EventID()] = append(l.gone[r.EventID()], departure{carriedBy: r.CarriedBy(), receivedAt: r.ReceivedAt()})
		case event.Rejected:
			x := r.Rejection
			if e != nil {
				x = event.Conflict(e)
			}
			if !r.IsReplay() {
				l.refused[x.ID] = x
			}
		}
	}
}

func (l *life) decide(r event.Record) []event.Fate {
	if x := r.Rejection; x != nil {
		if l.isErased(x.App, x.SessionID, x.CarriedBy, x.SentTime, x.ReceivedAt) {
			return []event.Fate{event.Erased}
		}
		switch fates := l.refuse(x); {
		case len(fates) > 1: // the one before may be there still
			return append(l.left(r), fates...)
		case fates[0] == event.Rejected:
			return l.left(r, event.Rejected)
		default:
			return fates
		}
	}
	e := r.Event
	first, again := l.stored[e.ID]
	switch {
	case l.isErased(e.App, e.SessionID, e.CarriedBy, e.SentTime, e.OccurredAt, e.ReceivedAt):
		return []event.Fate{event.Erased}
	case e.IsReplay() && again && l.expired(first):
		return append(l.left(r), event.Rejected, event.Duplicate, event.Expired, event.Stored)
	case e.IsReplay() && again && !event.SameBody(first, e):
		return []event.Fate{event.Rejected}
	case again && l.expired(first): // it may be there still
		if l.expired(e) {
			return slices.Concat(l.left(r), l.refuse(event.Conflict(e)), []event.Fate{event.Duplicate, event.Expired})
		}
		return slices.Concat(l.left(r), l.refuse(event.Conflict(e)), []event.Fate{event.Duplicate, event.Stored})
	case again && event.SameBody(first, e):
		return []event.Fate{event.Duplicate}
	case again:
		return l.refuse(event.Conflict(e))
	case l.expired(e):
		return l.left(r, event.Expired)
	}
	return l.left(r, event.Stored)
}

// refuse returns the fates of what is refused.
func (l *life) refuse(r *event.Rejection) []event.Fate {
	old, again := l.refused[r.ID]
	switch {
	case again && old.App == "blog" && old.ReceivedAt < l.cutoff():
		return []event.Fate{event.Rejected, event.Duplicate}
	case again:
		return []event.Fate{event.Duplicate}
	}
	return []event.Fate{event.Rejected}
}

func (l *life) flush() { l.do(l.store.Flush(l.Context())) }

func (l *life) compact() {
	l.flush()
	l.do(l.store.Compact(l.Context()))
}

func (l *life) expire() {
	l.now = l.now.Add(time.Duration(rapid.IntRange(0, 20).Draw(l.T, "days")) * 24 * time.Hour)
	l.do(l.store.Expire(l.Context()))
}

// erase erases a session as the server does.
func (l *life) erase() {
	session := rapid.SampledFrom([]string{"s", "t"}).Draw(l.T, "session")
	at := event.Micros(l.now.Add(-time.Duration(rapid.IntRange(0, 40).Draw(l.T, "ago")) * 24 * time.Hour).UnixMicro())
	l.eraseSession(session, at, uint64(rapid.IntRange(0, len(l.frames)).Draw(l.T, "frame")))
}

func (l *life) eraseSession(session string, at event.Micros, frame uint64) {
	_, err := l.store.AddTombstones([]string{"shop", "blog"}, session, at, upTo(frame))
	l.do(err)
	for _, app := range []string{"shop", "blog"} {
		key := [2]string{app, session}
		l.erased[key] = append(slices.Clip(l.erased[key]), eraseTarget{at, frame, l.timeline})
	}
	if rapid.Bool().Draw(l.T, "interrupted") {
		l.reopen()
	}
	l.finishErasures()
}

// finishErasures removes what is erased.
func (l *life) finishErasures() {
	l.flush()
	_, err := l.store.Erase(l.Context(), l.store.UnfinishedErasures(), uint64(len(l.frames)))
	l.do(err)
	for id, e := range l.stored {
		if l.isErased(e.App, e.SessionID, e.CarriedBy, e.SentTime, e.OccurredAt, e.ReceivedAt) {
			l.gone[id] = append(l.gone[id], departure{e.CarriedBy, e.ReceivedAt, l.expired(e)})
			delete(l.stored, id)
		}
	}
	for id, r := range l.refused {
		if l.isErased(r.App, r.SessionID, r.CarriedBy, r.SentTime, r.ReceivedAt) {
			l.gone[r.EventID] = append(l.gone[r.EventID], departure{r.CarriedBy, r.ReceivedAt, r.App == "blog" && r.ReceivedAt < l.cutoff()})
			delete(l.refused, id)
		}
	}
}

// reopen is a crash: what was not flushed is written again.
func (l *life) reopen() {
	l.close()
	l.open()
	l.catchUp()
}

// catchUp writes what is not in segments again.
func (l *life) catchUp() {
	flushed, err := l.store.Flushed(l.Context())
	l.do(err)
	for id, e := range l.stored {
		if e.CarriedBy > flushed {
			delete(l.stored, id)
		}
	}
	for id, r := range l.refused {
		if r.CarriedBy > flushed {
			delete(l.refused, id)
		}
	}
	for id, list := range l.gone {
		l.gone[id] = slices.DeleteFunc(list, func(d departure) bool { return d.carriedBy > flushed })
	}
	maps.DeleteFunc(l.through, func(_ event.Position, frame uint64) bool { return frame > flushed })
	for _, b := range l.frames[flushed:] {
		l.put(b)
	}
}

// page reads all events by pages of any size, while other things happen between.
// Nothing is repeated, all is in order, and what was there before and after is in it.
func (l *life) page() {
	must := l.visible()
	q := query.Query{Descending: rapid.Bool().Draw(l.T, "descending")}
	if rapid.Bool().Draw(l.T, "one session") {
		q.SessionIDs = []string{"s"}
	}
	var got []event.Event
	for {
		q.Limit = rapid.IntRange(1, 8).Draw(l.T, "limit")
		p, err := l.store.Events(l.Context(), q)
		l.do(err)
		got = append(got, p.Items...)
		if !p.More {
			break
		}
		after := query.AfterEvent(&p.Items[len(p.Items)-1])
		q.After, q.Horizon = &after, p.Horizon
		rapid.SampledFrom([]func(){func() {}, func() {}, l.write, l.flush, l.compact, l.expire, l.erase}).Draw(l.T, "between")()
	}
	if !slices.IsSortedFunc(got, func(a, b event.Event) int {
		if q.Descending {
			a, b = b, a
		}
		return a.Key().Compare(b.Key())
	}) {
		l.Fatal("not in order")
	}
	seen := map[uuid.UUID]bool{}
	for _, e := range got {
		if seen[e.ID] {
			l.Fatalf("event %s twice", e.ID)
		}
		seen[e.ID] = true
	}
	for id, frame := range l.visible() {
		if must[id] == frame && !seen[id] && (q.SessionIDs == nil || l.stored[id].SessionID == "s") {
			l.Fatalf("event %s is missing", id)
		}
	}
}

// visible are the events that have to be seen, with the frames that stored them:
// one that was erased and came again is another.
func (l *life) visible() map[uuid.UUID]uint64 {
	ids := map[uuid.UUID]uint64{}
	for id, e := range l.stored {
		if !l.expired(e) {
			ids[id] = e.CarriedBy
		}
	}
	return ids
}

// balance holds at every moment: the books balance, and count what is there.
func (l *life) balance() {
	books, err := l.store.Books(l.Context(), nil)
	l.do(err)
	var stored, rejected, received int64
	for _, a := range books.Accounts {
		if a.Received != a.Stored+a.Rejected+a.Duplicate+a.Erased+a.Expired+a.Lost {
			l.Fatalf("the account does not balance: %+v", a)
		}
		stored, rejected, received = stored+a.Stored, rejected+a.Rejected, received+a.Received
	}
	p, err := l.store.Events(l.Context(), query.Query{Limit: query.MaxLimit})
	l.do(err)
	r, err := l.store.Rejections(l.Context(), query.Query{Limit: query.MaxLimit})
	l.do(err)
	var sent int64
	for _, b := range l.frames {
		for _, r := range b.Records {
			if !r.IsReplay() {
				sent++
			}
		}
	}
	there := int64(len(p.Items)) - l.orphans(p.Items, r.Items)
	if diff := cmp.Diff([]int64{there, l.unreplayed(r.Items), sent}, []int64{stored, rejected, received}); diff != "" {
		l.Fatalf("events, rejections and arrivals (-there +books):\n%s", diff)
	}
	for _, e := range p.Items {
		if l.stored[e.ID] == nil {
			l.Fatalf("event %s is there and should not be", e.ID)
		}
	}
	for id := range l.visible() {
		if !slices.ContainsFunc(p.Items, func(e event.Event) bool { return e.ID == id }) {
			l.Fatalf("event %s is not there", id)
		}
	}
}
