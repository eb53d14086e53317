package duckdb_test

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
	"theeye/internal/store/duckdb"
)

// follower reads the feed of a life and keeps what it is told to keep.
type follower struct {
	after    store.FeedPlace
	timeline string
	held     []store.FeedItem // in the order in which they came
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

// read reads a page.
func (f *follower) read(l *life, limit int) (more bool) {
	page, err := l.store.Feed(l.Context(), store.FeedQuery{
		Events: &query.Query{}, Rejections: &query.Query{}, Erasures: &query.Query{},
		After: f.after, Timeline: f.timeline, Limit: limit, MaxBytes: query.PageBytes,
	})
	l.do(err)
	if page.Next.Compare(f.after) < 0 {
		l.Fatalf("the feed goes back from %+v to %+v", f.after, page.Next)
	}
	last := f.after
	for _, item := range page.Items {
		if item.Place.Compare(last) <= 0 || item.Place.Compare(page.Next) > 0 {
			l.Fatalf("an item at %+v, after %+v, on a page up to %+v", item.Place, last, page.Next)
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
	f.after, f.timeline = page.Next, page.Timeline
	return page.More
}

// TestFeedFollows holds readers of the feed against the store, whatever happens between their
// pages: what they keep is what the store has, in its order, each once. They may keep what has
// expired.
func TestFeedFollows(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := newLife(rt, t.TempDir())
		l.open()
		defer func() { l.do(l.store.Close()) }()
		followers := []*follower{{}, {}}
		erase := func() {
			l.eraseSession(rapid.SampledFrom([]string{"s", "t"}).Draw(rt, "session"), event.Micros(l.now.UnixMicro()), uint64(len(l.frames)))
		}
		read := func() {
			followers[rapid.IntRange(0, len(followers)-1).Draw(rt, "reader")].read(l, rapid.IntRange(1, 20).Draw(rt, "limit"))
		}
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			rapid.SampledFrom([]func(){
				l.write, l.write, l.write, l.replay, l.replay, l.flush, l.compact, l.expire, erase, l.reopen, read, read, read, read,
			}).Draw(rt, "step")()
		}
		there := &follower{}
		for _, f := range append(followers, there) {
			for f.read(l, 7) {
			}
		}
		l.compareFollowers(followers, there.held)
	})
}

func (l *life) compareFollowers(followers []*follower, there []store.FeedItem) {
	p, err := l.store.Events(l.Context(), query.Query{Limit: query.MaxLimit})
	l.do(err)
	r, err := l.store.Rejections(l.Context(), query.Query{Limit: query.MaxLimit})
	l.do(err)
	if len(there) != len(p.Items)+len(r.Items) {
		l.Fatalf("the feed has %d items, and the lists have %d events and %d rejections", len(there), len(p.Items), len(r.Items))
	}
	for n, f := range followers {
		held := slices.DeleteFunc(slices.Clone(f.held), func(h store.FeedItem) bool {
			return appOf(h) == "blog" && !slices.ContainsFunc(there, func(i store.FeedItem) bool { return keyOf(i) == keyOf(h) })
		})
		if !slices.EqualFunc(held, there, func(a, b store.FeedItem) bool { return keyOf(a) == keyOf(b) }) {
			l.Fatalf("reader %d holds %d items, and the store has %d:\n%v\n%v", n, len(held), len(there), placesOf(held), placesOf(there))
		}
	}
}

func placesOf(items []store.FeedItem) (list []store.FeedPlace) {
	for _, i := range items {
		list = append(list, i.Place)
	}
	return list
}

// TestFeedOfLaterEvents: a reader that is behind an erasure and later events of the same session
// keeps the later ones.
func TestFeedOfLaterEvents(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := newLife(rt, t.TempDir())
		l.open()
		defer func() { l.do(l.store.Close()) }()
		l.put1("s", 1)
		l.put1("t", 2)
		behind := &follower{}
		behind.read(l, rapid.IntRange(1, 2).Draw(rt, "read before"))
		l.eraseSession("s", event.Micros(l.now.UnixMicro()), uint64(len(l.frames)))
		l.put1("s", 3)
		rapid.SampledFrom([]func(){func() {}, l.flush, l.compact, l.reopen}).Draw(rt, "between")()
		for behind.read(l, rapid.IntRange(1, 4).Draw(rt, "limit")) {
		}
		var ids []uuid.UUID
		for _, i := range behind.held {
			ids = append(ids, i.Event.ID)
		}
		if want := []uuid.UUID{numbered(2), numbered(3)}; !slices.Equal(ids, want) {
			rt.Fatalf("the reader holds %v, want %v", ids, want)
		}
	})
}

// put1 writes a frame with one event of shop.
func (l *life) put1(session string, n int) {
	l.now = l.now.Add(1e9)
	at := event.Micros(l.now.UnixMicro())
	b := frame(uint64(len(l.frames)+1), event.Record{Event: &event.Event{
		App: "shop", ID: numbered(n), SessionID: session, Category: "c", Name: "n", Data: []byte(`{}`),
		Timestamp: at.String(), SentTime: at, Seq: event.NoSeq, OccurredAt: at, ReceivedAt: at,
	}})
	l.frames = append(l.frames, b)
	l.put(b)
}

// TestFeedOfAnotherTimeline: after a restore, a place on what both have is valid, and a later one
// is gone.
func TestFeedOfAnotherTimeline(t *testing.T) {
	dir := t.TempDir()
	s := open(t, duckdb.Options{Dir: dir})
	write(t, s, frame(1, pageView(1)))
	write(t, s, frame(2, pageView(2)))
	must(t, s.Flush(t.Context()))
	q := store.FeedQuery{Events: &query.Query{}, Erasures: &query.Query{}, Limit: 1, MaxBytes: query.PageBytes}
	first, err := s.Feed(t.Context(), q)
	must(t, err)
	q.Limit = 10
	whole, err := s.Feed(t.Context(), q)
	must(t, err)
	write(t, s, frame(3, pageView(3)))
	q.After, q.Timeline = whole.Next, whole.Timeline
	later, err := s.Feed(t.Context(), q)
	must(t, err)
	if len(later.Items) != 1 {
		t.Fatalf("%d items after frame 2", len(later.Items))
	}
	must(t, s.Close())
	must(t, duckdb.BeginTimeline(dir, filepath.Join(dir, "tombstones"), 2))
	s = closed(t, open(t, duckdb.Options{Dir: dir}))
	write(t, s, frame(3, pageView(3)))
	for _, test := range []struct {
		name  string
		after store.FeedPlace
		want  int
		gone  bool
	}{
		{"after the first event", first.Next, 2, false},
		{"at the end of what both have", whole.Next, 1, false},
		{"beyond it", later.Next, 0, true},
	} {
		q.After, q.Timeline = test.after, whole.Timeline
		page, err := s.Feed(t.Context(), q)
		gone, isGone := errors.AsType[*store.PlaceGoneError](err)
		if isGone != test.gone || !isGone && err != nil || len(page.Items) != test.want {
			t.Errorf("%s: %d items, %v; want %d", test.name, len(page.Items), err, test.want)
		}
		if isGone && (gone.Common != store.AfterFrame(2) || gone.Timeline != whole.Timeline) {
			t.Errorf("in common: %+v", gone)
		}
	}
	q.After, q.Timeline = later.Next, "unknown"
	if _, err := s.Feed(t.Context(), q); err == nil {
		t.Error("a place of a store that is not known was taken")
	}
}

// TestFeedWindowsEnd: windows are shared, few, and gone when an erasure has finished.
func TestFeedWindowsEnd(t *testing.T) {
	dir := t.TempDir()
	s := closed(t, open(t, duckdb.Options{Dir: dir}))
	for n := 1; n <= 20; n++ {
		write(t, s, frame(uint64(n), pageView(n)))
		if n%5 == 0 {
			must(t, s.Flush(t.Context()))
		}
	}
	q := store.FeedQuery{Events: &query.Query{}, Limit: 3, MaxBytes: query.PageBytes}
	for n := range uint64(20) {
		q.After = store.AfterFrame(n)
		page, err := s.Feed(t.Context(), q)
		must(t, err)
		if want := min(3, int(20-n)); len(page.Items) != want {
			t.Fatalf("%d items after frame %d, want %d", len(page.Items), n, want)
		}
	}
	if n := len(feedFiles(t, dir)); n == 0 || n > 2 {
		t.Errorf("%d windows are kept", n)
	}
	session := pageView(7).Event.SessionID
	_, err := s.AddTombstones([]string{"shop"}, session, event.Micros(1<<50), 20)
	must(t, err)
	_, err = s.Erase(t.Context(), s.UnfinishedErasures(), 20)
	must(t, err)
	if files := feedFiles(t, dir); len(files) > 0 {
		t.Errorf("after an erasure there is still %v", files)
	}
	q.After, q.Limit = store.FeedPlace{}, 100 // pageView has 20 events in a session
	page, err := s.Feed(t.Context(), q)
	must(t, err)
	if slices.ContainsFunc(page.Items, func(i store.FeedItem) bool { return i.Event.SessionID == session }) {
		t.Error("the feed has an event of the session that was erased")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func feedFiles(t *testing.T, dir string) (list []string) {
	entries, err := os.ReadDir(filepath.Join(dir, "export"))
	must(t, err)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "feed-") {
			list = append(list, e.Name())
		}
	}
	slices.SortFunc(list, cmp.Compare)
	return list
}

// TestFeedReadersRace reads the feed by many goroutines while segments are written, merged and
// erased from: each of them sees everything of what is not erased, once and in order.
func TestFeedReadersRace(t *testing.T) {
	const readers, frames, perFrame = 6, 120, 20
	s := closed(t, open(t, duckdb.Options{Dir: t.TempDir(), FlushRows: 200, MemoryLimit: 512 << 20}))
	var g errgroup.Group
	for range readers {
		g.Go(func() error {
			q := store.FeedQuery{Events: &query.Query{}, Erasures: &query.Query{}, MaxBytes: query.PageBytes, Limit: 37}
			var last store.FeedPlace
			seen := map[uuid.UUID]bool{}
			for more := true; more || q.After.CarriedBy < frames; {
				page, err := s.Feed(t.Context(), q)
				if errors.Is(err, store.ErrUnavailable) { // an erasure ended the making of a window
					continue
				}
				if err != nil {
					return err
				}
				for _, i := range page.Items {
					if i.Place.Compare(last) <= 0 {
						return fmt.Errorf("%+v after %+v", i.Place, last)
					}
					last = i.Place
					if i.Event != nil {
						seen[i.Event.ID] = true
					}
				}
				q.After, q.Timeline, more = page.Next, page.Timeline, page.More
			}
			for n := range frames * perFrame {
				if erased := n/20%10 == 3; !erased && !seen[numbered(n)] {
					return fmt.Errorf("event %d is missing", n)
				}
			}
			return nil
		})
	}
	g.Go(func() error {
		for n := range frames {
			records := make([]event.Record, perFrame)
			for i := range records {
				records[i] = pageView(n*perFrame + i)
			}
			if _, err := s.Write(t.Context(), frame(uint64(n+1), records...)); err != nil {
				return err
			}
			if n%10 != 9 {
				continue
			}
			if err := s.Flush(t.Context()); err != nil {
				return err
			}
			if err := s.Compact(t.Context()); err != nil {
				return err
			}
			session := pageView((n - 6) * perFrame).Event.SessionID // the frame of each ten with n/20%10 == 3
			if _, err := s.AddTombstones([]string{"shop"}, session, event.Micros(1<<52), uint64(n+1)); err != nil {
				return err
			}
			if _, err := s.Erase(t.Context(), s.UnfinishedErasures(), uint64(n+1)); err != nil {
				return err
			}
		}
		return nil
	})
	must(t, g.Wait())
}
