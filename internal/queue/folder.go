package queue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"theeye/internal/durable"
	"theeye/internal/wait"
)

// settleTime is the time after which a second change to a folder certainly gives it another
// modification time: twice the tick of Linux's coarsest clock.
const settleTime = 20 * time.Millisecond

// nameSyncer makes the names of block files durable. NATS syncs the contents of a block before it
// acknowledges a frame, but the folder only later, if at all: without its name a block is gone
// after a power failure, and its frames with it. All methods may be called concurrently.
type nameSyncer struct {
	root       string                 // folders above it are not synced
	path       string                 // of the blocks, somewhere below root
	settleTime time.Duration          // the constant, except in tests
	sync       func(dir string) error // durable.SyncDir, except in tests

	mu      sync.Mutex // guards what follows
	seen    stamp      // of path, when it was last synced
	since   time.Time  // when seen was first seen
	began   time.Time  // when the last sync that succeeded began
	settled bool       // began is so long after since that any later change alters the stamp
}

// stamp changes when names in a folder change, and when the folder is replaced, as by a purge.
type stamp struct {
	device, inode uint64
	modified      syscall.Timespec
}

func newNameSyncer(dir string) *nameSyncer {
	path := filepath.Join(dir, server.JetStreamStoreDir, server.DEFAULT_GLOBAL_ACCOUNT, "streams", Stream, "msgs")
	return &nameSyncer{root: dir, path: path, settleTime: settleTime, sync: durable.SyncDir}
}

// syncNames returns when every name that is in the folder now is durable. It costs one stat, and an
// fsync if names have changed: about once per 8 MiB of frames. After an error, the contents of the
// newest block may not be durable.
func (d *nameSyncer) syncNames(ctx context.Context) error {
	called := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		if d.began.After(called) { // a concurrent call has synced what this one would
			return nil
		}
		err := d.syncOnce()
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if wait.For(ctx, time.Millisecond) != nil { // a purge is replacing the folder
			return err
		}
	}
}

func (d *nameSyncer) syncOnce() error {
	began := time.Now()
	var st syscall.Stat_t
	if err := syscall.Stat(d.path, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: d.path, Err: err}
	}
	before, now := d.seen, stamp{st.Dev, st.Ino, st.Mtim}
	if now == before && d.settled {
		return nil
	}
	if d.settled = false; now != before {
		d.seen, d.since = now, time.Now()
	}
	last := d.path
	if now.inode != before.inode || now.device != before.device {
		last = d.root
	}
	for dir := d.path; ; dir = filepath.Dir(dir) {
		if err := d.sync(dir); err != nil {
			d.seen = stamp{}
			return fmt.Errorf("sync the queue's folder: %w", err)
		}
		if dir == last {
			break
		}
	}
	d.began, d.settled = began, began.Sub(d.since) >= d.settleTime
	return nil
}

// syncNames is called after NATS has acknowledged a frame, before Publish returns. A failed fsync
// breaks the queue: a retry may succeed although the data of the first was lost.
func (q *Queue) syncNames(ctx context.Context) error {
	err := q.names.syncNames(ctx)
	if err == nil {
		return nil
	}
	q.metrics.failed.Inc()
	if ctx.Err() == nil {
		q.fail(err)
	}
	return fmt.Errorf("%w: %w", ErrUnknown, err)
}
