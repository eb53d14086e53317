package duckdb

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/fair"
	"theeye/internal/store"
)

// feedStore returns a store with a segment of one event of the session s.
func feedStore(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	at := event.Position{Frame: 1}
	if _, err := s.Write(t.Context(), store.Batch{First: 1, Last: 1, Records: []event.Record{{Event: &event.Event{
		App: "shop", ID: uuid.New(), SessionID: "s", Category: "c", Name: "n", Data: []byte(`{}`), Timestamp: "2021-01-01T00:00:00Z",
		Seq: event.NoSeq, ReceivedAt: 1, SentTime: 1, OccurredAt: 1, Position: at, CarriedBy: 1,
	}}}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// A reader that still holds the segments of before an erasure may make a window of them, but no
// file of it is left when the erasure is answered.
func TestErasureOutlivesReadersOfTheFeed(t *testing.T) {
	s := feedStore(t)
	old := s.pin()
	if _, err := s.AddTombstones([]string{"shop"}, "s", 1<<40, func() (uint64, error) { return 1, nil }); err != nil {
		t.Fatal(err)
	}
	erased := make(chan error, 1)
	go func() {
		_, err := s.Erase(t.Context(), s.UnfinishedErasures(), 1)
		erased <- err
	}()
	for s.current().tables == old.tables { // until the segment is replaced
		time.Sleep(time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond) // the erasure waits for old now
	_, release, err := s.feedWindows.acquire(t.Context(), old, 1)
	if err != nil {
		t.Fatal(err)
	}
	release()
	old.release()
	if err := <-erased; err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(s.exportDir(), "feed-*"))
	if err != nil || len(files) > 0 {
		t.Errorf("after the erasure there is %v, %v", files, err)
	}
}

// takeReaders takes all places of readers, so that nobody can count the rows of a window.
func takeReaders(t *testing.T, s *Store) (leave func()) {
	t.Helper()
	var all []func()
	for i := range maxReaders {
		leave, err := s.readers.Acquire(t.Context(), fair.Caller{App: strconv.Itoa(i), Key: strconv.Itoa(i)})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, leave)
	}
	return func() {
		for _, leave := range all {
			leave()
		}
	}
}

// A window is made although its first reader does not wait for it, and the next reader finds it.
func TestAWindowOutlivesItsReader(t *testing.T) {
	s := feedStore(t)
	leave := takeReaders(t, s)
	p := s.pin()
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, _, err := s.feedWindows.acquire(ctx, p, 1)
		left <- err
	}()
	for waiting := 0; waiting == 0; time.Sleep(time.Millisecond) {
		_, waiting = s.readers.Waiting()
	}
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the first reader gets %v", err)
	}
	p.release()
	leave()
	s.feedWindows.making.Wait()
	p = s.pin()
	defer p.release()
	w := s.feedWindows.find(p, 1)
	if w == nil || w.readers != 1 {
		t.Fatalf("the window is %+v", w)
	}
	s.feedWindows.release(w)
}

// Whoever waits for a window that an erasure ends is told to try again, and not that the request was
// cancelled.
func TestErasureEndsTheMakingOfAWindow(t *testing.T) {
	s := feedStore(t)
	defer takeReaders(t, s)()
	p := s.pin()
	defer p.release()
	made := make(chan error, 1)
	go func() {
		_, _, err := s.feedWindows.acquire(t.Context(), p, 1)
		made <- err
	}()
	for waiting := 0; waiting == 0; time.Sleep(time.Millisecond) {
		_, waiting = s.readers.Waiting()
	}
	if err := s.feedWindows.end(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-made; !errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// Nothing becomes visible between when the last frame of an erasure is read and when it is in force:
// readers of the feed delete all that they have seen, so the erasure must cover it.
func TestErasureReachesWhatIsVisible(t *testing.T) {
	s := feedStore(t)
	asked := false
	if _, err := s.AddTombstones([]string{"shop"}, "s", 1<<40, func() (uint64, error) {
		asked = true
		if s.writing.TryLock() {
			s.writing.Unlock()
			t.Error("the store can grow while the last frame is read")
		}
		return 1, nil
	}); err != nil || !asked {
		t.Errorf("the last frame was read: %t, %v", asked, err)
	}
}

// What was written before a restore keeps its timeline, also when nothing was written between two.
func TestOriginOfFrames(t *testing.T) {
	m := Manifest{Timeline: "now", Timelines: []Timeline{{"first", 10}, {"empty", 10}, {"third", 20}}}
	for frame, want := range map[uint64]string{1: "first", 10: "first", 11: "third", 20: "third", 21: "now"} {
		if got := m.origin(frame); got != want {
			t.Errorf("frame %d was written in %s, want %s", frame, got, want)
		}
	}
}
