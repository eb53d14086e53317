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

// TestFeedOfLaterEvents: a reader that is behind an erasure and later events of the same session
// keeps the later ones.
func TestFeedOfLaterEvents(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := newLife(rt, t.TempDir())
		defer l.close()
		l.open()
		l.put1("s", 1)
		l.put1("t", 2)
		w, behind := &watched{life: l}, &follower{}
		w.page(behind, rapid.IntRange(1, 2).Draw(rt, "read before"))
		l.eraseSession("s", event.Micros(l.now.UnixMicro()), uint64(len(l.frames)))
		l.put1("s", 3)
		rapid.SampledFrom([]func(){func() {}, l.flush, l.compact, l.reopen}).Draw(rt, "between")()
		for w.page(behind, rapid.IntRange(1, 4).Draw(rt, "limit")) {
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

// TestFeedOfAnotherKey: a reader that has hashes of session ids with a key that is not known any more
// must begin again, because no erasure could tell it what to delete.
func TestFeedOfAnotherKey(t *testing.T) {
	dir := t.TempDir()
	tombstones := filepath.Join(dir, "tombstones")
	s := open(t, duckdb.Options{Dir: dir})
	write(t, s, frame(1, pageView(1)))
	must(t, s.Flush(t.Context()))
	q := store.FeedQuery{Events: &query.Query{}, Limit: 1, MaxBytes: query.PageBytes}
	page, err := s.Feed(t.Context(), q)
	must(t, err)
	must(t, s.Close())
	must(t, os.Remove(tombstones))
	plan, err := duckdb.PlanRecovery(duckdb.RecoverOptions{Dir: dir, Tombstones: tombstones, ForgetTombstones: true})
	must(t, err)
	must(t, plan.Apply())
	s = closed(t, open(t, duckdb.Options{Dir: dir}))
	q.After, q.Timeline = page.Next, page.Timeline
	_, err = s.Feed(t.Context(), q)
	if gone, ok := errors.AsType[*store.PlaceGoneError](err); !ok || *gone != (store.PlaceGoneError{}) {
		t.Errorf("the error is %v, %+v", err, gone)
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
	_, err := s.AddTombstones([]string{"shop"}, session, event.Micros(1<<50), upTo(20))
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
			if _, err := s.AddTombstones([]string{"shop"}, session, event.Micros(1<<52), upTo(uint64(n+1))); err != nil {
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
