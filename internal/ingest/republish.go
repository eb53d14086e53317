package ingest

import (
	"context"
	"fmt"

	"theeye/internal/event"
	"theeye/internal/queue"
)

// Republish writes events that were rejected when they first arrived, as one frame
// of their own, and returns its sequence when it is durable. Each keeps the position
// of its first arrival, and counts as received when it first was: the frame has no counts.
// It shares the deadline and the errors of queue.Publish; after queue.ErrUnknown the
// frame may be there. It may be called concurrently, also while Run does not run.
func (c *Collector) Republish(ctx context.Context, events []*event.Event) (frame uint64, err error) {
	records := make([]event.Record, len(events))
	for i, e := range events {
		records[i] = event.Record{Event: e}
	}
	return c.publishAgain(ctx, records, func(event.Record) bool { return true })
}

// Rescue writes records that were lost with the frame that had brought them, as one frame of their
// own, and returns its sequence when it is durable. They count as received when they first were:
// the frame has no counts. Those that were replays stay so, and the others arrive with the new
// frame, as they were received. Deadline, errors and concurrency are those of Republish.
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
