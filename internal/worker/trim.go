package worker

import (
	"context"
	"time"

	"theeye/internal/queue"
)

// trimmer decides which frames may be trimmed from the queue: those that the store has flushed,
// except the newest. It keeps as many of these as fit in half of the quota, because a damaged
// segment can be rebuilt from them.
type trimmer struct {
	written []watermark // ends of batches that are not flushed yet
	flushed []watermark // ends of flushes whose frames are kept; oldest first
	total   int64       // bytes written so far
	trimmed uint64      // the last frame that was trimmed
}

// watermark is a frame with the bytes that were read up to it.
type watermark struct {
	sequence uint64
	bytes    int64
}

// begin is called with the position from which frames are read, and the state of the queue. Frames
// before the position at the start are counted with their average size.
func (t *trimmer) begin(position uint64, held queue.State) {
	t.written = nil
	if len(t.flushed) > 0 {
		return
	}
	if last := min(position, held.Last); held.Frames > 0 && last >= held.First {
		frames := last - held.First + 1
		bytes := int64(held.Bytes / held.Frames * frames)
		for i := range uint64(startWatermarks) {
			t.flushed = append(t.flushed, watermark{held.First - 1 + frames*i/startWatermarks, bytes*int64(i)/startWatermarks - bytes})
		}
	}
	t.flushed = append(t.flushed, watermark{position, 0})
}

// startWatermarks is the number of parts into which the frames before the position at the start are
// divided.
const startWatermarks = 16

// batchWritten records the end of a batch.
func (t *trimmer) batchWritten(last uint64, sizes []frameSize) {
	for _, s := range sizes {
		t.total += int64(s.bytes)
	}
	t.written = append(t.written, watermark{last, t.total})
}

// next returns the frame up to which the queue may be trimmed, given the last flushed frame and how
// many bytes of flushed frames may be kept.
func (t *trimmer) next(flushed uint64, keep int64) uint64 {
	n := 0
	for n < len(t.written) && t.written[n].sequence <= flushed {
		n++
	}
	if n > 0 {
		t.flushed = append(t.flushed, t.written[n-1])
		t.written = t.written[n:]
	}
	newest := t.flushed[len(t.flushed)-1]
	n = 0
	for newest.bytes-t.flushed[n].bytes > keep {
		n++
	}
	t.flushed = t.flushed[n:]
	return t.flushed[0].sequence
}

// trimTick is how often the worker checks whether there is something to trim.
const trimTick = time.Second

// trimTimeout bounds a trim. The next one removes what it has left.
const trimTimeout = 10 * time.Second

// heldQuotaPercent is the percentage of the quota beyond which leases no longer hold frames.
const heldQuotaPercent = 75

// trimLimit returns the last frame that no lease holds. If leases prevent a trim while the queue is
// filling up, it ends them.
func (w *Worker) trimLimit(ctx context.Context, upTo uint64) uint64 {
	if w.opts.TrimLimit == nil {
		return upTo
	}
	held := w.opts.TrimLimit()
	if held >= upTo {
		return held
	}
	state, err := w.opts.Queue.State(ctx)
	if err != nil || state.Bytes <= uint64(state.Quota)/100*heldQuotaPercent {
		return held
	}
	w.opts.Logger.Warn("frames are no longer held for a backup, because the queue is filling up; the backup begins again",
		"bytes", state.Bytes, "quota", state.Quota)
	w.opts.EndFrameLeases()
	return upTo
}

// trim removes flushed frames from the queue, except those that are kept.
func (w *Worker) trim(ctx context.Context) {
	flushed, err := w.opts.Store.Flushed(ctx)
	if err != nil {
		return
	}
	if err := w.opts.Queue.ForgetConfirmed(flushed); err != nil {
		w.opts.Logger.Warn("old files of the confirmed record could not be removed; it will be retried", "error", err)
	}
	upTo := w.trimmer.next(flushed, w.opts.Queue.Quota()/2)
	upTo = min(upTo, w.trimLimit(ctx, upTo))
	if upTo <= w.trimmer.trimmed {
		return
	}
	trimming, cancel := context.WithTimeout(ctx, trimTimeout)
	defer cancel()
	if err := w.opts.Queue.Trim(trimming, upTo); err != nil {
		if ctx.Err() == nil { // else the worker ends
			w.opts.Logger.Warn("the queue was not trimmed; it will be retried", "up_to", upTo, "error", err)
		}
		return
	}
	w.trimmer.trimmed = upTo
}
