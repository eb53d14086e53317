package queue_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"theeye/internal/queue"
	"theeye/internal/registry"
)

const noiseBytes = 64 << 10

// The queue survives a full disk: it acknowledges no frame that was not written, and when there is
// space again, it continues in the same process, including its readers.
func TestAFullDiskIsSurvived(t *testing.T) {
	f := onSmallDisk(t)
	f.publish(5)
	var release func()
	for round := 1; ; round++ { // until a write fails before the free space is looked at
		release = fill(t, f.dir, 5*noiseBytes)
		var publishers sync.WaitGroup
		for range 4 {
			publishers.Go(func() { f.publish(100) })
		}
		publishers.Wait()
		if len(f.refused) == 4*round && errors.Is(errors.Join(f.refused...), queue.ErrUnknown) {
			break
		}
		if len(f.refused) < 4*round || round == 20 {
			t.Fatalf("no publisher met the end of the disk: %v", f.refused)
		}
		release()
		eventually(t, func() bool { return f.Err() == nil })
	}
	for _, err := range f.refused {
		if !errors.Is(err, queue.ErrFull) && !errors.Is(err, queue.ErrUnknown) {
			t.Errorf("a full disk gave %v", err)
		}
		if errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a publisher waited for a server that does not answer: %v", err)
		}
	}
	f.recover(release)
}

// It may be the server's metadata that fills the disk. Watchers of the metadata continue when there
// is space again.
func TestMetadataMeetsAFullDisk(t *testing.T) {
	f := onSmallDisk(t)
	kv, err := f.JetStream().CreateKeyValue(f.ctx, jetstream.KeyValueConfig{Bucket: "keys", Storage: jetstream.FileStorage})
	if err != nil {
		t.Fatal(err)
	}
	nodes := make([]*registry.Registry, 2)
	for i := range nodes {
		if nodes[i], err = registry.Open(f.ctx, f.JetStream(), registry.Options{Dir: t.TempDir()}); err != nil {
			t.Fatal(err)
		}
		defer nodes[i].Close()
	}
	if _, err := kv.PutString(f.ctx, "before", "x"); err != nil {
		t.Fatal(err)
	}
	f.publish(5)
	release := fill(t, f.dir, noiseBytes/2)
	ctx, cancel := context.WithTimeout(f.ctx, 200*time.Millisecond)
	defer cancel()
	if _, err := kv.Put(ctx, "key", f.noise()); err == nil {
		t.Error("metadata was written onto a full disk")
	}
	f.recover(release)
	if e, err := kv.Get(f.ctx, "before"); err != nil || string(e.Value()) != "x" {
		t.Errorf("what was there before: %v", err)
	}
	if _, err := kv.Put(f.ctx, "key", f.noise()); err != nil {
		t.Errorf("metadata cannot be written: %v", err)
	}
	if _, err := nodes[0].CreateApp(f.ctx, "shop", registry.Settings{}); err != nil {
		t.Errorf("an application cannot be made: %v", err)
	}
	eventually(t, func() bool { _, ok := nodes[1].App("shop"); return ok })
}

// A queue can be opened and read on a full disk. It accepts no frames.
func TestOpenOnAFullDisk(t *testing.T) {
	f := onSmallDisk(t)
	f.publish(5)
	f.close()
	release := fill(t, f.dir, 0)
	f.open()
	if err := f.Err(); !errors.Is(err, queue.ErrFull) {
		t.Errorf("a full disk is reported as %v", err)
	}
	another := f.Reader(1)
	defer another.Close()
	f.check(func() (queue.Delivery, error) { return another.Next(f.ctx) })
	f.recover(release)
}

// full is a queue on a small disk, with a reader that reads all the time and a ledger of
// acknowledged frames.
type full struct {
	*queue.Queue
	t       *testing.T
	ctx     context.Context //nolint:containedctx // ends with the test
	dir     string
	random  *rand.ChaCha8
	running sync.WaitGroup
	stop    context.CancelFunc
	read    chan queue.Delivery

	mu      sync.Mutex        // guards what follows
	bodies  map[uint64]string // acknowledged, by sequence
	last    uint64            // the highest of them
	refused []error
}

func onSmallDisk(t *testing.T) *full {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	f := &full{t: t, ctx: ctx, dir: smallDisk(t, "16m"), random: rand.NewChaCha8([32]byte{}), bodies: map[uint64]string{}}
	f.open()
	t.Cleanup(func() { f.close(); cancel() })
	return f
}

func (f *full) open() {
	f.t.Helper()
	q, err := queue.Open(f.ctx, queue.Options{
		Dir: filepath.Join(f.dir, "queue"), MaxBytes: 64 << 20, Reserve: 1,
		Logger: slog.New(slog.NewTextHandler(f.t.Output(), nil)),
	})
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(f.ctx)
	f.Queue, f.stop = q, stop
	f.read = make(chan queue.Delivery, 1000)
	read := f.read
	f.running.Go(func() {
		if err := q.Run(ctx); err != nil {
			f.t.Errorf("the queue ended: %v", err)
		}
	})
	f.running.Go(func() {
		r := q.Reader(1)
		defer r.Close()
		for {
			d, err := r.Next(ctx)
			if err != nil {
				return
			}
			read <- d
		}
	})
}

func (f *full) close() {
	f.stop()
	f.running.Wait()
	f.Close()
}

// noise does not compress. Callers hold mu, or are alone.
func (f *full) noise() []byte {
	b := make([]byte, noiseBytes)
	_, _ = f.random.Read(b)
	return b
}

// publish sends frames until one is refused or n are acknowledged.
func (f *full) publish(n int) {
	for range n {
		f.mu.Lock()
		body := f.noise()
		f.mu.Unlock()
		seq, err := f.Publish(f.ctx, queue.Frame{Body: body})
		f.mu.Lock()
		if err != nil {
			f.refused = append(f.refused, err)
		} else {
			f.bodies[seq] = string(body)
			f.last = max(f.last, seq)
		}
		f.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// recover fills the disk, checks that no frame is accepted any more, frees the space, and checks
// that everything works and no frame is missing.
func (f *full) recover(release func()) {
	f.t.Helper()
	releaseRest := fill(f.t, f.dir, 0)
	eventually(f.t, func() bool { return f.Err() != nil })
	if _, err := f.Publish(f.ctx, frame("x")); !errors.Is(err, queue.ErrFull) {
		f.t.Errorf("with no byte left publishing gave %v", err)
	}
	before := len(f.bodies)
	f.refused = nil
	releaseRest()
	release()
	eventually(f.t, func() bool { return f.Err() == nil })
	f.publish(5)
	if len(f.bodies) != before+5 {
		f.t.Errorf("publishing with room again: %v", f.refused)
	}
	f.check(func() (queue.Delivery, error) {
		select {
		case d := <-f.read:
			return d, nil
		case <-f.ctx.Done():
			return queue.Delivery{}, f.ctx.Err()
		}
	})
	another := f.Reader(1)
	defer another.Close()
	f.check(func() (queue.Delivery, error) { return another.Next(f.ctx) })
}

// check reads up to the last acknowledged frame: each must exist once, in order. Frames whose
// outcome was unknown may be in between.
func (f *full) check(next func() (queue.Delivery, error)) {
	f.t.Helper()
	found, seen := 0, map[string]bool{}
	for before := uint64(0); before < f.last; {
		d, err := next()
		if err != nil {
			f.t.Fatalf("after frame %d of %d: %v", before, f.last, err)
		}
		if d.Sequence <= before || d.Damage != nil || seen[string(d.Body)] {
			f.t.Errorf("frame %d comes after %d, repeated %v, %v", d.Sequence, before, seen[string(d.Body)], d.Damage)
		}
		before = d.Sequence
		seen[string(d.Body)] = true
		if want, ok := f.bodies[d.Sequence]; ok {
			found++
			if want != string(d.Body) {
				f.t.Errorf("frame %d is not what was acknowledged", d.Sequence)
			}
		}
	}
	if found != len(f.bodies) {
		f.t.Errorf("%d frames were acknowledged, %d of them are there", len(f.bodies), found)
	}
}

// smallDisk mounts a file system, which requires root. Without root, the test is skipped, but it
// fails if CI is set.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		if os.Getenv("CI") == "" {
			t.Skip("a small file system cannot be mounted, which takes root: ", err)
		}
		t.Fatal("mount a small file system: ", err)
	}
	// Lazily: the server's loops may hold files open for a moment longer.
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fill leaves the given number of bytes of a file system free. release undoes it.
func fill(t *testing.T, dir string, left int64) (release func()) {
	t.Helper()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	ballast, err := os.CreateTemp(dir, "ballast-*")
	if err != nil {
		t.Fatal(err)
	}
	defer ballast.Close()
	if _, err := ballast.Write(make([]byte, max(0, int64(fs.Bavail)*fs.Bsize-left))); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(ballast.Name()); err != nil {
			t.Error(err)
		}
	}
}

func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatal("waited in vain")
		case <-tick.C:
		}
	}
}
