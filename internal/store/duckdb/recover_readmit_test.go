package duckdb_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theeye/internal/event"
	"theeye/internal/store/duckdb"
)

// A segment whose file was away, and was put back where it had been, is taken back whole.
func TestFileThatWasAwayIsTakenBack(t *testing.T) {
	dir := t.TempDir()
	threeSegments(t, dir)
	s := open(t, duckdb.Options{Dir: dir})
	want, accounts := everyAnswer(t, s), books(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file, away := segmentFile(dir, 2, "duckdb"), filepath.Join(t.TempDir(), "away")
	if err := os.Rename(file, away); err != nil {
		t.Fatal(err)
	}
	s = open(t, duckdb.Options{Dir: dir})
	if got := books(t, s); got["shop"].Lost == 0 {
		t.Errorf("nothing is lost while a file is away: %+v", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(away, file); err != nil {
		t.Fatal(err)
	}
	r := run(t, duckdb.Options{Dir: dir}, false)
	until(t, "the segment to be taken back", func() bool { return len(r.Damaged()) == 0 })
	if diff := cmp.Diff(want, everyAnswer(t, r.Store)); diff != "" {
		t.Errorf("answers (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(accounts, books(t, r)); diff != "" {
		t.Errorf("books (-before +after):\n%s", diff)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "quarantine", "*")); err != nil || len(left) > 0 {
		t.Errorf("left in quarantine: %v, %v", left, err)
	}
	s = closed(t, open(t, duckdb.Options{Dir: dir}))
	if diff := cmp.Diff(want, everyAnswer(t, s)); diff != "" {
		t.Errorf("after another start (-before +after):\n%s", diff)
	}
}

// What was sent again meanwhile is there once, and what was erased meanwhile does not come back.
func TestWhatIsTakenBackIsDecidedAgain(t *testing.T) {
	dir := t.TempDir()
	threeSegments(t, dir)
	file, away := segmentFile(dir, 2, "duckdb"), filepath.Join(t.TempDir(), "away")
	if err := os.Rename(file, away); err != nil {
		t.Fatal(err)
	}
	s := open(t, duckdb.Options{Dir: dir})
	again := pageView(205) // of the segment that is away
	last, err := s.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if out := write(t, s, frame(last+1, again)); out[0].Fate != event.Stored {
		t.Fatalf("sent again while the segment is away: %v", out)
	}
	gone := pageView(240).Event.SessionID
	_, err = s.AddTombstones([]string{"shop"}, gone, event.Now(), upTo(last+1))
	if err := errors.Join(s.Flush(t.Context()), err); err != nil {
		t.Fatal(err)
	}
	if _, err := eraseOpen(t, s); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(away, file); err != nil {
		t.Fatal(err)
	}
	s = closed(t, open(t, duckdb.Options{Dir: dir}))
	back, left, err := s.Readmit(t.Context())
	if err != nil || len(back) != 1 || len(left) != 0 {
		t.Fatalf("back %v, left %v, %v", back, left, err)
	}
	accounts := books(t, s)
	if a := accounts["shop"]; a.Lost != 0 || a.Erased != 10 { // 240 to 249; the rest of the session is in other segments or never came
		t.Errorf("the books say %+v", a)
	}
	if n := count(t, s); n != 303-10 {
		t.Errorf("%d events", n)
	}
}

// A damaged file stays where it is, and Readmit says so.
func TestDamagedFileIsNotTakenBack(t *testing.T) {
	dir := t.TempDir()
	threeSegments(t, dir)
	flip(t, segmentFile(dir, 2, "duckdb"), 5000)
	if err := os.Truncate(segmentFile(dir, 2, "duckdb"), 10_000); err != nil {
		t.Fatal(err)
	}
	s := closed(t, open(t, duckdb.Options{Dir: dir}))
	back, left, err := s.Readmit(t.Context())
	if err != nil || len(back) != 0 || len(left) != 1 {
		t.Errorf("back %v, left %v, %v", back, left, err)
	}
	if a := books(t, s)["shop"]; a.Lost == 0 {
		t.Errorf("the books say %+v", a)
	}
}

// A damaged segment is to be rebuilt until that was tried in vain, or there is nothing to rebuild
// it from.
func TestRebuilds(t *testing.T) {
	dir := t.TempDir()
	frames := threeSegments(t, dir)
	if err := os.Truncate(segmentFile(dir, 2, "duckdb"), 5000); err != nil {
		t.Fatal(err)
	}
	s := open(t, duckdb.Options{Dir: dir})
	if d := s.Damaged(); len(d) != 1 || s.AwaitsRebuild(d[0]) {
		t.Errorf("without a queue %v is to be rebuilt", d)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	opts := duckdb.Options{Dir: dir, Queue: queueOf(frames, 6)} // all are trimmed
	s = open(t, opts)
	if d := s.Damaged(); len(d) != 1 || !s.AwaitsRebuild(d[0]) {
		t.Errorf("beside a queue %v is not to be rebuilt", d)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r := run(t, opts, false)
	until(t, "the rebuild to be given up", func() bool { return !r.AwaitsRebuild(r.Damaged()[0]) })
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// An acknowledgement of damage is durable, is made once, and is none of the next damage.
func TestDamageIsAcknowledged(t *testing.T) {
	dir := t.TempDir()
	threeSegments(t, dir)
	for i, id := range []int{2, 3} {
		if err := os.Truncate(segmentFile(dir, id, "duckdb"), 5000); err != nil {
			t.Fatal(err)
		}
		s := open(t, duckdb.Options{Dir: dir})
		d := s.Damaged()
		if len(d) != i+1 || d[i].Acknowledged || i > 0 && !d[0].Acknowledged {
			t.Errorf("damaged: %v", d)
		}
		for _, want := range []int{1, 0} {
			if list, err := s.AcknowledgeDamage(); err != nil || len(list) != want {
				t.Errorf("acknowledged %v, want %d, %v", list, want, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
