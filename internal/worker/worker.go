// Package worker transfers frames from the queue to the store, in order, and reports its progress.
//
// It decides nothing about events: the store does. It never skips a frame, and trims a frame from
// the queue only after the store has flushed it.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"theeye/internal/event"
	"theeye/internal/progress"
	"theeye/internal/queue"
	"theeye/internal/store"
	"theeye/internal/wait"
)

// Bounds of a batch, which ends with the frame that reaches one of them. Batches only grow that
// large if the worker is behind. They cost the store less, because it looks for duplicates once per
// batch.
const (
	batchRecords = 50_000
	batchBytes   = 16 << 20
	readAhead    = 32 // decoded frames that wait for the store
)

// Options of a worker.
type Options struct {
	Queue    *queue.Queue
	Store    store.Writer
	Progress *progress.Tracker
	// Resets signals that the store's position went back without a Write that could have reported
	// it. It may be nil.
	Resets <-chan struct{}
	// TrimLimit returns the last frame that may be trimmed now, math.MaxUint64 for no limit. It
	// may be nil.
	TrimLimit func() uint64
	// EndFrameLeases ends the leases that hold frames, so that TrimLimit returns math.MaxUint64. It
	// must not be nil if TrimLimit is not.
	EndFrameLeases func()
	// Lost is called for acknowledged events that can no longer be read, after they were counted as
	// lost. It may be nil.
	Lost       func(queue.Loss)
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Worker is the only writer of a store.
type Worker struct {
	opts    Options
	metrics *metrics
	trimmer trimmer
	lost    map[[2]uint64]bool   // losses that were counted, by their first and last frame
	failing store.FailureTracker // writes
	delays  delays
}

// New returns a worker.
func New(opts Options) *Worker {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return &Worker{opts: opts, metrics: newMetrics(opts.Registerer), lost: map[[2]uint64]bool{}}
}

// decodedFrame is a frame on its way from the queue to the store.
type decodedFrame struct {
	sequence uint64
	counts   []queue.Count
	records  []event.Record
	bytes    int // of records
	size     int // in the queue
	damaged  bool
	lost     queue.Loss // what it held, when it is damaged
	before   queue.Loss // what the missing frames before it held
}

// losses returns what is lost in and before the frame.
func (l decodedFrame) losses() (found []queue.Loss) {
	for _, one := range []queue.Loss{l.before, l.lost} {
		if len(one.Counts) > 0 {
			found = append(found, one)
		}
	}
	return found
}

// Run works until ctx is done. It returns an error only if it cannot read the store's position, or
// if a newer version of The Eye wrote a frame. Frames that were read but not written are read again
// by the next Run.
func (w *Worker) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := w.consume(ctx); err != nil {
			return err
		}
	}
	return nil
}

// consume writes the frames after the store's position, until ctx is done or the store has lost its
// unflushed rows.
func (w *Worker) consume(ctx context.Context) error {
	position, err := w.opts.Store.Position(ctx)
	if err != nil {
		return err
	}
	w.opts.Progress.Rewind(position)
	held, err := w.opts.Queue.State(ctx)
	if err != nil && ctx.Err() == nil {
		w.opts.Logger.Warn("the state of the queue is not known; its present frames are kept until new ones arrive", "error", err)
	}
	w.trimmer.begin(position, held)
	reading, stop := context.WithCancel(ctx)
	frames := make(chan decodedFrame, readAhead)
	var readErr error // of the reader; read it when frames is closed
	go func() {
		defer close(frames)
		readErr = w.read(reading, position+1, frames)
	}()
	defer func() {
		stop()
		for range frames { // let the reader end before its worker does
		}
	}()
	tick := time.NewTicker(trimTick)
	defer tick.Stop()
	for {
		var first decodedFrame
		select {
		case <-w.opts.Resets:
			return nil
		case <-tick.C: // a flush makes room also when nothing comes, as in a queue that is full
			w.trim(ctx)
			continue
		case l, ok := <-frames:
			if !ok {
				return readErr
			}
			first = l
		}
		b, sizes, losses := w.batch(first, frames)
		outcomes, ok := w.write(ctx, b)
		if !ok {
			return nil
		}
		w.notify(b.Last, sizes, outcomes)
		w.delays.add(b.Records, w.metrics.started, event.Now())
		for _, one := range losses {
			w.RecordLoss(one)
		}
		w.trimmer.batchWritten(b.Last, sizes)
		w.trim(ctx)
	}
}

// NotWriting returns the error because of which the store has accepted no batch for at least that
// long, or nil.
func (w *Worker) NotWriting(patience time.Duration) error { return w.failing.Err(patience) }

// RecordEarlierLosses adds the losses before this start, according to the books, to the metric. It
// must be called once, before Run.
func (w *Worker) RecordEarlierLosses(events int64) { w.metrics.lost.Add(float64(events)) }

// RecordLoss counts acknowledged events as lost and calls the Lost of the options. A loss of the
// same frames is not counted twice, even if they are written again because the store has lost what
// it had not flushed. Run calls RecordLoss, too; it must not be called while Run is running.
func (w *Worker) RecordLoss(l queue.Loss) {
	frames := [2]uint64{l.First, l.Last}
	if w.lost[frames] {
		return
	}
	w.lost[frames] = true
	w.metrics.lost.Add(float64(l.Events()))
	if w.opts.Lost != nil {
		w.opts.Lost(l)
	}
}

// read decodes frames ahead of the store until ctx is done. It returns an error for a frame from a
// newer version: that frame and those after it are left for that version.
func (w *Worker) read(ctx context.Context, from uint64, frames chan<- decodedFrame) error {
	r := w.opts.Queue.Reader(from)
	defer r.Close()
	for next := from; ; {
		d, err := r.Next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the queue: %w", err)
		}
		l, err := w.decode(d)
		if err == nil && (next == from || d.Sequence > next) {
			l.before, err = w.opts.Queue.LostBefore(next, d.Sequence-1)
		}
		if errors.Is(err, event.ErrNewerRecord) {
			return fmt.Errorf("read the queue: %w", err)
		}
		if err != nil {
			w.opts.Logger.Error("a frame could not be read, or a damaged one could not be quarantined; it will be retried", "sequence", d.Sequence, "error", err)
			r.Close()
			r = w.opts.Queue.Reader(d.Sequence)
			if wait.For(ctx, time.Second) != nil {
				return nil
			}
			continue
		}
		next = d.Sequence + 1
		select {
		case frames <- l:
		case <-ctx.Done():
			return nil
		}
	}
}

func (w *Worker) decode(d queue.Delivery) (l decodedFrame, err error) {
	l = decodedFrame{sequence: d.Sequence, bytes: len(d.Body), size: d.Size, damaged: d.Damage != nil}
	if d.Damage == nil {
		l.records, err = event.DecodeRecords(d.Body, d.Sequence)
		if errors.Is(err, event.ErrNewerRecord) {
			return decodedFrame{}, err
		}
		if err != nil {
			if d, err = w.opts.Queue.QuarantineBody(d, err); err != nil {
				return decodedFrame{}, err
			}
			l.damaged = true
		}
	}
	if l.counts = d.Counts; !l.damaged {
		return l, nil
	}
	// The confirmed record is more reliable than the counts beside the damage.
	l.lost, err = w.opts.Queue.Lost(d.Sequence, d.Sequence)
	if len(l.lost.Counts) == 0 {
		l.lost.Counts = d.Counts
	}
	l.counts = nil
	return l, err
}

// batch returns a batch of the first frame and those that wait after it, the number of records of
// each frame, and the losses that the batch counts.
func (w *Worker) batch(first decodedFrame, frames <-chan decodedFrame) (b store.Batch, sizes []frameSize, losses []queue.Loss) {
	b = store.Batch{First: first.sequence, Arrivals: map[string]store.Arrivals{}}
	bytes := 0
	add := func(l decodedFrame) {
		b.Last = l.sequence
		for _, one := range l.losses() {
			losses = append(losses, one)
			for _, c := range one.Counts {
				a := b.Arrivals[c.App]
				a.Received += int64(c.Received)
				a.Lost += int64(c.Received)
				b.Arrivals[c.App] = a
			}
		}
		b.Records = append(b.Records, l.records...)
		sizes = append(sizes, frameSize{l.sequence, len(l.records), l.size})
		bytes += l.bytes
		for _, c := range l.counts {
			a := b.Arrivals[c.App]
			a.Received += int64(c.Received)
			b.Arrivals[c.App] = a
		}
		for _, r := range l.records {
			if r.Rescued { // counted as received and lost before
				a := b.Arrivals[r.App()]
				a.Lost--
				b.Arrivals[r.App()] = a
			}
		}
	}
	add(first)
	for len(b.Records) < batchRecords && bytes < batchBytes {
		select {
		case l, ok := <-frames:
			if !ok {
				return b, sizes, losses
			}
			add(l)
		default:
			return b, sizes, losses
		}
	}
	return b, sizes, losses
}

type frameSize struct {
	sequence uint64
	records  int
	bytes    int // in the queue
}

// write retries until the store has accepted the batch. ok is false if ctx is done, or if the store
// needs frames from an earlier position.
func (w *Worker) write(ctx context.Context, b store.Batch) (outcomes []event.Outcome, ok bool) {
	w.metrics.writeBegun(b)
	refused := 0
	for backoff := 100 * time.Millisecond; ; backoff = min(2*backoff, 5*time.Second) {
		began := time.Now()
		outcomes, err := w.opts.Store.Write(ctx, b)
		if ctx.Err() == nil {
			w.failing.Record(err)
		}
		if err == nil {
			w.metrics.writeDone(outcomes, time.Since(began))
			return outcomes, true
		}
		if ctx.Err() != nil {
			return nil, false
		}
		w.metrics.failures.Inc()
		if errors.Is(err, store.ErrReset) {
			w.opts.Logger.Error("the store has lost its unflushed rows; they are written again from the queue", "error", err)
			return nil, false
		}
		level := slog.LevelError
		if store.IsTransient(ctx, err) {
			level = slog.LevelWarn
		} else if refused++; refused%isolateAfter == 0 {
			replaced, failed := w.isolate(ctx, &b)
			if replaced {
				continue
			}
			err = errors.Join(err, failed)
		}
		w.opts.Logger.Log(ctx, level, "the store did not accept a batch; it will be retried, and events wait in the queue",
			"first", b.First, "last", b.Last, "records", len(b.Records), "error", err)
		if wait.For(ctx, backoff) != nil {
			return nil, false
		}
	}
}

func (w *Worker) notify(last uint64, sizes []frameSize, outcomes []event.Outcome) {
	frames := make(map[uint64]progress.Outcomes, len(sizes))
	for _, s := range sizes {
		frames[s.sequence] = progress.Pack(outcomes[:s.records])
		outcomes = outcomes[s.records:]
	}
	w.opts.Progress.MarkStored(last, frames)
	w.metrics.position.Set(float64(last))
}
