package feed_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"theeye/internal/erasure"
	"theeye/internal/event"
	"theeye/internal/feed"
	"theeye/internal/progress"
	"theeye/internal/store"
	"theeye/internal/store/memory"
)

func TestPositions(t *testing.T) {
	t.Parallel()
	for _, p := range []feed.Position{
		{},
		{Timeline: "memory"},
		{Place: store.FeedPlace{CarriedBy: 7, Position: event.Position{Frame: 5, Index: 3}}, Timeline: uuid.NewString()},
		{Place: store.AfterFrame(1 << 40), Timeline: uuid.NewString()},
	} {
		got, err := feed.ParsePosition(p.String())
		if err != nil || got != p {
			t.Errorf("%+v became %+v, %v", p, got, err)
		}
	}
	const timeline = "0190f3c2-0000-7000-8000-000000000000"
	places := []store.FeedPlace{
		{}, {CarriedBy: 1, Position: event.Position{Frame: 1}}, {CarriedBy: 1, Position: event.Position{Frame: 1, Index: 300}},
		store.AfterFrame(1), {CarriedBy: 1, Position: store.AfterFrame(1).Position, Tombstone: 2}, {CarriedBy: 2, Position: event.Position{Frame: 1}},
		{CarriedBy: 256, Position: event.Position{Frame: 256}}, store.AfterFrame(70_000),
	}
	for i := 1; i < len(places); i++ {
		a, b := feed.Position{Place: places[i-1], Timeline: timeline}.String(), feed.Position{Place: places[i], Timeline: timeline}.String()
		if a >= b {
			t.Errorf("%+v and %+v do not sort as %s and %s", places[i-1], places[i], a, b)
		}
	}
}

func FuzzParsePosition(f *testing.F) {
	f.Add(feed.Position{Place: store.AfterFrame(3), Timeline: uuid.NewString()}.String())
	f.Add("")
	f.Add("0000")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := feed.ParsePosition(text)
		if err == nil && p.String() != text {
			t.Errorf("%q is %+v, which is written %q", text, p, p)
		}
		if err != nil && !errors.Is(err, feed.ErrNotAPosition) {
			t.Error(err)
		}
	})
}

// source is a store that a hub follows.
type source struct {
	*testing.T
	store *memory.Store
	track *progress.Tracker
	hub   *feed.Hub
	frame uint64
	n     int
	dead  atomic.Pointer[erasure.Set]
}

func (s *source) erasures() *erasure.Set { return s.dead.Load() }

// erase writes a tombstone of the application as it is now.
func (s *source) erase() {
	list := append(slices.Clone(s.erasures().Tombstones()), erasure.Tombstone{App: "shop", Frame: s.frame, Visible: s.frame})
	s.dead.Store(erasure.NewSet(erasure.Document{Tombstones: list}, erasure.Lineage{}))
}

func newSource(t *testing.T) *source {
	t.Helper()
	s := &source{T: t, store: memory.New(), track: progress.New(0)}
	s.dead.Store(erasure.NewSet(erasure.Document{}, erasure.Lineage{}))
	s.hub = feed.NewHub(feed.Options{
		Reader: s.store, Progress: s.track, Erasures: s.erasures, Logger: slog.New(slog.DiscardHandler),
		Encode: func(i *store.FeedItem) ([]byte, error) { return i.Event.Data, nil },
	})
	return s
}

// add stores a frame of events, each with data of so many bytes.
func (s *source) add(events, size int) {
	s.Helper()
	s.write(events, size)
	s.track.MarkStored(s.frame, nil)
}

// write is add without a word to the hub, which notices the frame a second later.
func (s *source) write(events, size int) {
	s.Helper()
	s.frame++
	b := store.Batch{First: s.frame, Last: s.frame}
	for i := range events {
		s.n++
		at := event.Position{Frame: s.frame, Index: uint32(i)}
		b.Records = append(b.Records, event.Record{Event: &event.Event{
			App: "shop", ID: uuid.New(), SessionID: "s", Category: "c", Name: "n", Seq: event.NoSeq,
			Data: fmt.Appendf(nil, `{"n":%d,"pad":%0*d}`, s.n, size, 1), Position: at, CarriedBy: s.frame,
		}})
	}
	if _, err := s.store.Write(s.Context(), b); err != nil {
		s.Fatal(err)
	}
}

func (s *source) listen() *feed.Listener {
	s.Helper()
	l, err := s.hub.Listen(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	return l
}

// next returns how many items come next, and how many were passed over.
func (s *source) next(l *feed.Listener) (items int, missed int64) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 10*time.Second)
	defer cancel()
	list, m, err := l.Next(ctx)
	if err != nil {
		s.Fatal(err)
	}
	if m != nil {
		if m.From.Place.Compare(m.To.Place) >= 0 {
			s.Errorf("missed from %+v to %+v", m.From, m.To)
		}
		return 0, m.Count
	}
	return len(list), 0
}

func TestListenersShareItems(t *testing.T) {
	t.Parallel()
	s := newSource(t)
	s.add(3, 1)
	a, b := s.listen(), s.listen()
	defer a.Close()
	defer b.Close()
	s.add(2, 1)
	if n, _ := s.next(a); n != 2 {
		t.Errorf("%d items, want the 2 that came since", n)
	}
	before := b.At()
	if n, _ := s.next(b); n != 2 {
		t.Errorf("the other one got %d items", n)
	}
	if !b.Rewind(before) {
		t.Error("the items of a moment ago are not there any more")
	}
	if n, _ := s.next(b); n != 2 {
		t.Errorf("%d items after going back", n)
	}
	if b.Rewind(feed.Position{Place: store.AfterFrame(0), Timeline: before.Timeline}) {
		t.Error("the hub has what came before anybody listened")
	}
	if b.Rewind(feed.Position{Place: before.Place, Timeline: "another"}) {
		t.Error("a place of another timeline was found")
	}
}

// Who has read the store further than the hub does not get the same items from the hub.
func TestListenerAhead(t *testing.T) {
	t.Parallel()
	s := newSource(t)
	s.add(1, 1)
	l := s.listen()
	defer l.Close()
	s.write(3, 1)
	at := feed.Position{Place: store.PlaceOfEvent(&event.Event{CarriedBy: 2, Position: event.Position{Frame: 2, Index: 1}}), Timeline: l.At().Timeline}
	if !l.Rewind(at) {
		t.Fatal("a place after the ring's beginning was not taken")
	}
	s.add(2, 1)
	for got := 0; got < 3; {
		n, missed := s.next(l)
		if got += n; missed > 0 || got > 3 {
			t.Fatalf("%d items, %d missed; want the last of three, and two more", got, missed)
		}
	}
}

// Whoever is overtaken is told how many items were passed over, and goes on at the end.
func TestMissed(t *testing.T) {
	t.Parallel()
	s := newSource(t)
	slow, quick := s.listen(), s.listen()
	defer slow.Close()
	defer quick.Close()
	const frames, perFrame = 60, 10
	got := 0
	for range frames { // 60 MB
		s.add(perFrame, 100_000)
		for want := got + perFrame; got < want; {
			n, missed := s.next(quick)
			if got += n; missed > 0 {
				t.Fatalf("who reads everything has missed %d", missed)
			}
		}
	}
	_, missed := s.next(slow)
	if missed == 0 || missed > frames*perFrame {
		t.Fatalf("%d were missed", missed)
	}
	s.add(1, 1)
	left := 0
	for missed+int64(left) < frames*perFrame+1 {
		n, again := s.next(slow)
		if again > 0 {
			t.Fatalf("%d more were missed", again)
		}
		left += n
	}
	if missed+int64(left) != frames*perFrame+1 {
		t.Errorf("%d missed and %d read, of %d", missed, left, frames*perFrame+1)
	}
}

func TestTooManyListeners(t *testing.T) {
	t.Parallel()
	s := newSource(t)
	var list []*feed.Listener
	for range feed.MaxListeners {
		list = append(list, s.listen())
	}
	if _, err := s.hub.Listen(t.Context()); !errors.Is(err, feed.ErrFull) {
		t.Errorf("one too many: %v", err)
	}
	list[0].Close()
	again := s.listen()
	again.Close()
	for _, l := range list[1:] {
		l.Close()
	}
	s.add(1, 1) // nobody listens
	l := s.listen()
	s.add(4, 1)
	if n, _ := s.next(l); n != 4 {
		t.Errorf("%d items after a pause of the hub, want 4", n)
	}
	s.hub.End()
	if _, _, err := l.Next(t.Context()); !errors.Is(err, feed.ErrEnded) {
		t.Errorf("after the end: %v", err)
	}
	l.Close()
	if _, err := s.hub.Listen(t.Context()); !errors.Is(err, feed.ErrEnded) {
		t.Errorf("a listener after the end: %v", err)
	}
}

// From the moment of its tombstone, an item is given to nobody, and those who have it are told.
func TestErasedItems(t *testing.T) {
	s := newSource(t)
	early := s.listen()
	defer early.Close()
	begin := early.At()
	s.add(3, 10)
	held, _, err := early.Next(t.Context())
	if err != nil || len(held) != 3 || held[0].IsErased() {
		t.Fatal(held, err)
	}
	s.erase()
	s.add(2, 10)
	late := s.listen()
	defer late.Close()
	if !late.Rewind(begin) {
		t.Fatal("the ring does not have what came before the erasure")
	}
	var erased []bool
	for len(erased) < 5 {
		items, _, err := late.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range items {
			erased = append(erased, i.IsErased())
			if i.IsErased() != (i.Event == nil) {
				t.Errorf("an item is erased: %t, and has %v", i.IsErased(), i.Event)
			}
		}
	}
	if want := []bool{true, true, true, false, false}; !slices.Equal(erased, want) {
		t.Errorf("erased: %v, want %v", erased, want)
	}
	for _, i := range held {
		if !i.IsErased() {
			t.Error("who holds an item is not told of its erasure")
		}
	}
}
