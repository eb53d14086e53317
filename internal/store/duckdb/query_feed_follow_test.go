package duckdb_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"theeye/internal/event"
	"theeye/internal/feed"
	"theeye/internal/progress"
	"theeye/internal/query"
	"theeye/internal/store"
)

// TestFeedFollows holds readers of the feed against the store, whatever happens between their
// pages: what they keep is what the store has, in its order, each once. Some of them read pages,
// others listen. They may keep what has expired.
func TestFeedFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // listeners wait for what comes
		rapid.Check(struct{ *testing.T }{t}, func(rt *rapid.T) { // it would ask for a deadline, which a bubble has not
			w := watch(newLife(rt, t.TempDir()), 4)
			defer w.close()
			w.open()
			steps := map[string]func(){
				"write": w.write, "replay": w.replay, "flush": w.flush, "merge": w.compact, "expire": w.expire, "erase": w.erase,
				"reopen": w.reopen, "backup": w.backup, "restore": w.restore, "read": w.read, "listen": w.listen, "hang up": w.hangUp,
			}
			for range rapid.IntRange(1, 40).Draw(rt, "steps") {
				steps[rapid.SampledFrom([]string{
					"write", "write", "write", "replay", "replay", "flush", "merge", "expire", "erase", "erase", "reopen",
					"backup", "backup", "restore", "restore", "read", "read", "read", "read", "listen", "listen", "hang up",
				}).Draw(rt, "step")]()
			}
			w.compare()
			w.balance()
		})
	})
}

// follower reads the feed of a life and keeps what it is told to keep.
type follower struct {
	at       feed.Position
	held     []store.FeedItem // in the order in which they came
	undone   []undoneErasure
	listener *feed.Listener // nil while it does not listen
}

// undoneErasure is an erasure that a restore has undone. What it had removed came back; the follower
// has passed the places up to upTo and may not have it.
type undoneErasure struct {
	erasedSession
	upTo store.FeedPlace
}

// erasedSession identifies a tombstone.
type erasedSession struct {
	app, session string
	at           event.Micros
}

// keyOfItem identifies an item: its place, and its id, as an event has the place of its arrival.
type keyOfItem struct {
	place store.FeedPlace
	id    uuid.UUID
}

func keyOf(i store.FeedItem) keyOfItem {
	if i.Event != nil {
		return keyOfItem{i.Place, i.Event.ID}
	}
	return keyOfItem{i.Place, i.Rejection.ID}
}

func appOf(i store.FeedItem) string {
	if i.Event != nil {
		return i.Event.App
	}
	return i.Rejection.App
}

func eventOf(i store.FeedItem) uuid.UUID {
	if i.Event != nil {
		return i.Event.ID
	}
	return i.Rejection.EventID
}

func sessionOf(i store.FeedItem) string {
	if i.Event != nil {
		return i.Event.SessionID
	}
	return i.Rejection.SessionID
}

// watched is a life with followers, and with what a server has for them while it runs.
type watched struct {
	*life
	followers []*follower
	track     *progress.Tracker
	hub       *feed.Hub
	knew      map[erasedSession]bool // when the server ended
}

func watch(l *life, followers int) *watched {
	w := &watched{life: l}
	for range followers {
		w.followers = append(w.followers, &follower{})
	}
	l.started, l.ending = w.start, w.end
	l.wrote = func(frame uint64) { w.track.MarkStored(frame, nil) }
	return w
}

// start is the start of a server. Its store may be behind the followers.
func (w *watched) start() {
	position, err := w.store.Position(w.Context())
	w.do(err)
	w.track = progress.New(position)
	w.hub = feed.NewHub(feed.Options{
		Reader: w.store, Progress: w.track, Erasures: w.store.Erasures, Logger: slog.New(slog.DiscardHandler),
		Encode: func(*store.FeedItem) ([]byte, error) { return nil, nil },
	})
	w.undo()
	if len(w.frames) == 0 {
		return
	}
	for range rapid.IntRange(0, 2).Draw(w.T, "pages at the start") {
		w.page(w.drawFollower(), 3)
	}
}

// end is the end of a server: nobody listens any more.
func (w *watched) end() {
	w.hub.End()
	for _, f := range w.followers {
		f.hangUp()
	}
	w.knew = w.erasures()
	synctest.Wait() // until the hub reads no more
}

func (w *watched) drawFollower() *follower {
	return w.followers[rapid.IntRange(0, len(w.followers)-1).Draw(w.T, "follower")]
}

func (w *watched) erase() {
	w.eraseSession(rapid.SampledFrom([]string{"s", "t"}).Draw(w.T, "session"), event.Micros(w.now.UnixMicro()), uint64(len(w.frames)))
}

// erasures returns the erasures that the store knows.
func (w *watched) erasures() map[erasedSession]bool {
	set := w.store.Erasures()
	sessions := map[string]string{set.SessionKey("s"): "s", set.SessionKey("t"): "t"}
	known := map[erasedSession]bool{}
	for _, t := range set.Tombstones() {
		known[erasedSession{t.App, sessions[t.Session], t.At}] = true
	}
	return known
}

// undo notes which erasures a restore has undone.
func (w *watched) undo() {
	known := w.erasures()
	for e := range w.knew {
		if known[e] {
			continue
		}
		for _, f := range w.followers {
			f.undone = append(f.undone, undoneErasure{e, f.at.Place})
		}
	}
	w.knew = known
}

// read reads a page.
func (w *watched) read() {
	f := w.drawFollower()
	if f.listener != nil {
		w.hear(f)
		return
	}
	w.page(f, rapid.IntRange(1, 20).Draw(w.T, "limit"))
}

// page reads a page of the feed after where the follower is, or goes back to what the feed and the
// follower have in common.
func (w *watched) page(f *follower, limit int) (more bool) {
	page, err := w.store.Feed(w.Context(), store.FeedQuery{
		Events: &query.Query{}, Rejections: &query.Query{}, Erasures: &query.Query{},
		After: f.at.Place, Timeline: f.at.Timeline, Limit: limit, MaxBytes: query.PageBytes,
	})
	if gone, ok := errors.AsType[*store.PlaceGoneError](err); ok {
		f.goBack(feed.Position{Place: gone.Common, Timeline: gone.Timeline})
		return true
	}
	w.do(err)
	last := f.at
	last.Place.Tombstone = 0
	if page.Timeline == f.at.Timeline {
		last.Place = f.at.Place
	}
	w.take(f, last, page.Items, feed.Position{Place: page.Next, Timeline: page.Timeline})
	return page.More
}

// goBack deletes what came after a place.
func (f *follower) goBack(common feed.Position) {
	f.held = slices.DeleteFunc(f.held, func(h store.FeedItem) bool { return h.Place.Compare(common.Place) > 0 })
	for i := range f.undone {
		f.undone[i].upTo = least(f.undone[i].upTo, common.Place)
	}
	f.at = common
}

func least(a, b store.FeedPlace) store.FeedPlace {
	if a.Compare(b) < 0 {
		return a
	}
	return b
}

// take does what the items after a place say.
func (w *watched) take(f *follower, after feed.Position, items []store.FeedItem, next feed.Position) {
	if next.Place.Compare(after.Place) < 0 {
		w.Fatalf("the feed goes back from %+v to %+v", after, next)
	}
	last := after.Place
	for _, item := range items {
		if item.Place.Compare(last) <= 0 || item.Place.Compare(next.Place) > 0 {
			w.Fatalf("an item at %+v, after %+v, up to %+v", item.Place, last, next)
		}
		last = item.Place
		if item.Erased == nil {
			f.held = append(f.held, item)
			continue
		}
		f.held = slices.DeleteFunc(f.held, func(h store.FeedItem) bool {
			return h.SessionKey == item.SessionKey && appOf(h) == item.Erased.App
		})
	}
	f.at = next
}

// listen makes a follower listen from where it is, as a tail does.
func (w *watched) listen() {
	f := w.drawFollower()
	if f.listener != nil {
		w.hear(f)
		return
	}
	var err error
	f.listener, err = w.hub.Listen(w.Context())
	w.do(err)
	for !f.listener.Rewind(f.at) {
		w.page(f, 10)
	}
}

// hear takes all that a listener has not taken yet.
func (w *watched) hear(f *follower) {
	for {
		ctx, cancel := context.WithTimeout(w.Context(), 5*time.Second) // in which the hub looks for erasures
		items, missed, err := f.listener.Next(ctx)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		w.do(err)
		if missed != nil {
			w.Fatalf("a listener has missed %+v", missed)
		}
		list := make([]store.FeedItem, len(items))
		for n, i := range items {
			list[n] = i.FeedItem
		}
		w.take(f, f.at, list, feed.Position{Place: items[len(items)-1].Place, Timeline: f.at.Timeline})
	}
	w.take(f, f.at, nil, f.listener.At())
}

func (w *watched) hangUp() { w.drawFollower().hangUp() }

func (f *follower) hangUp() {
	if f.listener != nil {
		f.listener.Close()
		f.listener = nil
	}
}

// compare lets all followers come to the end, and compares what they hold with each other and with
// the store.
func (w *watched) compare() {
	fresh := &follower{}
	for _, f := range append(w.followers, fresh) {
		if f.listener != nil {
			w.hear(f)
			continue
		}
		for w.page(f, 7) {
		}
	}
	p, err := w.store.Events(w.Context(), query.Query{Limit: query.MaxLimit})
	w.do(err)
	r, err := w.store.Rejections(w.Context(), query.Query{Limit: query.MaxLimit})
	w.do(err)
	if len(fresh.held) != len(p.Items)+len(r.Items) {
		w.Fatalf("the feed has %d items, and the lists have %d events and %d rejections", len(fresh.held), len(p.Items), len(r.Items))
	}
	for n, f := range w.followers {
		mayLack := func(i store.FeedItem) bool { return w.mayBeGone(i) || w.mayBeRedecided(i) || f.mayLack(i) }
		got, want := slices.DeleteFunc(slices.Clone(f.held), mayLack), slices.DeleteFunc(slices.Clone(fresh.held), mayLack)
		if !slices.EqualFunc(got, want, func(a, b store.FeedItem) bool { return keyOf(a) == keyOf(b) }) {
			w.Fatalf("follower %d holds\n%swant\n%s", n, describe(got), describe(want))
		}
	}
}

// mayBeGone reports whether an item has expired: it is removed sooner or later.
func (w *watched) mayBeGone(i store.FeedItem) bool {
	if i.Event != nil {
		return w.expired(i.Event) || i.Event.IsReplay() && i.Event.App == "blog" && i.Event.ReceivedAt < w.cutoff()
	}
	return i.Rejection.App == "blog" && i.Rejection.ReceivedAt < w.cutoff()
}

// mayBeRedecided reports whether an item repeats an event that has expired. As long as that is not
// removed it may be a duplicate or a conflict, and when it is decided again after a crash it is not.
func (w *watched) mayBeRedecided(i store.FeedItem) bool {
	if appOf(i) != "blog" {
		return false
	}
	for _, b := range w.frames[:i.Place.CarriedBy] {
		for _, r := range b.Records {
			if r.EventID() == eventOf(i) && (r.ReceivedAt() < w.cutoff() || r.Event != nil && w.expired(r.Event)) {
				return true
			}
		}
	}
	return false
}

// mayLack reports whether a restore has brought back an item where the follower has passed.
func (f *follower) mayLack(i store.FeedItem) bool {
	return slices.ContainsFunc(f.undone, func(e undoneErasure) bool {
		return e.app == appOf(i) && e.session == sessionOf(i) && i.Place.Compare(e.upTo) <= 0
	})
}

func describe(items []store.FeedItem) string {
	var b strings.Builder
	for _, i := range items {
		fmt.Fprintf(&b, "  frame %d, at %v: %s %s\n", i.Place.CarriedBy, i.Place.Position, appOf(i), sessionOf(i))
	}
	return b.String()
}
