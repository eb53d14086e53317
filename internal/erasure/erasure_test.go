package erasure_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"theeye/internal/erasure"
	"theeye/internal/event"
)

const key = "0001020304050607080910111213141516171819202122232425262728293031"

func log(t *testing.T, path string, known erasure.Digest) *erasure.Log {
	t.Helper()
	l, err := erasure.OpenLog(path, known)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func begin(t *testing.T, l *erasure.Log, list ...erasure.Tombstone) {
	t.Helper()
	if err := l.Begin(list...); err != nil {
		t.Fatal(err)
	}
}

var two = []erasure.Tombstone{
	{ID: "1", App: "shop", Session: "00", At: 7, Frame: 3, Visible: 2, Timeline: "T"},
	{ID: "2", App: erasure.AllApps, Session: "01", At: 8, Frame: 4, Timeline: "T"},
}

// What was written is read again; a line that a crash cut off is not, and the next one takes its
// place.
func TestLogSurvivesATornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tombstones")
	l := log(t, path, erasure.Digest{})
	begin(t, l, two[0])
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin(t, l, two[1])
	both, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := len(whole); cut < len(both); cut++ {
		if err := os.WriteFile(path, both[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		l := log(t, path, erasure.Digest{})
		if got := l.Document().Tombstones; len(got) != 1 {
			t.Fatalf("cut to %d bytes: %+v", cut, got)
		}
		begin(t, l, two[1])
		again := log(t, path, l.Digest())
		if diff := cmp.Diff(two, again.Document().Tombstones); diff != "" {
			t.Fatalf("cut to %d bytes (-want +got):\n%s", cut, diff)
		}
	}
}

// Every changed byte of a line that is whole is noticed, and so is a missing line, by checksum
// or by the digest that the manifest holds.
func TestDamageIsNoticed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tombstones")
	l := log(t, path, erasure.Digest{})
	begin(t, l, two...)
	if err := l.Finish(two[:1], 9, "T"); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		bad := append([]byte(nil), b...)
		bad[i] ^= 4
		if _, err := erasure.Parse(bad, l.Digest()); err == nil || strings.Contains(err.Error(), "json") {
			t.Errorf("byte %d was changed: %q: %v", i, b[max(i-10, 0):i+1], err)
		}
	}
	for i := range b {
		if _, err := erasure.Parse(b[:i], l.Digest()); err == nil {
			t.Errorf("cut to %d of %d bytes and not noticed", i, len(b))
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := erasure.Read(path, l.Digest()); !errors.Is(err, erasure.ErrMissing) {
		t.Errorf("the file is missing: %v", err)
	}
	lines := strings.SplitAfter(string(b), "\n")
	if _, err := erasure.Parse([]byte(lines[0]+lines[2]+lines[1]+lines[3]), l.Digest()); err == nil {
		t.Error("two lines were exchanged and it was not noticed")
	}
}

// Only what was committed as finished is finished, and a merge takes nothing of that over.
func TestFinished(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tombstones")
	l := log(t, path, erasure.Digest{})
	begin(t, l, two...)
	before := l.Digest()
	if err := l.Finish(two[:1], 9, "T"); err != nil {
		t.Fatal(err)
	}
	finished := func(known erasure.Digest) (list []bool) {
		d, err := erasure.Read(path, known)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range d.Tombstones {
			list = append(list, one.Finished)
		}
		return list
	}
	if diff := cmp.Diff([]bool{true, false}, finished(l.Digest())); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]bool{false, false}, finished(before)); diff != "" {
		t.Errorf("not committed: %s", diff)
	}
	other := log(t, filepath.Join(t.TempDir(), "other"), erasure.Digest{})
	if err := other.Add(l.Document(), 7); err != nil {
		t.Fatal(err)
	}
	for _, one := range other.Document().Tombstones {
		if one.Finished {
			t.Errorf("%s is finished elsewhere", one.ID)
		}
	}
	stranger := log(t, filepath.Join(t.TempDir(), "stranger"), erasure.Digest{})
	begin(t, stranger, two[0])
	if err := stranger.Add(l.Document(), 7); err == nil {
		t.Error("tombstones of another directory were added")
	}
}

// A tombstone of a timeline that the directory has no part of is placed where a restore added it, and
// every other one where it was written.
func TestLastVisible(t *testing.T) {
	given := log(t, filepath.Join(t.TempDir(), "given"), erasure.Digest{})
	begin(t, given,
		erasure.Tombstone{ID: "1", App: "shop", At: 1, Frame: 9, Visible: 8, Timeline: "before"},
		erasure.Tombstone{ID: "2", App: "shop", At: 1, Frame: 9, Visible: 8, Timeline: "elsewhere"},
	)
	path := filepath.Join(t.TempDir(), "tombstones")
	l := log(t, path, erasure.Digest{})
	if err := l.Add(given.Document(), 5); err != nil {
		t.Fatal(err)
	}
	begin(t, l, erasure.Tombstone{ID: "3", App: "shop", At: 1, Frame: 7, Visible: 6, Timeline: "now"})
	d, err := erasure.Read(path, l.Digest())
	if err != nil {
		t.Fatal(err)
	}
	set := erasure.NewSet(d, erasure.Lineage{Timeline: "now", Ended: map[string]uint64{"before": 4}})
	for i, want := range []uint64{4, 5, 6} {
		if frame, ok := set.LastVisible(set.Tombstones()[i]); frame != want || !ok {
			t.Errorf("tombstone %d is after frame %d, %v; want %d", i+1, frame, ok, want)
		}
	}
}

// A file of the first format is read, keeps its hashes, and gets the present format.
func TestFirstForm(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tombstones")
	first := `{"key":"` + key + `"}` + "\n" + `{"hash":"ab","at":5,"frame":2,"done":true}` + "\n"
	if err := os.WriteFile(path, []byte(first), 0o600); err != nil {
		t.Fatal(err)
	}
	l := log(t, path, erasure.Digest{})
	// The manifest of that version had the same one.
	same := erasure.Document{Key: key, Tombstones: []erasure.Tombstone{erasure.FirstForm("ab", 5, 2)}}
	if err := l.Add(same, 0); err != nil {
		t.Fatal(err)
	}
	begin(t, l, two[0])
	d, err := erasure.Read(path, l.Digest())
	if err != nil {
		t.Fatal(err)
	}
	want := []erasure.Tombstone{{Hash: "ab", At: 5, Frame: 2}, two[0]}
	if diff := cmp.Diff(want, d.Tombstones, cmpopts.IgnoreFields(erasure.Tombstone{}, "ID")); diff != "" || d.Key != key {
		t.Errorf("key %s (-want +got):\n%s", d.Key, diff)
	}
}

func TestNewerFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tombstones")
	l := log(t, path, erasure.Digest{})
	begin(t, l, two[0])
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"header": erasure.Seal(`{"version":3,"key":"` + key + `"}`),
		"line":   string(b) + erasure.Seal(`{"moved":"1"}`),
	} {
		if _, err := erasure.Parse([]byte(text), erasure.Digest{}); !errors.Is(err, erasure.ErrNewer) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Sessions are erased by time, in one application or in all; applications by frame, but by time
// when the tombstone's timeline is not one of the directory's.
func TestCovers(t *testing.T) {
	l := log(t, filepath.Join(t.TempDir(), "tombstones"), erasure.Digest{})
	session, err := l.SessionKey("s")
	if err != nil {
		t.Fatal(err)
	}
	everywhere, err := l.SessionKey("e")
	if err != nil {
		t.Fatal(err)
	}
	begin(t, l,
		erasure.Tombstone{ID: "1", App: "shop", Session: session, At: 100, Frame: 10, Timeline: "now"},
		erasure.Tombstone{ID: "2", App: erasure.AllApps, Session: everywhere, At: 100, Frame: 10, Timeline: "now"},
		erasure.Tombstone{ID: "3", App: "gone", At: 100, Frame: 10, Timeline: "now"},
		erasure.Tombstone{ID: "4", App: "before", At: 100, Frame: 10, Timeline: "before"},
		erasure.Tombstone{ID: "5", App: "foreign", At: 100, Frame: 10, Timeline: "foreign"},
	)
	set := erasure.NewSet(l.Document(), erasure.Lineage{Timeline: "now", Ended: map[string]uint64{"before": 6}})
	arrival := func(app, session string, sent, received event.Micros, frame uint64) event.Record {
		return event.Record{Event: &event.Event{App: app, SessionID: session, SentTime: sent, OccurredAt: sent, ReceivedAt: received, CarriedBy: frame}}
	}
	refused := event.Record{Rejection: &event.Rejection{App: "shop", SessionID: "s", ReceivedAt: 200}}
	for name, test := range map[string]struct {
		record event.Record
		want   bool
	}{
		"received before":                   {arrival("shop", "s", 300, 100, 0), true},
		"sent before":                       {arrival("shop", "s", 100, 300, 20), true},
		"sent and received later":           {arrival("shop", "s", 101, 101, 20), false},
		"carried before, by a later clock":  {arrival("shop", "s", 500, 500, 5), true},
		"a rejection without a sent time":   {refused, true},
		"another application":               {arrival("blog", "s", 1, 1, 5), false},
		"another session":                   {arrival("shop", "t", 1, 1, 5), false},
		"in all applications":               {arrival("blog", "e", 1, 1, 5), true},
		"application, by its frame":         {arrival("gone", "x", 500, 500, 10), true},
		"application, a later frame":        {arrival("gone", "x", 1, 1, 11), false},
		"application, at intake":            {arrival("gone", "x", 1, 1, 0), false},
		"an earlier timeline, in it":        {arrival("before", "x", 500, 500, 6), true},
		"an earlier timeline, behind it":    {arrival("before", "x", 1, 1, 7), false},
		"an unknown timeline, by its time":  {arrival("foreign", "x", 500, 100, 20), true},
		"an unknown timeline, a later time": {arrival("foreign", "x", 1, 101, 2), false},
		"erased at intake":                  {event.Record{Erased: &event.ErasedArrival{App: "blog"}}, true},
	} {
		if got := set.Covers(test.record); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	for name, test := range map[string]struct {
		record event.Record
		want   bool
	}{
		"application, received before":        {arrival("gone", "x", 500, 100, 11), true},
		"application, received later":         {arrival("gone", "x", 1, 101, 11), false},
		"application, by its frame":           {arrival("gone", "x", 500, 500, 10), true},
		"application of an earlier timeline":  {arrival("before", "x", 500, 100, 7), true},
		"another application":                 {arrival("blog", "x", 1, 1, 11), false},
		"session, received before":            {arrival("shop", "s", 300, 100, 20), true},
		"session, sent and received later":    {arrival("shop", "s", 101, 101, 20), false},
		"a session of it, erased and not now": {arrival("shop", "t", 1, 1, 11), false},
	} {
		if got := set.CoversFound(test.record); got != test.want {
			t.Errorf("found, %s: %v", name, got)
		}
	}
	if got := set.MaxFrame(); got != 10 {
		t.Errorf("the greatest frame is %d", got)
	}
	if new(erasure.Set).Covers(arrival("shop", "s", 1, 1, 1)) {
		t.Error("an empty set covers something")
	}
}

// A trim is repeated by whoever has the frames that were trimmed: on the timeline on which it was
// done, and on later ones up to where that ended.
func TestTrimmed(t *testing.T) {
	l := log(t, filepath.Join(t.TempDir(), "tombstones"), erasure.Digest{})
	begin(t, l, two...)
	if err := errors.Join(l.Finish(two[:1], 9, "T"), l.Finish(two[1:], 20, "U")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		lineage erasure.Lineage
		want    uint64
	}{
		{erasure.Lineage{Timeline: "T"}, 9},
		{erasure.Lineage{Timeline: "U", Ended: map[string]uint64{"T": 12}}, 20},
		{erasure.Lineage{Timeline: "V", Ended: map[string]uint64{"T": 12, "U": 17}}, 17},
		{erasure.Lineage{Timeline: "V", Ended: map[string]uint64{"T": 5}}, 5},
		{erasure.Lineage{Timeline: "V"}, 0},
	} {
		if got := erasure.NewSet(l.Document(), c.lineage).Trimmed(); got != c.want {
			t.Errorf("%+v: %d, want %d", c.lineage, got, c.want)
		}
	}
}

// A set that grew with its log, a few tombstones at a time, covers what one does that is made of
// the whole log.
func TestSetGrows(t *testing.T) {
	l := log(t, filepath.Join(t.TempDir(), "tombstones"), erasure.Digest{})
	lineage := erasure.Lineage{Timeline: "T"}
	set := &erasure.Set{}
	for n := range 700 {
		name := strconv.Itoa(n)
		session, err := l.SessionKey("session" + name)
		if err != nil {
			t.Fatal(err)
		}
		one := erasure.Tombstone{ID: name, App: "shop", Session: session, At: event.Micros(n + 1), Frame: uint64(n + 1), Timeline: "T"}
		switch n % 3 {
		case 1:
			one = erasure.Tombstone{ID: name, App: "app" + name, At: event.Micros(n + 1), Frame: uint64(n + 1), Timeline: "T"}
		case 2:
			one = erasure.FirstForm(session, event.Micros(n+1), uint64(n+1)) // the hash of an application with that name
		}
		begin(t, l, one)
		if n%7 == 0 {
			if err := l.Finish([]erasure.Tombstone{one}, uint64(n), "T"); err != nil {
				t.Fatal(err)
			}
		}
		set = set.With(l.Document(), lineage)
	}
	whole := erasure.NewSet(l.Document(), lineage)
	for n := range 700 {
		name := strconv.Itoa(n)
		for _, ask := range [][2]string{{"shop", "session" + name}, {"app" + name, ""}, {"session" + name, "x"}, {"blog", "session" + name}} {
			got, want := set.Cover(ask[0], ask[1]), whole.Cover(ask[0], ask[1])
			if got != want || got.Empty() != (ask[0] == "blog" || ask[0] == "shop" && n%3 > 0 || ask[0] == "app"+name && n%3 != 1 || ask[0] == "session"+name && n%3 != 2) {
				t.Fatalf("%v is covered by %+v, want %+v", ask, got, want)
			}
		}
	}
	if set.Len() != whole.Len() || set.MaxFrame() != whole.MaxFrame() {
		t.Errorf("the set has %d tombstones up to frame %d", set.Len(), set.MaxFrame())
	}
}
