package worker

import (
	"context"
	"time"
)

// trimmer finds out what of the queue may go: what the store has flushed, but for
// the newest frames up to half of the quota, from which a damaged segment can be
// built again (S9).
type trimmer struct {
	written []mark // ends of batches that are not flushed yet
	flushed []mark // where flushes ended, of which frames are kept
	total   int64  // bytes written so far
}

// mark is a frame with the bytes that were read up to it.
type mark struct {
	sequence uint64
	bytes    int64
}

// begin is called with the position from which frames are read.
func (t *trimmer) begin(position uint64) {
	t.written = nil
	if len(t.flushed) == 0 {
		t.flushed = []mark{{position, 0}}
	}
}

// wrote notes a batch.
func (t *trimmer) wrote(last uint64, sizes []frameSize) {
	for _, s := range sizes {
		t.total += int64(s.bytes)
	}
	t.written = append(t.written, mark{last, t.total})
}

// next returns the frame up to which may be trimmed when the store has flushed up
// to one and may keep so many bytes behind it; 0 for none.
func (t *trimmer) next(flushed uint64, keep int64) uint64 {
	n := 0
	for n < len(t.written) && t.written[n].sequence <= flushed {
		n++
	}
	if n == 0 {
		return 0
	}
	newest := t.written[n-1]
	t.written = t.written[n:]
	t.flushed = append(t.flushed, newest)
	n = 0
	for newest.bytes-t.flushed[n].bytes > keep {
		n++
	}
	t.flushed = t.flushed[n:]
	return t.flushed[0].sequence
}

// trimTick is how often it is looked whether there is something to trim.
const trimTick = time.Second

// trimTimeout bounds a trim; what it leaves goes with the next one.
const trimTimeout = 10 * time.Second

// trim takes from the queue what is flushed and need not be kept.
func (w *Worker) trim(ctx context.Context) {
	flushed, err := w.opts.Store.Flushed(ctx)
	if err != nil {
		return
	}
	upTo := w.trimmer.next(flushed, w.opts.Queue.Quota()/2)
	if held := w.opts.Hold; held != nil {
		upTo = min(upTo, held())
	}
	if upTo == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, trimTimeout)
	defer cancel()
	if err := w.opts.Queue.Trim(ctx, upTo); err != nil {
		w.opts.Logger.Warn("the queue was not trimmed; it is tried again after the next flush", "up_to", upTo, "error", err)
	}
}
