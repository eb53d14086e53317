package node

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"theeye/internal/plural"
	"theeye/internal/store"
	"theeye/internal/store/duckdb"
)

// erasePass removes everything that had a tombstone when it began.
type erasePass struct {
	done    chan struct{} // closed when the fields below are set
	removed []duckdb.Erased
	err     error
}

// After an error, a pass is retried after minEraseRetry, and then after twice as long each time, up
// to maxEraseRetry, because each pass ends the running backups and exports.
const (
	minEraseRetry = 10 * time.Second
	maxEraseRetry = time.Hour
)

var errErasing = fmt.Errorf("%w: the erasure continues when the server has started again", store.ErrUnavailable)

// join returns the next pass, which is made soon. Once there are no more passes, it returns one
// that has failed.
func (e *eraser) join() *erasePass {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.next == nil {
		e.next = &erasePass{done: make(chan struct{})}
	}
	p := e.next
	if e.ended {
		e.next = nil
		p.err = errErasing
		close(p.done)
		return p
	}
	notify(e.wake)
	return p
}

// notify sends a signal to a channel with a buffer of one, unless one is pending.
func notify(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

// take begins a pass: callers that join from now on wait for the next one.
func (e *eraser) take() *erasePass {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.next
	if e.next = nil; p == nil {
		p = &erasePass{done: make(chan struct{})}
	}
	return p
}

// run makes passes until ctx is done. The first one finishes erasures that were begun before the
// start.
func (e *eraser) run(ctx context.Context) error {
	defer e.end()
	var background sync.WaitGroup
	defer background.Wait()
	background.Go(func() { e.finishApps(ctx) })
	retry, backoff := time.NewTimer(0), minEraseRetry
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.wake:
		case <-retry.C:
		}
		p := e.take()
		if p.err = e.retrim(ctx); p.err == nil {
			p.err = whileWorking(ctx, e.stalled, func(ctx context.Context) (err error) {
				p.removed, err = e.pass(ctx)
				return err
			})
		}
		if ctx.Err() == nil {
			e.failing.Record(p.err)
			e.tried.Store(true)
		}
		switch {
		case p.err == nil:
			backoff = minEraseRetry
		case ctx.Err() == nil:
			e.log.Error("an erasure could not be finished; it will be retried", "after", backoff.String(), "error", p.err)
			retry.Reset(backoff)
			backoff = min(2*backoff, maxEraseRetry)
		}
		if ctx.Err() != nil {
			p.err = errErasing
		}
		close(p.done)
	}
}

// ready returns nil once a pass has been made for what the previous server had not finished. Until
// then, erased data may still be readable: a backup may have been restored with newer tombstones.
func (e *eraser) ready() error {
	if e.unfinished == 0 || e.tried.Load() {
		return nil
	}
	return fmt.Errorf("%s from before the start must be finished first; intake works meanwhile", plural.Count(e.unfinished, "erasure"))
}

// notice describes the erasures that could not be finished; it is empty when there are none.
func (e *eraser) notice() string {
	err := e.failing.Err(0)
	if err == nil {
		return ""
	}
	n := len(e.store.UnfinishedErasures())
	if n == 0 {
		return ""
	}
	text, _, _ := strings.Cut(err.Error(), "\n") // DuckDB adds lines of advice, which do not apply here
	return fmt.Sprintf("erasure: %s not finished, so what is to be erased may still be found; retrying: %s", plural.Count(n, "erasure"), text)
}

// end answers waiting callers, because there will be no more passes.
func (e *eraser) end() {
	e.mu.Lock()
	e.ended = true
	p := e.next
	e.next = nil
	e.mu.Unlock()
	if p != nil {
		p.err = errErasing
		close(p.done)
	}
}

// retrim trims the queue again up to the frame up to which finished erasures have trimmed it: a
// trim is not fsynced.
func (e *eraser) retrim(ctx context.Context) error {
	trimmed := e.store.TrimmedByErasures()
	state, err := e.queue.State(ctx)
	if err != nil || trimmed < state.First {
		return err
	}
	return e.queue.Trim(ctx, trimmed)
}

// pass removes what has a tombstone when it begins: first from the queue, then from the segments.
// When it returns, no file of the queue or the store contains any of it, except what the error
// reports. A tombstone that is set in the meantime is left to the next pass: records that were
// validated before it was known may enter the queue after this pass has trimmed it.
func (e *eraser) pass(ctx context.Context) (removed []duckdb.Erased, err error) {
	unfinished := e.store.UnfinishedErasures()
	if len(unfinished) == 0 {
		return nil, nil
	}
	release, err := e.replays.Pause(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := e.step("tombstone known"); err != nil {
		return nil, err
	}
	if err := e.collector.WaitInFlight(ctx); err != nil {
		return nil, err
	}
	if err := e.step("intake waited for"); err != nil {
		return nil, err
	}
	trimmed, err := e.clearQueue(ctx)
	if err != nil {
		return nil, err
	}
	if err := e.step("queue cleared"); err != nil {
		return nil, err
	}
	return e.store.Erase(ctx, unfinished, trimmed)
}

// clearQueue flushes what the queue holds into segments, trims it, and waits until all files that
// the queue had when it was called are deleted. It returns the frame up to which it has trimmed.
func (e *eraser) clearQueue(ctx context.Context) (trimmed uint64, err error) {
	blocks, err := e.queue.Blocks()
	if err != nil {
		return 0, err
	}
	if trimmed, err = e.trimFlushed(ctx); err != nil {
		return 0, err
	}
	state, err := e.queue.State(ctx)
	if err != nil {
		return 0, err
	}
	if state.Frames == 0 {
		if deleted, err := e.queue.WaitDeleted(ctx, blocks); deleted || err != nil {
			return trimmed, err
		}
	}
	// New frames are in the same file as the erased ones. Padding makes the queue begin another
	// file.
	if _, err = e.queue.Pad(ctx); err != nil {
		return 0, err
	}
	if err := e.step("queue padded"); err != nil {
		return 0, err
	}
	if trimmed, err = e.trimFlushed(ctx); err != nil {
		return 0, err
	}
	deleted, err := e.queue.WaitDeleted(ctx, blocks)
	if err == nil && !deleted {
		err = fmt.Errorf("%w: the queue has not deleted trimmed files yet", store.ErrUnavailable)
	}
	return trimmed, err
}

// trimFlushed flushes what the queue holds now, verifies the segments that were made from it, and
// trims the queue.
func (e *eraser) trimFlushed(ctx context.Context) (trimmed uint64, err error) {
	state, err := e.queue.State(ctx)
	if err != nil {
		return 0, err
	}
	if err := e.progress.WaitFor(ctx, state.Last); err != nil {
		return 0, err
	}
	if err := e.store.Flush(ctx); err != nil {
		return 0, err
	}
	if err := e.step("queue flushed"); err != nil {
		return 0, err
	}
	flushed, err := e.store.Flushed(ctx)
	if err != nil {
		return 0, err
	}
	if err := e.store.CheckFrames(ctx, state.First, flushed); err != nil {
		return 0, err
	}
	e.store.EndLeases() // they read files that contain what is being erased
	e.store.EndExports()
	return flushed, e.queue.Trim(ctx, flushed)
}
