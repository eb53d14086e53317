package ingest

import (
	"context"
	"fmt"

	"theeye/internal/event"
	"theeye/internal/queue"
)

// Republish writes events that were rejected when they first arrived, as one frame
// of their own, and returns its sequence when it is durable. Each keeps the position
// of its first arrival, and counts as received when it first was: the frame counts 0.
// It shares the deadline and the errors of queue.Publish; after queue.ErrUnknown the
// frame may be there. It may be called concurrently, also while Run does not run.
func (c *Collector) Republish(ctx context.Context, events []*event.Event) (frame uint64, err error) {
	f := queue.Frame{}
	counted := map[string]bool{}
	for _, e := range events {
		f.Body = event.AppendRecord(f.Body, event.Record{Event: e}, true)
		if !counted[e.App] {
			counted[e.App] = true
			f.Counts = append(f.Counts, queue.Count{App: e.App})
		}
	}
	if len(f.Body) > queue.MaxBody/2 {
		return 0, fmt.Errorf("%w: the events take %d bytes", queue.ErrTooLarge, len(f.Body))
	}
	if frame, err = c.opts.Publish(ctx, f); err != nil {
		return 0, err
	}
	c.opts.Acknowledged(frame, nil)
	return frame, nil
}
