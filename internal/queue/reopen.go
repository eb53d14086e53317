package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	pollInterval = 500 * time.Millisecond
	// minReopenInterval is the least time between two reopenings. A disk can be full although it
	// reports free space: because of a user's quota, or a lack of inodes.
	minReopenInterval = 5 * time.Second
)

// Run supervises the queue until ctx is done. After the disk was full, it closes the embedded
// server and reopens it when there is space: a write error of the server persists until it is
// closed. Run returns ErrBroken if writing failed for another reason.
func (q *Queue) Run(ctx context.Context) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-q.failed:
			return *q.broken.Load()
		case <-tick.C:
		}
		if err := q.syncConfirmed(); err != nil {
			return err
		}
		low, _ := q.disk.low()
		if q.instance.Load().writeFailed.Err() == nil || low || time.Since(last) < minReopenInterval {
			continue
		}
		last = time.Now()
		if err := q.reopen(ctx); err != nil {
			return fmt.Errorf("reopen queue after the disk was full: %w", err)
		}
	}
}

// syncConfirmed makes the confirmed record durable. A failed fsync is never retried: the retry may
// succeed although the data of the first was lost.
func (q *Queue) syncConfirmed() error {
	if q.confirmed == nil {
		return nil
	}
	if err := q.confirmed.sync(); err != nil {
		q.fail(err)
		return *q.broken.Load()
	}
	return nil
}

// reopen replaces the server. In the meantime, the queue accepts nothing.
func (q *Queue) reopen(ctx context.Context) error {
	q.instance.Load().close()
	next, err := q.startServer()
	if err != nil {
		if low, _ := q.disk.low(); low { // the space was used up again
			q.log.Warn("the queue could not be reopened; it will be retried when there is free space", "error", err)
			return nil
		}
		return err
	}
	q.instance.Store(next)
	for {
		err := q.verifyComplete(ctx)
		switch {
		case err == nil:
			next.ready.Store(true)
			q.metrics.reopened.Inc()
			q.log.Info("there is free space again; the queue was reopened")
			return nil
		case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, errLost):
			q.fail(err)
			return err
		}
		q.log.Warn("the reopened queue does not respond yet", "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-q.failed:
			return *q.broken.Load()
		case <-time.After(pollInterval):
		}
	}
}

var errLost = errors.New("acknowledged frames are missing")

// verifyComplete checks that all acknowledged frames exist.
func (q *Queue) verifyComplete(ctx context.Context) error {
	info, err := q.info(ctx)
	if err != nil {
		return err
	}
	if last, confirmed := info.State.LastSeq, q.lastAcknowledged.Load(); last < confirmed {
		return fmt.Errorf("%w: the last frame is %d, but %d was acknowledged", errLost, last, confirmed)
	}
	return nil
}
