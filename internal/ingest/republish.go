package ingest

import (
	"context"
	"fmt"

	"theeye/internal/event"
	"theeye/internal/queue"
)

// Republish writes events that were rejected at their first arrival, as a frame of their own, and
// returns its sequence once it is durable. Each event keeps the position of its first arrival. It
// was counted as received then, so the frame has no counts. Deadline and errors are those of
// queue.Publish; after queue.ErrUnknown, the frame may have been written. Republish may be called
// concurrently, even if Run is not running.
func (c *Collector) Republish(ctx context.Context, events []*event.Event) (frame uint64, err error) {
	records := make([]event.Record, len(events))
	for i, e := range events {
		records[i] = event.Record{Event: e}
	}
	return c.publishAgain(ctx, records, func(event.Record) bool { return true })
}

// Rescue writes records that were lost with their frame, as a frame of their own, and returns its
// sequence once it is durable. They were counted as received with the lost frame, so the new frame
// has no counts. Records of replays remain replays; the others arrive with the new frame and keep
// their time of receipt. Deadline, errors and concurrency are those of Republish.
func (c *Collector) Rescue(ctx context.Context, records []event.Record) (frame uint64, err error) {
	marked := make([]event.Record, len(records))
	for i, r := range records {
		r.Rescued = !r.IsReplay()
		marked[i] = r
	}
	return c.publishAgain(ctx, marked, event.Record.IsReplay)
}

func (c *Collector) publishAgain(ctx context.Context, records []event.Record, positioned func(event.Record) bool) (frame uint64, err error) {
	f := queue.Frame{}
	for _, r := range records {
		f.Body = event.AppendRecord(f.Body, r, positioned(r))
	}
	if len(f.Body) > queue.MaxBody/2 {
		return 0, fmt.Errorf("%w: they take %d bytes", queue.ErrTooLarge, len(f.Body))
	}
	defer c.validating.enter()() // WaitInFlight waits for it
	if frame, err = c.opts.Publish(ctx, f); err != nil {
		return 0, err
	}
	c.opts.Acknowledged(frame, nil)
	return frame, nil
}
