package duckdb_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
	"theeye/internal/store/duckdb"
)

// threeSegments makes a store of three segments, of frames 1–2, 3–4 and 5–6, with
// events, rejections and duplicates in each, and returns its frames.
func threeSegments(t *testing.T, dir string) []store.Batch {
	t.Helper()
	var frames []store.Batch
	s := open(t, duckdb.Options{Dir: dir})
	for n := range 6 {
		var records []event.Record
		for i := range 50 {
			records = append(records, pageView(100*n+i))
		}
		records = append(records, pageView(100*n), pageView(0), refusal(1000+n, "bad"), refusal(1000+n, "bad"))
		if n%2 == 1 {
			other := pageView(5000 + n)
			other.Event.App = "other"
			records = append(records, other)
		}
		frames = append(frames, frame(uint64(n+1), records...))
		write(t, s, frames[n])
		if n%2 == 1 {
			if err := s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return frames
}

// until polls until a condition holds, for at most a minute.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}

func uuids(n int) []uuid.UUID { return []uuid.UUID{numbered(n)} }

// books reads the books and fails unless they balance.
func books(t *testing.T, s store.Reader) map[string]store.Account {
	t.Helper()
	b, err := s.Books(t.Context(), nil)
	if err != nil {
		t.Fatal("books:", err)
	}
	accounts := map[string]store.Account{}
	for _, a := range b.Accounts {
		if a.Received != a.Stored+a.Rejected+a.Duplicate+a.Erased+a.Expired+a.Lost {
			t.Errorf("the books do not balance: %+v", a)
		}
		accounts[a.App] = a
	}
	return accounts
}

// everyAnswer asks a reader everything and gives the answers as text.
func everyAnswer(t *testing.T, s store.Reader) []string {
	t.Helper()
	ctx := t.Context()
	var list []string
	add := func(what string, answer any, err error) {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		list = append(list, fmt.Sprintf("%s: %+v", what, answer))
	}
	all := query.Query{Limit: 1000}
	n, err := s.Count(ctx, all)
	add("count", n, err)
	events, err := s.Events(ctx, all)
	for _, e := range events.Items {
		add("event", string(e.Data)+e.ID.String(), err)
	}
	rejections, err := s.Rejections(ctx, all)
	add("rejections", len(rejections.Items), err)
	sessions, err := s.Sessions(ctx, all)
	add("sessions", sessions.Items, err)
	groups, err := s.RejectionSummary(ctx, all, 0)
	add("summary", groups, err)
	points, err := s.Series(ctx, all, store.Series{Interval: store.Minute, Group: store.ByStatus, MaxPoints: 1000})
	add("series", points, err)
	values, err := s.Values(ctx, query.Query{Limit: 1000}, query.Field{Name: query.Data, Path: []string{"path"}})
	add("values", values, err)
	for _, id := range []int{0, 210, 410, 1002} {
		arrivals, err := s.Receipt(ctx, query.Query{IDs: uuids(id)}, 100)
		add("receipt", arrivals, err)
	}
	b, err := s.Books(ctx, nil)
	add("books", b, err)
	return list
}

func gauge(t *testing.T, registry prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func segmentFile(dir string, id int, ending string) string {
	return filepath.Join(dir, "segments", fmt.Sprintf("seg-%08d.%s", id, ending))
}

// flip damages a few bytes of a file.
func flip(t *testing.T, name string, at int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 4)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	for i := range b {
		b[i] ^= 0xa5
	}
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

func size(t *testing.T, name string) int64 {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// Whatever happens to a segment's file, the others are served, the books balance,
// and its bytes are kept.
func TestDamagedSegment(t *testing.T) {
	for name, test := range map[string]struct {
		damage func(t *testing.T, file string)
		reason string
		gone   bool
	}{
		"missing":      {func(_ *testing.T, f string) { _ = os.Remove(f) }, "missing", true},
		"truncated":    {func(_ *testing.T, f string) { _ = os.Truncate(f, 20_000) }, "bytes instead of", false},
		"empty":        {func(_ *testing.T, f string) { _ = os.Truncate(f, 0) }, "bytes instead of", false},
		"longer":       {func(t *testing.T, f string) { _ = os.Truncate(f, size(t, f)+1) }, "bytes instead of", false},
		"first header": {func(t *testing.T, f string) { flip(t, f, 20) }, "checksum", false},
		"zeros":        {func(t *testing.T, f string) { _ = os.WriteFile(f, make([]byte, size(t, f)), 0o600) }, "checksum", false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			threeSegments(t, dir)
			test.damage(t, segmentFile(dir, 2, "duckdb"))
			for range 2 { // found, and as it was found
				registry := prometheus.NewRegistry()
				s := open(t, duckdb.Options{Dir: dir, Registerer: registry})
				d := s.Damaged()
				if len(d) != 1 || !strings.Contains(d[0].Reason, test.reason) || d[0].Segment.Data.Name != "seg-00000002.duckdb" || *d[0].Segment.Carried.Min != 3 {
					t.Fatalf("damaged: %+v", d)
				}
				if got := books(t, s); got["shop"].Lost != 2*54 || got["other"].Lost != 1 || got["shop"].Stored != 200 {
					t.Errorf("books %+v", got)
				}
				everyAnswer(t, s)
				if n := gauge(t, registry, "eye_store_damaged_segments"); n != 1 {
					t.Errorf("%v damaged segments in the metrics", n)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
			for _, ending := range []string{"duckdb", "filter"} {
				_, err := os.Stat(filepath.Join(dir, "quarantine", "seg-00000002."+ending))
				if wantGone := test.gone && ending == "duckdb"; (err != nil) != wantGone {
					t.Errorf("in quarantine: %s: %v", ending, err)
				}
			}
		})
	}
}

// A file whose bytes are damaged anywhere is found out by the read that meets them,
// which answers from the rest.
func TestDamageMetByReading(t *testing.T) {
	whole := t.TempDir()
	threeSegments(t, whole)
	s := open(t, duckdb.Options{Dir: whole})
	want := everyAnswer(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	length := size(t, segmentFile(whole, 2, "duckdb"))
	met := 0
	for at := int64(1000); at < length-4; at += 3 * 4099 {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
			t.Fatal(err)
		}
		flip(t, segmentFile(dir, 2, "duckdb"), at)
		s := open(t, duckdb.Options{Dir: dir})
		first := everyAnswer(t, s)
		switch damaged := s.Damaged(); {
		case len(damaged) == 1:
			met++
			if n := count(t, s); n != 202 {
				t.Errorf("byte %d: %d events", at, n)
			}
			if diff := cmp.Diff(everyAnswer(t, s)[0], "count: 202"); diff != "" {
				t.Errorf("byte %d: %s", at, diff)
			}
			books(t, s)
		default: // nothing that is read
			if diff := cmp.Diff(want, first); diff != "" {
				t.Errorf("byte %d (-whole +damaged):\n%s", at, diff)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("met %d times of %d", met, length/(3*4099))
	if met < 3 {
		t.Errorf("only %d of the places were met", met)
	}
}

// A write that has to compare with a damaged segment goes on without it.
func TestDamageMetByWriting(t *testing.T) {
	dir := t.TempDir()
	frames := threeSegments(t, dir)
	s := closed(t, open(t, duckdb.Options{Dir: dir}))
	file := segmentFile(dir, 2, "duckdb")
	for at := int64(3 * 4096); at < size(t, file)-4; at += 16384 {
		flip(t, file, at+100)
	}
	again := frames[2]
	again.First, again.Last = 7, 7
	outcomes := write(t, s, again)
	if outcomes[0].Fate != event.Stored || len(s.Damaged()) != 1 {
		t.Errorf("%v, damaged %v", outcomes[0], s.Damaged())
	}
	books(t, s)
}

// queueStub is a queue whose frames a function reads.
type queueStub func(ctx context.Context, first, last uint64) iter.Seq2[[]event.Record, error]

func (q queueStub) Frames(ctx context.Context, first, last uint64) iter.Seq2[[]event.Record, error] {
	return q(ctx, first, last)
}

func (queueStub) QuarantineRecord(uint64, uint32, []byte) error { return nil }

func (queueStub) ExtendConfirmed(uint64) error { return nil }

// queueOf returns a queue with the frames of a list, without those that are trimmed.
func queueOf(frames []store.Batch, trimmed uint64) queueStub {
	return func(_ context.Context, first, last uint64) iter.Seq2[[]event.Record, error] {
		return func(yield func([]event.Record, error) bool) {
			for n := first; n <= last; n++ {
				if n <= trimmed {
					yield(nil, duckdb.ErrNoFrames)
					return
				}
				if !yield(slices.Clone(frames[n-1].Records), nil) {
					return
				}
			}
		}
	}
}

// While the queue has the frames of a damaged segment, everything comes back.
func TestRebuild(t *testing.T) {
	dir := t.TempDir()
	frames := threeSegments(t, dir)
	s := open(t, duckdb.Options{Dir: dir})
	want := everyAnswer(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for id := 1; id <= 3; id++ {
		if err := os.Truncate(segmentFile(dir, id, "duckdb"), 5000); err != nil {
			t.Fatal(err)
		}
	}
	// All three at once: what the first holds decides about the others.
	r := run(t, duckdb.Options{Dir: dir, Queue: queueOf(frames, 0)}, false)
	until(t, "the segments to be rebuilt", func() bool { return len(r.Damaged()) == 0 })
	if diff := cmp.Diff(want, everyAnswer(t, r)); diff != "" {
		t.Errorf("rebuilt (-want +got):\n%s", diff)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	again := closed(t, open(t, duckdb.Options{Dir: dir}))
	if diff := cmp.Diff(want, everyAnswer(t, again)); diff != "" {
		t.Errorf("rebuilt and opened again (-want +got):\n%s", diff)
	}
}

// A record that the store refused, and that is a rejection since, is one again.
func TestRebuildWithARefusedRecord(t *testing.T) {
	dir := t.TempDir()
	refused := pageView(2)
	refused.Event.SessionID = "s\xff" // no text that DuckDB takes
	s := open(t, duckdb.Options{Dir: dir})
	before := frame(1, pageView(1), event.Record{Rejection: event.Unstorable(refused, "its text is not valid")}, pageView(3))
	write(t, s, before)
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := books(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(segmentFile(dir, 1, "duckdb"), 5000); err != nil {
		t.Fatal(err)
	}
	frames := []store.Batch{frame(1, pageView(1), refused, pageView(3))} // as the queue has it
	r := run(t, duckdb.Options{Dir: dir, Queue: queueOf(frames, 0)}, false)
	defer r.Close()
	until(t, "the segment to be rebuilt", func() bool { return len(r.Damaged()) == 0 })
	if diff := cmp.Diff(want, books(t, r)); diff != "" {
		t.Errorf("the books (-before +after):\n%s", diff)
	}
	page, err := r.Rejections(t.Context(), query.Query{Limit: 10})
	if err != nil || len(page.Items) != 1 || page.Items[0].Problems[0].Code != event.NotStorable {
		t.Errorf("the rejections are %+v: %v", page.Items, err)
	}
}

// What was stored while a segment was missing stays as it is.
func TestRebuildBehindOthers(t *testing.T) {
	dir := t.TempDir()
	frames := threeSegments(t, dir)
	if err := os.Remove(segmentFile(dir, 2, "duckdb")); err != nil {
		t.Fatal(err)
	}
	s := open(t, duckdb.Options{Dir: dir})
	changed := pageView(201) // of the second segment, with another body
	changed.Event.Name = "changed"
	later := frame(7, pageView(200), changed)
	for i, o := range write(t, s, later) {
		if o.Fate != event.Stored {
			t.Errorf("%d has the fate %v", i, o.Fate)
		}
	}
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r := run(t, duckdb.Options{Dir: dir, Queue: queueOf(append(frames, later), 0)}, false)
	defer r.Close()
	until(t, "the segment to be rebuilt", func() bool { return len(r.Damaged()) == 0 })
	b := books(t, r)
	if b["shop"].Stored != 300 || b["shop"].Lost != 0 || b["shop"].Received != 6*54+2 {
		t.Errorf("books %+v", b["shop"])
	}
	for _, id := range []int{200, 201} {
		p, err := r.Events(t.Context(), query.Query{IDs: uuids(id)})
		if err != nil || len(p.Items) != 1 || p.Items[0].CarriedBy != 7 {
			t.Errorf("event %d: %v, %v", id, p.Items, err)
		}
	}
}

// What the queue does not have any more, or not as it was, stays lost, and is
// tried once.
func TestNotRebuilt(t *testing.T) {
	for name, change := range map[string]func(frames []store.Batch) (trimmed uint64){
		"trimmed":       func([]store.Batch) uint64 { return 3 },
		"a record less": func(frames []store.Batch) uint64 { frames[3].Records = frames[3].Records[1:]; return 0 },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			frames := threeSegments(t, dir)
			if err := os.Remove(segmentFile(dir, 2, "duckdb")); err != nil {
				t.Fatal(err)
			}
			asked := make(chan struct{}, 10)
			from := queueOf(frames, change(frames))
			r := run(t, duckdb.Options{Dir: dir, Queue: queueStub(func(ctx context.Context, first, last uint64) iter.Seq2[[]event.Record, error] {
				asked <- struct{}{}
				return from(ctx, first, last)
			})}, false)
			defer r.Close()
			<-asked
			write(t, r.Store, frame(7, pageView(1)))
			if err := r.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			if b := books(t, r); b["shop"].Lost != 108 || len(asked) != 0 {
				t.Errorf("books %+v, asked %d times more", b, len(asked))
			}
		})
	}
}

// A filter file that is missing or damaged costs time and nothing else, and is
// built again.
func TestDamagedFilter(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, file string){
		"missing":   func(_ *testing.T, f string) { _ = os.Remove(f) },
		"empty":     func(_ *testing.T, f string) { _ = os.Truncate(f, 0) },
		"truncated": func(t *testing.T, f string) { _ = os.Truncate(f, size(t, f)-2) },
		"head":      func(t *testing.T, f string) { flip(t, f, 14) },
		"prints":    func(t *testing.T, f string) { flip(t, f, size(t, f)-40) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			threeSegments(t, dir)
			s := open(t, duckdb.Options{Dir: dir})
			want := everyAnswer(t, s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			file := segmentFile(dir, 2, "filter")
			damage(t, file)
			without := open(t, duckdb.Options{Dir: dir})
			if diff := cmp.Diff(want, everyAnswer(t, without)); diff != "" {
				t.Errorf("without filter (-want +got):\n%s", diff)
			}
			if err := without.Close(); err != nil {
				t.Fatal(err)
			}
			r := run(t, duckdb.Options{Dir: dir}, false)
			until(t, "the filter to be whole", func() bool {
				m, err := duckdb.ReadManifest(dir)
				if err != nil {
					t.Fatal(err)
				}
				b, err := os.ReadFile(file)
				sum := sha256.Sum256(b)
				return err == nil && hex.EncodeToString(sum[:]) == m.Segments[1].Filter.SHA256
			})
			if diff := cmp.Diff(want, everyAnswer(t, r)); diff != "" {
				t.Errorf("with a new filter (-want +got):\n%s", diff)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A manifest that cannot be used is told with what to do, and nothing is changed.
func TestDamagedManifest(t *testing.T) {
	replace := func(from, to string) func([]byte) []byte {
		return func(b []byte) []byte { return bytes.Replace(b, []byte(from), []byte(to), 1) }
	}
	const advice, newer = "eye store recover", "newer version of The Eye"
	for name, test := range map[string]struct {
		change func([]byte) []byte
		want   []string
	}{
		"truncated":                   {func(b []byte) []byte { return b[:len(b)-3] }, []string{"ends too early", advice}},
		"not JSON":                    {replace("{", "<"), []string{"invalid character", advice}},
		"a digit of the version":      {replace(`"version":3`, `"version":7`), []string{"checksum", advice}},
		"version 2 by a flipped bit":  {replace(`"version":3`, `"version":2`), []string{"damaged", advice}},
		"a digit of a count":          {replace(`"level": 0`, `"level": 1`), []string{"checksum", advice}},
		"a newer version":             {func(b []byte) []byte { return duckdb.Reseal(b, 4, "", "") }, []string{"version 4", newer}},
		"a newer format of a segment": {func(b []byte) []byte { return duckdb.Reseal(b, 3, `"format": `, `"format": 9`) }, []string{"has format 9", newer}},
		"an unknown field":            {func(b []byte) []byte { return duckdb.Reseal(b, 3, `"next_id"`, `"compressed": true, "next_id"`) }, []string{"compressed"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			threeSegments(t, dir)
			path := filepath.Join(dir, "MANIFEST.json")
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			bad := test.change(bytes.Clone(b))
			if bytes.Equal(bad, b) {
				t.Fatal("the manifest was not changed")
			}
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			before := listing(t, dir)
			_, err = duckdb.Open(t.Context(), duckdb.Options{Dir: dir})
			var known *duckdb.ManifestError
			if !errors.As(err, &known) || !strings.Contains(err.Error(), path) {
				t.Fatalf("got %v", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
			if diff := cmp.Diff(before, listing(t, dir)); diff != "" {
				t.Errorf("the refused start changed files (-before +after):\n%s", diff)
			}
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			s := closed(t, open(t, duckdb.Options{Dir: dir}))
			if n := count(t, s); n != 303 {
				t.Errorf("%d events after the manifest was put back", n)
			}
		})
	}
}

// listing returns the files below a folder with their sizes.
func listing(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	files := map[string]int64{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		files[path] = info.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Segments without a manifest are refused and stay where they are.
func TestMissingManifest(t *testing.T) {
	dir := t.TempDir()
	threeSegments(t, dir)
	path := filepath.Join(dir, "MANIFEST.json")
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	before := listing(t, dir)
	for range 2 {
		_, err := duckdb.Open(t.Context(), duckdb.Options{Dir: dir})
		var missing *duckdb.MissingManifestError
		if !errors.As(err, &missing) || !strings.Contains(err.Error(), "eye store recover") {
			t.Fatalf("opened without a manifest: %v", err)
		}
	}
	if diff := cmp.Diff(before, listing(t, dir)); diff != "" {
		t.Errorf("the refused start changed files (-before +after):\n%s", diff)
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	if s := closed(t, open(t, duckdb.Options{Dir: dir})); count(t, s) != 303 {
		t.Errorf("%d events after the manifest was put back", count(t, s))
	}
}

// An older manifest, when no copy tells that it is one, does not know the newest segment: the file
// goes into quarantine, and only what the store itself noted as unfinished or obsolete is deleted.
func TestOlderManifestDeletesNothing(t *testing.T) {
	dir := t.TempDir()
	frames := threeSegments(t, dir)
	path := filepath.Join(dir, "MANIFEST.json")
	older, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, duckdb.Options{Dir: dir})
	write(t, s, frame(uint64(len(frames)+1), pageView(900)))
	if err := errors.Join(s.Flush(t.Context()), s.Close(), os.Remove(filepath.Join(dir, "MANIFEST.json.1"))); err != nil {
		t.Fatal(err)
	}
	segments := filepath.Join(dir, "segments")
	for name, content := range map[string]string{
		filepath.Join(dir, "MANIFEST.json"):             string(older),
		filepath.Join(dir, "INTENT"):                    `["seg-00000090.duckdb","../notes","notes"]`,
		filepath.Join(segments, "seg-00000090.duckdb"):  "being made",
		filepath.Join(segments, "seg-00000091.filter"):  "unknown",
		filepath.Join(segments, "seg-9.duckdb.tmp.wal"): "unfinished",
		filepath.Join(segments, "notes"):                "somebody's",
		filepath.Join(dir, "notes"):                     "somebody's",
		filepath.Join(dir, "temp", "notes"):             "somebody's",
		filepath.Join(dir, "export", "notes"):           "somebody's",
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, duckdb.Options{Dir: dir})
	if n := count(t, s); n != 303 {
		t.Errorf("%d events by the older manifest", n)
	}
	write(t, s, frame(uint64(len(frames)+1), pageView(901)))
	if err := errors.Join(s.Flush(t.Context()), s.Close()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"quarantine/seg-00000004.duckdb": true, "quarantine/seg-00000004.filter": true, "quarantine/seg-00000091.filter": true,
		"segments/notes": true, "temp/notes": true, "export/notes": true, "notes": true,
		"segments/seg-00000090.duckdb": false, "segments/seg-9.duckdb.tmp.wal": false, "quarantine/seg-00000090.duckdb": false, "INTENT": false,
		"segments/seg-00000092.duckdb": true, // no id is used twice
	} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%s: there %v, want %v", name, err == nil, want)
		}
	}
}

// The intent is on disk before a segment's file has its name, and gone when a manifest has it.
func TestIntentComesFirst(t *testing.T) {
	dir := t.TempDir()
	var noted []string
	s := open(t, duckdb.Options{Dir: dir, Step: func(name string) error {
		if b, err := os.ReadFile(filepath.Join(dir, "INTENT")); err == nil && name == "before manifest" {
			noted = append(noted, string(b))
		}
		return nil
	}})
	write(t, s, frame(1, pageView(1)))
	if err := errors.Join(s.Flush(t.Context()), s.Close()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{`["seg-00000001.duckdb","seg-00000001.filter"]`}, noted); diff != "" {
		t.Error(diff)
	}
	if _, err := os.Stat(filepath.Join(dir, "INTENT")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the intent is still there: %v", err)
	}
}

// A merge that has to read a damaged segment puts it aside and goes on without it.
func TestDamageMetByMerging(t *testing.T) {
	dir := t.TempDir()
	frames := threeSegments(t, dir)
	s := open(t, duckdb.Options{Dir: dir})
	for n := range 2 { // of five segments four are left
		write(t, s, frame(uint64(len(frames)+n+1), pageView(600+n), refusal(2000+n, "bad")))
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file := segmentFile(dir, 2, "duckdb")
	for at := int64(3 * 4096); at < size(t, file)-4; at += 4096 {
		flip(t, file, at+100)
	}
	r := run(t, duckdb.Options{Dir: dir, FlushRows: 1_000_000}, false)
	until(t, "the others to be merged", func() bool {
		m, err := duckdb.ReadManifest(dir)
		return err == nil && len(m.Damaged) == 1 && len(m.Segments) > 0 && m.Segments[0].Level == 1
	})
	if n := count(t, r.Store); n != 204 {
		t.Errorf("%d events", n)
	}
	books(t, r)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// A crash before the files of a damaged segment were moved does not remove them.
func TestPuttingAsideIsFinished(t *testing.T) {
	dir := t.TempDir()
	threeSegments(t, dir)
	file, aside := segmentFile(dir, 2, "duckdb"), filepath.Join(dir, "quarantine", "seg-00000002.duckdb")
	if err := os.Truncate(file, 10_000); err != nil {
		t.Fatal(err)
	}
	if err := open(t, duckdb.Options{Dir: dir}).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(aside, file); err != nil {
		t.Fatal(err)
	}
	s := closed(t, open(t, duckdb.Options{Dir: dir}))
	if n := size(t, aside); n != 10_000 || len(s.Damaged()) != 1 {
		t.Errorf("%d bytes in quarantine, damaged %v", n, s.Damaged())
	}
}

// An export that meets a damaged segment puts it aside and gives the rest.
func TestDamageMetByExporting(t *testing.T) {
	for _, form := range []string{"lines", "Parquet"} {
		t.Run(form, func(t *testing.T) {
			dir := t.TempDir()
			threeSegments(t, dir)
			s := closed(t, open(t, duckdb.Options{Dir: dir}))
			file := segmentFile(dir, 2, "duckdb")
			for at := int64(3 * 4096); at < size(t, file)-4; at += 4096 {
				flip(t, file, at+100)
			}
			n := 0
			var err error
			if form == "lines" {
				err = s.Export(t.Context(), query.Query{}, func(*event.Event) error { n++; return nil })
			} else {
				var f *os.File
				if f, err = s.Parquet(t.Context(), query.Query{}); err == nil {
					n = 202
					_ = f.Close()
				}
			}
			if err != nil || n != 202 || len(s.Damaged()) != 1 {
				t.Errorf("%d events, %d segments damaged: %v", n, len(s.Damaged()), err)
			}
		})
	}
}

// A file that is damaged while nobody reads it is found by Readmit.
func TestReadmitFindsDamage(t *testing.T) {
	dir := t.TempDir()
	threeSegments(t, dir)
	s := closed(t, open(t, duckdb.Options{Dir: dir}))
	file := segmentFile(dir, 2, "duckdb")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	flip(t, file, size(t, file)/2)
	back, left, err := s.Readmit(t.Context())
	if err != nil || len(back) != 0 || len(left) != 1 || !strings.Contains(left[0].Reason, "checksum does not match") {
		t.Fatalf("back %v, left %v: %v", back, left, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "quarantine", "a copy"), whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if back, left, err = s.Readmit(t.Context()); err != nil || len(back) != 1 || len(left) != 0 {
		t.Errorf("back %v, left %v: %v", back, left, err)
	}
	books(t, s)
}

// What Open made of folders is gone when the store was refused, or never begun: the folder that
// belongs there can be put back.
func TestRefusedStoreLeavesNoFolders(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s := open(t, duckdb.Options{Dir: dir})
	if _, err := os.Stat(filepath.Join(dir, "quarantine")); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a store that was not begun left its folder: %v", err)
	}
	threeSegments(t, dir)
	if err := os.RemoveAll(filepath.Join(dir, "segments")); err != nil {
		t.Fatal(err)
	}
	if _, err := duckdb.Open(t.Context(), duckdb.Options{Dir: dir}); err == nil {
		t.Fatal("it opened")
	}
	if _, err := os.Stat(filepath.Join(dir, "segments")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refused store has made the folder: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "export")); err != nil {
		t.Errorf("what was there before is gone: %v", err)
	}
}
