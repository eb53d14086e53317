package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"theeye/internal/backup"
	"theeye/internal/envelope"
	"theeye/internal/erasure"
	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/queue"
	"theeye/internal/store"
	"theeye/internal/store/duckdb"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The server's own loops, which end some time after its shutdown.
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).flushStreamStateLoop"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server/stree.init"))
}

// rig is a store and a queue, as a server has them.
type rig struct {
	t      *testing.T
	dir    string
	store  *duckdb.Store
	queue  *queue.Queue
	source *backup.Source
	frame  uint64
	// flushing is what the source does first.
	flushing func(ctx context.Context, doing func(string)) error
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), flushing: func(context.Context, func(string)) error { return nil }}
	r.open()
	r.source = backup.NewSource(backup.Options{
		Store: r.store, Queue: r.queue, Tombstones: filepath.Join(r.dir, "tombstones"),
		Metadata: func() ([]byte, error) { return fmt.Appendf(nil, `{"frame":%d}`, r.frame), nil },
		Flush:    func(ctx context.Context, doing func(string)) error { return r.flushing(ctx, doing) },
		Wait:     50 * time.Millisecond,
	})
	ctx, cancel := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() { _ = r.source.Run(ctx) })
	t.Cleanup(func() { cancel(); ended.Wait() }) // before the store is closed
	return r
}

func (r *rig) open() {
	r.t.Helper()
	r.store = openStore(r.t, filepath.Join(r.dir, "store"))
	flushed, _ := r.store.Flushed(r.t.Context())
	var err error
	r.queue, err = queue.Open(r.t.Context(), queue.Options{Dir: filepath.Join(r.dir, "queue"), FirstSequence: flushed + 1})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(r.queue.Close)
}

func openStore(t *testing.T, dir string) *duckdb.Store {
	t.Helper()
	s, err := duckdb.Open(t.Context(), duckdb.Options{Dir: dir, Tombstones: filepath.Join(filepath.Dir(dir), "tombstones"), MemoryLimit: 256 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.CommitManifest(false); err != nil { // as a node does when it starts
		t.Fatal(err)
	}
	return s
}

// add publishes frames of one event, and writes them.
func (r *rig) add(n int) {
	r.t.Helper()
	for range n {
		r.frame++
		e := &event.Event{
			App: "shop", SessionID: "s", Category: "c", Name: "n", Data: []byte("{}"), Timestamp: "t",
			OccurredAt: 1, ReceivedAt: 1, Position: event.Position{Frame: r.frame}, CarriedBy: r.frame,
		}
		e.ID[0] = byte(r.frame)
		f := queue.Frame{Counts: []queue.Count{{App: "shop", Received: 1}}, Body: fmt.Appendf(nil, "body of %d", r.frame)}
		if seq, err := r.queue.Publish(r.t.Context(), f); err != nil || seq != r.frame {
			r.t.Fatalf("frame %d has sequence %d, %v", r.frame, seq, err)
		}
		b := store.Batch{
			First: r.frame, Last: r.frame, Records: []event.Record{{Event: e}},
			Arrivals: map[string]store.Arrivals{"shop": {Received: 1}},
		}
		if _, err := r.store.Write(r.t.Context(), b); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *rig) flush() {
	r.t.Helper()
	if err := r.store.Flush(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) take() backup.Index {
	r.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		x, err := r.source.Take(r.t.Context())
		if _, ok := errors.AsType[*backup.PreparingError](err); ok && time.Now().Before(deadline) {
			continue
		}
		if err != nil {
			r.t.Fatal(err)
		}
		return x
	}
}

// wait polls until a condition holds.
func (r *rig) wait(holds func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatal("waited in vain")
		}
	}
}

// save copies at most n of the files that are missing, and returns their names.
func (r *rig) save(d *backup.Folder, x backup.Index, n int) (names []string) {
	r.t.Helper()
	missing, err := d.Missing(x)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range missing[:min(n, len(missing))] {
		names = append(names, f.Name)
		var b bytes.Buffer
		c, err := r.source.Open(r.t.Context(), x.Lease, f.Name)
		if err == nil {
			err = errors.Join(c.CopyTo(r.t.Context(), &b), c.Close())
		}
		if err == nil {
			err = d.Save(f, &b)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	return names
}

// backup makes a whole backup and returns the names of what was copied.
func (r *rig) backup(dir string) (backup.Index, []string) {
	r.t.Helper()
	d := folder(r.t, dir)
	defer d.Close()
	x := r.take()
	names := r.save(d, x, math.MaxInt)
	if err := d.Finish(x); err != nil {
		r.t.Fatal(err)
	}
	return x, names
}

func folder(t *testing.T, dir string) *backup.Folder {
	t.Helper()
	d, err := backup.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func faults(t *testing.T, dir string) []backup.Fault {
	t.Helper()
	_, found, err := backup.Verify(dir, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func restore(t *testing.T, from string, change ...func(*backup.RestoreOptions)) (string, error) {
	t.Helper()
	opts := backup.RestoreOptions{From: from, To: filepath.Join(t.TempDir(), "new"), Progress: io.Discard}
	for _, c := range change {
		c(&opts)
	}
	_, err := backup.Restore(t.Context(), opts)
	return opts.To, err
}

func frames(t *testing.T, q *queue.Queue) (all []queue.Raw) {
	t.Helper()
	err := q.RawRange(t.Context(), 1, 1000, func(r queue.Raw) error { all = append(all, r); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// What is restored is the moment of the backup: its segments, the frames behind
// them with their sequences, and the metadata of then.
func TestRestoredIsWhatWasTaken(t *testing.T) {
	r := newRig(t)
	r.add(3)
	r.flush()
	r.add(2)
	r.flush()
	r.add(4)
	addTombstone(t, filepath.Join(r.dir, "tombstones"), "first")
	dir := filepath.Join(t.TempDir(), "backup")
	d := folder(t, dir)
	x := r.take()
	want := frames(t, r.queue)[5:]
	r.add(3) // behind the backup
	r.flush()
	if err := r.queue.Trim(t.Context(), min(12, r.store.TrimLimit())); err != nil {
		t.Fatal(err)
	}
	r.save(d, x, math.MaxInt)
	if err := errors.Join(d.Finish(x), d.Close()); err != nil {
		t.Fatal(err)
	}
	if got := faults(t, dir); got != nil {
		t.Errorf("faults: %v", got)
	}

	given := filepath.Join(t.TempDir(), "given")
	addTombstone(t, given, "second")
	_, err := restore(t, dir, func(o *backup.RestoreOptions) { o.Tombstones = given })
	if !errors.Is(err, erasure.ErrOtherKey) || !strings.Contains(err.Error(), given) {
		t.Errorf("tombstones of another store: %v", err)
	}
	write(t, given, read(t, filepath.Join(r.dir, "tombstones")))
	addTombstone(t, given, "second")
	to, err := restore(t, dir, func(o *backup.RestoreOptions) { o.Tombstones = given })
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, filepath.Join(to, "metadata.json")); got != `{"frame":9}` {
		t.Errorf("metadata %s", got)
	}
	kept, err := erasure.Read(filepath.Join(to, "tombstones"), erasure.Digest{})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, one := range kept.Tombstones {
		ids = append(ids, one.ID)
	}
	if diff := cmp.Diff([]string{"first", "second"}, ids); diff != "" {
		t.Errorf("tombstones (-want +got):\n%s", diff)
	}
	c := &rig{t: t, dir: to, frame: 9}
	c.open()
	if diff := cmp.Diff(want, frames(t, c.queue)); diff != "" {
		t.Errorf("frames (-want +got):\n%s", diff)
	}
	n, err := c.store.Count(t.Context(), query.Query{})
	if flushed, _ := c.store.Flushed(t.Context()); flushed != 5 || n != 5 || err != nil {
		t.Errorf("the store has flushed up to %d and holds %d events, %v", flushed, n, err)
	}
	if state, err := c.queue.State(t.Context()); err != nil || state.Last != 9 {
		t.Errorf("the queue goes on behind %d, %v", state.Last, err)
	}
}

// addTombstone adds a tombstone to a file.
func addTombstone(t *testing.T, file, id string) {
	t.Helper()
	log, err := erasure.OpenLog(file, erasure.Digest{})
	if err == nil {
		err = log.Begin(erasure.Tombstone{ID: id, App: "shop", At: 1, Frame: 1, Timeline: "t"})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A backup without frames restores to a queue that goes on behind the store.
func TestRestoreWithoutFrames(t *testing.T) {
	r := newRig(t)
	r.add(3)
	r.flush()
	dir := filepath.Join(t.TempDir(), "backup")
	r.backup(dir)
	to, err := restore(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	c := &rig{t: t, dir: to, frame: 3}
	c.open()
	c.add(1)
}

func TestSecondBackupCopiesWhatIsNew(t *testing.T) {
	r := newRig(t)
	r.add(2)
	r.flush()
	r.add(1)
	dir := filepath.Join(t.TempDir(), "backup")
	_, first := r.backup(dir)
	r.flush()
	_, second := r.backup(dir)
	want := [][]string{
		{"frames-00000000000000000003", "seg-00000001.duckdb", "seg-00000001.filter", "metadata.json", "tombstones", "MANIFEST.json"},
		{"seg-00000002.duckdb", "seg-00000002.filter", "MANIFEST.json"},
	}
	if diff := cmp.Diff(want, [][]string{first, second}); diff != "" {
		t.Error(diff)
	}
	if got := faults(t, dir); got != nil {
		t.Errorf("faults: %v", got)
	}
	entries, err := os.ReadDir(filepath.Join(dir, "files"))
	if err != nil || len(entries) != 7 {
		t.Errorf("%d files are kept, want 7: %v", len(entries), err)
	}
}

// An interrupted backup is told from a whole one, goes on with what is there, and
// leaves the one before as it was.
func TestInterruptedBackupGoesOn(t *testing.T) {
	r := newRig(t)
	r.add(2)
	r.flush()
	dir := filepath.Join(t.TempDir(), "backup")
	d := folder(t, dir)
	r.save(d, r.take(), 1)
	write(t, filepath.Join(dir, "files", "half.tmp"), "half")
	_ = d.Close()
	if _, _, err := backup.Verify(dir, io.Discard); !errors.Is(err, backup.ErrNoBackup) {
		t.Errorf("an interrupted backup is taken for %v", err)
	}
	if _, err := restore(t, dir); !errors.Is(err, backup.ErrNoBackup) {
		t.Errorf("an interrupted backup is restored: %v", err)
	}
	if _, names := r.backup(dir); names[0] != "seg-00000001.filter" {
		t.Errorf("copied again: %v", names)
	}
	if _, err := os.Stat(filepath.Join(dir, "files", "half.tmp")); err == nil {
		t.Error("what the interrupted backup left is still there")
	}

	r.add(1)
	r.flush()
	d = folder(t, dir)
	x := r.take()
	r.save(d, x, math.MaxInt)
	_ = d.Close() // before Finish
	if got := faults(t, dir); got != nil {
		t.Errorf("the backup before has faults: %v", got)
	}
	if to, err := restore(t, dir); err != nil {
		t.Error(err)
	} else if n, _ := openStore(t, filepath.Join(to, "store")).Count(t.Context(), query.Query{}); n != 2 {
		t.Errorf("%d events are restored, want 2", n)
	}
}

// Each file that is changed, cut or missing is found, and never restored.
func TestVerifyFindsEachDamage(t *testing.T) {
	r := newRig(t)
	r.add(2)
	r.flush()
	r.add(2)
	dir := filepath.Join(t.TempDir(), "backup")
	r.backup(dir)
	names, err := filepath.Glob(filepath.Join(dir, "files", "*"))
	if err != nil || len(names) != 6 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		content := read(t, name)
		for what, damaged := range map[string]string{
			"flipped": content[:len(content)/2] + string(content[len(content)/2]^1) + content[len(content)/2+1:],
			"cut":     content[:len(content)-1],
			"longer":  content + "x",
			"empty":   "",
			"missing": "missing",
		} {
			if what == "missing" {
				_ = os.Remove(name)
			} else {
				write(t, name, damaged)
			}
			if got := faults(t, dir); len(got) != 1 || filepath.Base(got[0].File) != filepath.Base(name) {
				t.Errorf("%s %s: %v", filepath.Base(name), what, got)
			}
			to, err := restore(t, dir)
			if err == nil || backup.Unfinished(to) == nil {
				t.Errorf("%s %s: restored, %v", filepath.Base(name), what, err)
			}
		}
		write(t, name, content)
	}
	if got := faults(t, dir); got != nil {
		t.Errorf("faults: %v", got)
	}
}

func TestLeaseThatEndsBeginsAnew(t *testing.T) {
	r := newRig(t)
	r.add(1)
	r.flush()
	x := r.take()
	r.store.EndLeases()
	if _, err := r.source.Open(r.t.Context(), x.Lease, x.Files[0].Name); !errors.Is(err, store.ErrLeaseEnded) {
		t.Errorf("got %v", err)
	}
	y := r.take()
	if _, err := r.source.Open(r.t.Context(), y.Lease, "../admin.key"); !errors.Is(err, store.ErrNotLeased) {
		t.Errorf("got %v", err)
	}
	for _, f := range y.Files {
		c, err := r.source.Open(r.t.Context(), y.Lease, f.Name)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
}

// Frames that are not what was listed are told, and files that are gone.
func TestWhatIsGoneIsTold(t *testing.T) {
	r := newRig(t)
	r.add(1)
	r.flush()
	r.add(2)
	x := r.take()
	c, err := r.source.Open(r.t.Context(), x.Lease, "frames-00000000000000000002")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.queue.Trim(t.Context(), 2); err != nil { // against the lease
		t.Fatal(err)
	}
	if err := c.CopyTo(t.Context(), io.Discard); !errors.Is(err, backup.ErrContent) {
		t.Errorf("got %v", err)
	}
	if err := os.Remove(filepath.Join(r.dir, "store", "segments", x.Files[1].Name)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.source.Open(r.t.Context(), x.Lease, x.Files[1].Name); !errors.Is(err, store.ErrLeaseEnded) {
		t.Errorf("got %v", err)
	}
}

func TestFoldersThatAreRefused(t *testing.T) {
	r := newRig(t)
	r.add(1)
	if d, err := backup.OpenFolder(r.dir); err == nil {
		t.Errorf("a data directory is taken for a backup")
		_ = d.Close()
	}
	dir := filepath.Join(t.TempDir(), "backup")
	r.backup(dir)
	d := folder(t, dir)
	defer d.Close()
	if _, err := backup.OpenFolder(dir); err == nil || !strings.Contains(err.Error(), "is running") {
		t.Errorf("two backups at once: %v", err)
	}
	if err := d.Save(backup.File{Name: "../x", SHA256: strings.Repeat("0", 64)}, strings.NewReader("")); err == nil {
		t.Error("a name led out of the folder")
	}

	full := t.TempDir()
	write(t, filepath.Join(full, "x"), "")
	if _, err := restore(t, dir, func(o *backup.RestoreOptions) { o.To = full }); !errors.Is(err, backup.ErrNotEmpty) {
		t.Errorf("restored into a folder that is not empty: %v", err)
	}
	for _, given := range []string{filepath.Join(full, "missing"), filepath.Join(dir, "files")} {
		to, err := restore(t, dir, func(o *backup.RestoreOptions) { o.Tombstones = given })
		if _, statErr := os.Stat(to); err == nil || statErr == nil {
			t.Errorf("tombstones in %s: %v", given, err)
		}
	}
	key := `{"version":2,"key":"` + strings.Repeat("0", 64) + `"`
	for name, text := range map[string]string{"empty": "", "a line without its end": "{", "a key alone": sealed(key)} {
		write(t, filepath.Join(full, "x"), text)
		to, err := restore(t, dir, func(o *backup.RestoreOptions) { o.Tombstones = filepath.Join(full, "x") })
		if _, statErr := os.Stat(to); err == nil || !strings.Contains(err.Error(), "it holds no erasure") || statErr == nil {
			t.Errorf("tombstones that are %s: %v", name, err)
		}
	}
	for text, want := range map[string]string{
		"# The Eye\n":       filepath.Join(full, "x") + " is not a file of tombstones (line 1)",
		"{}\n{}\n":          filepath.Join(full, "x") + " is not a file of tombstones (line 1)",
		sealed(key) + "x\n": "cannot be used: line 2: ",
	} {
		write(t, filepath.Join(full, "x"), text)
		if _, err := restore(t, dir, func(o *backup.RestoreOptions) { o.Tombstones = filepath.Join(full, "x") }); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("tombstones %q: %v", text, err)
		}
	}
	bad := errors.New("bad")
	to, err := restore(t, dir, func(o *backup.RestoreOptions) { o.Finish = func(string) error { return bad } })
	if !errors.Is(err, bad) || !errors.Is(backup.Unfinished(to), backup.ErrUnfinished) {
		t.Errorf("unfinished: %v, %v", err, backup.Unfinished(to))
	}
	if _, err := restore(t, dir, func(o *backup.RestoreOptions) { o.To = to }); !errors.Is(err, backup.ErrUnfinished) {
		t.Errorf("restored onto half a restore: %v", err)
	}
}

// sealed ends a line of a file of tombstones with its checksum.
func sealed(text string) string {
	return fmt.Sprintf("%s,\"crc\":\"%08x\"}\n", text, crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli)))
}

// The tombstones that are given have all those of the backup; how many more is told. A last line
// that is cut off is left out, and told.
func TestTombstonesThatAreGiven(t *testing.T) {
	r := newRig(t)
	r.add(1)
	own, copied := filepath.Join(r.dir, "tombstones"), filepath.Join(t.TempDir(), "copied")
	addTombstone(t, own, "first")
	first := read(t, own)
	addTombstone(t, own, "second")
	dir := filepath.Join(t.TempDir(), "backup")
	r.backup(dir)
	second := read(t, own)
	addTombstone(t, own, "third")
	third := read(t, own)
	give := func(text string) (done backup.Restored, to string, err error) {
		write(t, copied, text)
		to = filepath.Join(t.TempDir(), "new")
		done, err = backup.Restore(t.Context(), backup.RestoreOptions{From: dir, To: to, Tombstones: copied})
		return done, to, err
	}
	for name, text := range map[string]string{"older": first, "cut off": second[:len(second)-1], "cut off early": first[:len(first)-1]} {
		_, to, err := give(text)
		if _, statErr := os.Stat(to); err == nil || statErr == nil || !strings.Contains(err.Error(), copied+" cannot be used: it ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]struct {
		text     string
		all, new int
		torn     bool
	}{"the same": {second, 2, 0, false}, "newer": {third, 3, 1, false}, "newer and torn": {third[:len(third)-1], 2, 0, true}} {
		done, _, err := give(c.text)
		if err != nil || done.Erasures != c.all || done.Later != c.new || done.Torn != c.torn || done.Unrelated {
			t.Errorf("%s: %d erasures, %d later, torn %t, %v", name, done.Erasures, done.Later, done.Torn, err)
		}
	}
}

// Nothing ties a file of tombstones to a backup that has none: that is told, and so are the
// applications that the backup brings back.
func TestTombstonesBesideABackupWithout(t *testing.T) {
	r := newRig(t)
	r.add(1)
	dir, tombstones := filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "tombstones")
	if err := os.Remove(filepath.Join(r.dir, "tombstones")); err != nil { // earlier versions made it at the first erasure
		t.Fatal(err)
	}
	r.backup(dir)
	log, err := erasure.OpenLog(tombstones, erasure.Digest{})
	if err == nil {
		err = log.Begin(erasure.Tombstone{ID: "1", App: "shop", Session: "00"}, erasure.Tombstone{ID: "2", App: "blog"}, erasure.Tombstone{ID: "3", App: "blog"})
	}
	if err != nil {
		t.Fatal(err)
	}
	done, err := backup.Restore(t.Context(), backup.RestoreOptions{From: dir, To: filepath.Join(t.TempDir(), "new"), Tombstones: tombstones})
	if err != nil || !done.Unrelated || !slices.Equal(done.Apps, []string{"blog"}) {
		t.Errorf("restored %+v, %v", done, err)
	}
}

// An interrupt leaves nothing that a server would take for a data directory.
func TestInterruptedRestore(t *testing.T) {
	r := newRig(t)
	r.add(3)
	dir := filepath.Join(t.TempDir(), "backup")
	r.backup(dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	to := t.TempDir()
	_, err := backup.Restore(ctx, backup.RestoreOptions{From: dir, To: to, Progress: io.Discard})
	if !errors.Is(err, context.Canceled) || backup.Unfinished(to) == nil {
		t.Errorf("got %v, %v", err, backup.Unfinished(to))
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The index has a checksum; that of a newer version is refused, and its folder is left as it is.
func TestIndexOfOtherVersions(t *testing.T) {
	r := newRig(t)
	r.add(2)
	r.flush()
	r.add(2)
	dir := filepath.Join(t.TempDir(), "backup")
	r.backup(dir)
	name := filepath.Join(dir, "backup.json")
	whole := read(t, name)
	inner := whole[strings.Index(whole, `"backup":`)+len(`"backup":`) : len(whole)-2]
	sealed := func(version int, from, to string) string {
		if !strings.Contains(inner, from) {
			t.Fatalf("no %s in %s", from, inner)
		}
		return string(envelope.Seal(version, "backup", []byte(strings.Replace(inner, from, to, 1))))
	}
	for title, test := range map[string]struct {
		content string
		err     error
	}{
		"whole":               {whole, nil},
		"without an envelope": {inner, nil},
		"a digit changed":     {strings.Replace(whole, `"flushed": 2`, `"flushed": 3`, 1), envelope.ErrDamaged},
		"cut":                 {whole[:len(whole)/2], envelope.ErrDamaged},
		"a newer version":     {sealed(3, "{", "{"), envelope.ErrNewer},
		"a newer member":      {sealed(2, `"flushed"`, `"shards":2,"flushed"`), envelope.ErrNewer},
		"a newer kind":        {sealed(2, `"kind": "metadata"`, `"kind": "policy"`), envelope.ErrNewer},
		"a newer index":       {sealed(2, `"version": 1`, `"version": 2`), envelope.ErrNewer},
	} {
		t.Run(title, func(t *testing.T) {
			write(t, name, test.content)
			_, _, err := backup.Verify(dir, nil)
			_, restoreErr := restore(t, dir)
			if !errors.Is(err, test.err) || !errors.Is(restoreErr, test.err) || (err == nil) != (test.err == nil) || (restoreErr == nil) != (test.err == nil) {
				t.Errorf("verified: %v; restored: %v", err, restoreErr)
			}
			d, err := backup.OpenFolder(dir)
			if newer := errors.Is(test.err, envelope.ErrNewer); errors.Is(err, envelope.ErrNewer) != newer || (err == nil) == newer {
				t.Errorf("opened: %v", err)
			}
			if err == nil {
				_ = d.Close()
			}
			if read(t, name) != test.content {
				t.Error("it was changed")
			}
		})
	}
}

// The index of a folder that cannot be read for another reason than damage is not replaced.
func TestFolderWhoseIndexCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	for name, to := range map[string]string{"backup.lock": "", "backup.json": "backup.json"} { // a link to itself
		if to == "" {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		} else if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := backup.OpenFolder(dir); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("it is opened: %v", err)
	}
}
