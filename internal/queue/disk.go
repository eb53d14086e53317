package queue

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"
)

// DefaultMaxBytes is the quota of frames when none is given.
const DefaultMaxBytes = 4 << 30

const defaultReserve = 256 << 20

// disk watches the free space of the file system under a folder.
type disk struct {
	dir     string
	reserve int64 // as configured; 0 for the default

	mu      sync.Mutex // guards what follows
	checked time.Time
	free    int64
	size    int64
}

// statLocked asks the file system, at most once a second.
func (d *disk) statLocked() {
	if time.Since(d.checked) < time.Second {
		return
	}
	var fs syscall.Statfs_t
	if syscall.Statfs(d.dir, &fs) == nil {
		d.free = int64(fs.Bavail) * fs.Bsize
		d.size = int64(fs.Blocks) * fs.Bsize
	}
	d.checked = time.Now()
}

// floor is the free space in bytes that must be left.
func (d *disk) floor() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.statLocked()
	if d.reserve > 0 {
		return d.reserve
	}
	return min(max(defaultReserve, d.size/50), d.size/4)
}

// low reports whether less is left than must be.
func (d *disk) low() bool {
	floor := d.floor()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.free < floor
}

// quota returns what frames may take: what is asked, or by default 4 GiB but at
// most half of the disk.
func (d *disk) quota(asked int64) int64 {
	if asked > 0 {
		return asked
	}
	d.floor()
	d.mu.Lock()
	defer d.mu.Unlock()
	return min(DefaultMaxBytes, max(d.size/2, 16<<20))
}

// Run watches over the queue until ctx ends. After the disk was full it closes
// the server and opens it again when there is room, in this process: the
// server's write error sticks until then (Q3). It returns ErrBroken when
// writing failed for another reason.
func (q *Queue) Run(ctx context.Context) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-q.failed:
			return *q.broken.Load()
		case <-tick.C:
		}
		if q.noRoom.Load() && !q.disk.low() {
			if err := q.reopen(ctx); err != nil {
				return err
			}
		}
	}
}

func (q *Queue) reopen(ctx context.Context) error {
	old := q.server.Load()
	old.Shutdown()
	old.WaitForShutdown()
	if err := q.startServer(); err != nil {
		return fmt.Errorf("reopen queue after the disk was full: %w", err)
	}
	for wait := 50 * time.Millisecond; ; {
		_, err := q.info(ctx)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the server stops
		}
		q.log.Warn("the reopened queue does not answer yet", "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
	q.noRoom.Store(false)
	q.log.Info("there is room again; the queue was reopened")
	return nil
}

// currentServer connects to the server that runs now, so that a reconnecting
// client finds the one that replaced a closed one.
type currentServer struct{ q *Queue }

func (c currentServer) InProcessConn() (net.Conn, error) {
	return c.q.server.Load().InProcessConn()
}

// serverLog passes the embedded server's log on and learns from it what the
// server tells nobody else: that writing has failed.
type serverLog struct{ queue *Queue }

func (l *serverLog) Noticef(format string, v ...any) { l.queue.log.Debug(fmt.Sprintf(format, v...)) }
func (l *serverLog) Debugf(string, ...any)           {}
func (l *serverLog) Tracef(string, ...any)           {}

func (l *serverLog) Warnf(format string, v ...any) {
	l.queue.log.Warn("queue: " + fmt.Sprintf(format, v...))
	l.judge(v)
}

func (l *serverLog) Errorf(format string, v ...any) {
	l.queue.log.Error("queue: " + fmt.Sprintf(format, v...))
	l.judge(v)
}

func (l *serverLog) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.queue.log.Error("queue: " + text)
	l.queue.breakWith(errors.New(text))
}

// judge looks for a file system's error among the arguments of a log line.
func (l *serverLog) judge(args []any) {
	for _, arg := range args {
		err, ok := arg.(error)
		if !ok {
			continue
		}
		var errno syscall.Errno
		switch {
		case !errors.As(err, &errno):
		case errno == syscall.ENOSPC, errno == syscall.EDQUOT:
			l.queue.noRoom.Store(true)
		case errno == syscall.EIO, errno == syscall.EROFS:
			l.queue.breakWith(err)
		}
	}
}
