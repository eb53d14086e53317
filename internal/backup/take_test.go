package backup_test

import (
	"context"
	"errors"
	"io"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"theeye/internal/backup"
	"theeye/internal/store"
)

// kinds counts the files of an index by kind.
func kinds(x backup.Index) map[backup.Kind]int {
	n := map[backup.Kind]int{}
	for _, f := range x.Files {
		n[f.Kind]++
	}
	return n
}

// What was acknowledged before a backup is in its segments, and the queue is not held
// for it.
func TestTakeFlushesFirst(t *testing.T) {
	r := newRig(t)
	r.flushing = func(ctx context.Context, _ func(string)) error { return r.store.Flush(ctx) }
	r.add(5)
	x := r.take()
	if x.Flushed != 5 || x.Last != 5 || kinds(x)[backup.Frames] != 0 {
		t.Errorf("the backup is of the frames to %d, %d of them in segments: %v", x.Last, x.Flushed, kinds(x))
	}
	if held := r.store.TrimLimit(); held != math.MaxUint64 {
		t.Errorf("the queue is held behind frame %d", held)
	}
}

// A backup of a store that cannot be flushed, as on a full disk, copies the queue.
func TestTakeWithoutAFlush(t *testing.T) {
	r := newRig(t)
	r.flushing = func(context.Context, func(string)) error { return store.ErrUnavailable }
	r.add(5)
	x := r.take()
	if x.Flushed != 0 || x.Last != 5 || kinds(x)[backup.Frames] != 1 {
		t.Errorf("the backup is of the frames to %d, %d of them in segments: %v", x.Last, x.Flushed, kinds(x))
	}
}

// The queue keeps the frames of a backup until another file is asked for. Then it
// may forget them, and a backup that asks for them again has to begin again.
func TestQueueIsHeldForTheFramesAlone(t *testing.T) {
	r := newRig(t)
	r.add(2)
	r.flush()
	r.add(3)
	x := r.take()
	if x.Files[0].Kind != backup.Frames {
		t.Fatalf("the first file is %+v", x.Files[0])
	}
	for range 2 {
		c, err := r.source.Open(t.Context(), x.Lease, x.Files[0].Name)
		if err == nil {
			err = errors.Join(c.CopyTo(t.Context(), io.Discard), c.Close())
		}
		if held := r.store.TrimLimit(); err != nil || held != 2 {
			t.Errorf("while frames are copied the queue is held behind frame %d, %v", held, err)
		}
	}
	var rest []backup.File
	for _, f := range x.Files[1:] {
		c, err := r.source.Open(t.Context(), x.Lease, f.Name)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		rest = append(rest, f)
		if held := r.store.TrimLimit(); held != math.MaxUint64 {
			t.Errorf("when %s was asked for the queue is held behind frame %d", f.Name, held)
		}
	}
	if err := r.queue.Trim(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	if _, err := r.source.Open(t.Context(), x.Lease, x.Files[0].Name); !errors.Is(err, store.ErrLeaseEnded) {
		t.Errorf("frames that are gone: %v", err)
	}
	for _, f := range rest {
		c, err := r.source.Open(t.Context(), x.Lease, f.Name)
		if err == nil {
			err = errors.Join(c.CopyTo(t.Context(), io.Discard), c.Close())
		}
		if err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
}

// While the store is flushed the one who asks is told so. What he gets then holds all
// that was acknowledged until then, however long ago he asked first.
func TestTakeThatPrepares(t *testing.T) {
	r := newRig(t)
	flush, flushes := make(chan struct{}), 0
	r.flushing = func(ctx context.Context, doing func(string)) error {
		flushes++
		doing("it counts to a thousand")
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-flush:
			return r.store.Flush(ctx)
		}
	}
	r.add(3)
	for range 3 {
		_, err := r.source.Take(t.Context())
		if p, ok := errors.AsType[*backup.PreparingError](err); !ok || p.Doing != "it counts to a thousand" {
			t.Fatalf("while it is prepared: %v", err)
		}
	}
	close(flush)
	x := r.take()
	if x.Flushed != 3 || x.Last != 3 || flushes != 1 {
		t.Errorf("%d flushes, and the backup is of the frames to %d, %d of them in segments", flushes, x.Last, x.Flushed)
	}
	if y := r.take(); y.Lease == x.Lease || flushes != 2 {
		t.Errorf("%d flushes, and two backups have the leases %s and %s", flushes, x.Lease, y.Lease)
	}
}

// Frames that come between the flush and the answer are in the backup, with the
// metadata that is newer than they are.
func TestTakeHoldsWhatCameMeanwhile(t *testing.T) {
	r := newRig(t)
	r.add(2)
	r.flushing = func(ctx context.Context, _ func(string)) error {
		err := r.store.Flush(ctx)
		r.add(1)
		return err
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.source.Take(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err) // it is prepared for whoever asks next
	}
	r.wait(func() bool { return r.store.TrimLimit() == 2 })
	r.add(1)
	x := r.take()
	// One file of frames, or two: the last frame may have come before the first were listed.
	if n := kinds(x)[backup.Frames]; x.Flushed != 2 || x.Last != 4 || n != 1 && n != 2 {
		t.Errorf("the backup is of the frames to %d, %d of them in segments: %v", x.Last, x.Flushed, kinds(x))
	}
	dir := filepath.Join(t.TempDir(), "backup")
	d := folder(t, dir)
	r.save(d, x, math.MaxInt)
	if err := errors.Join(d.Finish(x), d.Close()); err != nil {
		t.Fatal(err)
	}
	to, err := restore(t, dir)
	if got := read(t, filepath.Join(to, "metadata.json")); err != nil || !strings.Contains(got, `"frame":4`) {
		t.Errorf("%v, metadata %s", err, got)
	}
	c := &rig{t: t, dir: to, frame: 4}
	c.open()
	if n := len(frames(t, c.queue)); n != 2 {
		t.Errorf("%d frames are restored", n)
	}
}

// A lease that an erasure ended before it was given is not given.
func TestTakeAfterAnErasure(t *testing.T) {
	r := newRig(t)
	r.add(2)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = r.source.Take(ctx)
	r.wait(func() bool { return r.store.TrimLimit() == 0 })
	r.store.EndLeases()
	x := r.take()
	if c, err := r.source.Open(t.Context(), x.Lease, x.Files[0].Name); err != nil {
		t.Errorf("a lease that was given has ended: %v", err)
	} else {
		_ = c.Close()
	}
}
