package queue

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"theeye/internal/durable"
)

// synced records the contents of folders, by path, at their last sync.
type synced struct {
	mu   sync.Mutex // guards what follows
	held map[string][]string
	n    int
}

func (s *synced) sync(dir string) error {
	held, err := namesIn(dir)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.held[dir] = held
	s.n++
	s.mu.Unlock()
	return durable.SyncDir(dir)
}

func namesIn(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// unsynced returns the block files, and the folders above them, that did not exist when their
// parent folder was last synced.
func (s *synced) unsynced(t *testing.T, d *nameSyncer) (missing []string) {
	t.Helper()
	blocks, err := filepath.Glob(filepath.Join(d.path, "*.blk"))
	if err != nil || len(blocks) == 0 {
		t.Fatalf("no blocks in %s: %v", d.path, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for path := d.path; path != d.root; path = filepath.Dir(path) {
		blocks = append(blocks, path)
	}
	for _, path := range blocks {
		if !slices.Contains(s.held[filepath.Dir(path)], filepath.Base(path)) {
			missing = append(missing, path)
		}
	}
	return missing
}

func recorded(t *testing.T) (*Queue, *synced) {
	t.Helper()
	q, err := Open(t.Context(), Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	s := &synced{held: map[string][]string{}}
	q.names.sync = s.sync
	return q, s
}

func noise(n int) Frame {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return Frame{Body: b}
}

// When a frame is acknowledged, the name of its block is durable, and so are the names of the
// folders above.
func TestBlocksAreNamedBeforeTheirFramesAreAcknowledged(t *testing.T) {
	q, s := recorded(t)
	const frames = 60 // of 512 KiB, in blocks of 8 MiB
	for i := range frames {
		if _, err := q.Publish(t.Context(), noise(512<<10)); err != nil {
			t.Fatal(err)
		}
		if missing := s.unsynced(t, q.names); missing != nil {
			t.Fatalf("after frame %d the names of %v are not durable", i+1, missing)
		}
	}
	if blocks := len(s.held[q.names.path]); blocks < 4 {
		t.Errorf("%d names were seen; the frames were to fill several blocks", blocks)
	}
	if s.n >= frames {
		t.Errorf("%d syncs of folders for %d frames", s.n, frames)
	}
	// A purge of all replaces the folder itself.
	for range 3 {
		state, err := q.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Trim(t.Context(), state.Last); err != nil {
			t.Fatal(err)
		}
		if _, err := q.Publish(t.Context(), noise(1)); err != nil {
			t.Fatal(err)
		}
		if missing := s.unsynced(t, q.names); missing != nil {
			t.Fatalf("after a purge the names of %v are not durable", missing)
		}
	}
}

// A change within the same tick of the clock as another does not alter the modification time, but
// is still noticed.
func TestChangesOfOneTickAreSeen(t *testing.T) {
	s := &synced{held: map[string][]string{}}
	d := newNameSyncer(t.TempDir())
	d.sync, d.settleTime = s.sync, time.Hour // a tick that lasts longer than the test
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		t.Fatal(err)
	}
	tick := time.Now()
	for _, name := range []string{"1.blk", "2.blk", "3.blk"} {
		err := os.WriteFile(filepath.Join(d.path, name), nil, 0o600)
		if err = errors.Join(err, os.Chtimes(d.path, tick, tick), d.syncNames(t.Context())); err != nil {
			t.Fatal(err)
		}
		if missing := s.unsynced(t, d); missing != nil {
			t.Fatalf("the names of %v are not durable", missing)
		}
	}
}

// While nothing changes, a frame costs only a stat.
func TestAnUnchangedFolderIsNotSynced(t *testing.T) {
	s := &synced{held: map[string][]string{}}
	d := newNameSyncer(t.TempDir())
	d.sync = s.sync
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); !d.settled; {
		if err := d.syncNames(t.Context()); err != nil || time.Now().After(deadline) {
			t.Fatalf("not settled after 10 seconds: %v", err)
		}
	}
	n := s.n
	for range 1000 {
		if err := d.syncNames(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if s.n != n {
		t.Errorf("%d syncs of a folder that did not change", s.n-n)
	}
}

// A folder that cannot be synced breaks the queue: a second fsync may succeed although data of the
// first was lost.
func TestAFailedSyncOfTheFolderBreaksTheQueue(t *testing.T) {
	q, _ := recorded(t)
	q.names.sync = func(string) error { return syscall.EIO }
	if _, err := q.Publish(t.Context(), noise(1)); !errors.Is(err, ErrUnknown) || !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v", err)
	}
	if _, err := q.Publish(t.Context(), noise(1)); !errors.Is(err, ErrBroken) {
		t.Errorf("afterwards: %v", err)
	}
}

// While a purge moves the folder, it does not exist for a moment. A caller waits for it, but not
// beyond its deadline.
func TestAFolderThatIsReplaced(t *testing.T) {
	s := &synced{held: map[string][]string{}}
	d := newNameSyncer(t.TempDir())
	d.sync = s.sync
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.syncNames(ctx); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a folder: %v", err)
	}
	kept := make(chan error, 1)
	go func() { kept <- d.syncNames(t.Context()) }()
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := <-kept; err != nil {
		t.Error(err)
	}
}

func BenchmarkFolder(b *testing.B) {
	d := newNameSyncer(b.TempDir())
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		b.Fatal(err)
	}
	for !d.settled {
		if err := d.syncNames(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if err := d.syncNames(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
