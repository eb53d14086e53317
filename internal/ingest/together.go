package ingest

import (
	"fmt"

	"theeye/internal/queue"
)

// CollectTogether is Collect for several requests, whose records become one frame in the order of
// the requests. Run need not be running. It returns the sequence of the frame. It is 0 if
// there are no events. Errors are those of Collect, and queue.ErrTooLarge if the records do not fit
// into a frame; nothing of any request is kept then.
func (c *Collector) CollectTogether(requests []Request) (frame uint64, err error) {
	var f pendingFrame
	results := make([]Result, 0, len(requests))
	defer func() {
		for _, s := range f.parts {
			s.abandon()
		}
	}()
	for _, req := range requests {
		s, result, err := c.validateAll(req)
		if err != nil {
			return 0, err
		}
		if results = append(results, result); s == nil {
			continue
		}
		if !f.fits(s) {
			s.abandon()
			return 0, fmt.Errorf("%w: the events take more than %d bytes", queue.ErrTooLarge, maxFrameBytes)
		}
		s.done = make(chan struct{})
		f.add(s)
	}
	if len(f.parts) == 0 {
		return 0, nil
	}
	for _, s := range f.parts {
		s.accepted = true
	}
	c.batcher.publish(f)
	if err := f.parts[0].err; err != nil {
		c.metrics.recordFailure(err)
		return 0, err
	}
	for i, result := range results {
		c.metrics.recordAccepted(result.Items, len(requests[i].Body))
	}
	return f.parts[0].frame, nil
}
