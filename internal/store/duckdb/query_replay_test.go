package duckdb_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
	"theeye/internal/store/duckdb"
)

// replayFrame makes a frame of replays of the rejections at positions of frame 1.
func replayFrame(number uint64, replays map[uint32]event.Record) store.Batch {
	b := frame(number)
	for index := range uint32(10) {
		if r, ok := replays[index]; ok {
			r.Event.Position, r.Event.CarriedBy = event.Position{Frame: 1, Index: index}, number
			b.Records = append(b.Records, r)
		}
	}
	return b
}

// A segment with rejections, one with their replays, one with replays that come too
// late or conflict: whichever is damaged is rebuilt, and the books balance meanwhile.
func TestReplaysInDamagedSegments(t *testing.T) {
	named := func(n int, name string) event.Record {
		r := pageView(n)
		r.Event.Name = name
		return r
	}
	frames := []store.Batch{
		frame(1, refusal(1, "a"), refusal(2, "b"), refusal(3, "c"), refusal(4, "d"), pageView(5)),
		replayFrame(2, map[uint32]event.Record{0: pageView(1), 1: pageView(2)}),
		frame(3, pageView(3), pageView(4)),
		replayFrame(4, map[uint32]event.Record{0: pageView(1), 2: pageView(3), 3: named(4, "other")}),
	}
	answers := func(s store.Reader) []string {
		list := everyAnswer(t, s)
		rejections, err := s.Rejections(t.Context(), query.Query{})
		for _, r := range rejections.Items {
			list = append(list, fmt.Sprintf("%s became %+v, %v", r.EventID, r.Became, err))
		}
		return list
	}
	for id := 1; id <= len(frames); id++ {
		dir := t.TempDir()
		s := open(t, duckdb.Options{Dir: dir})
		for _, b := range frames {
			write(t, s, b)
			if err := s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		want := answers(s)
		account := store.Account{App: "shop", Received: 7, Stored: 5, Rejected: 1, Duplicate: 1}
		if diff := cmp.Diff(account, books(t, s)["shop"]); diff != "" {
			t.Errorf("books (-want +got):\n%s", diff)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(segmentFile(dir, id, "duckdb"), 5000); err != nil {
			t.Fatal(err)
		}
		s = open(t, duckdb.Options{Dir: dir})
		books(t, s) // balance without it
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		r := run(t, duckdb.Options{Dir: dir, Queue: queueOf(frames, 0)}, false)
		until(t, "the segment to be rebuilt", func() bool { return len(r.Damaged()) == 0 })
		if diff := cmp.Diff(want, answers(r)); diff != "" {
			t.Errorf("segment %d rebuilt (-want +got):\n%s", id, diff)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}
