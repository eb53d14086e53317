package worker

import (
	"context"

	"theeye/internal/event"
	"theeye/internal/store"
)

// isolateAfter is how many times the store refuses a batch, for a reason that is not transient,
// before the worker looks for the record at fault.
const isolateAfter = 5

// prober is a store that can check whether it would accept records; see store.Probe.
type prober interface {
	Probe(ctx context.Context, records []event.Record) error
}

// isolate replaces the records that the store refuses by rejections. It reports whether it replaced
// any.
func (w *Worker) isolate(ctx context.Context, b *store.Batch) (replaced bool, err error) {
	s, ok := w.opts.Store.(prober)
	if !ok {
		return false, nil
	}
	isolator := store.Isolator{Quarantine: w.opts.Queue.QuarantineRecord, Logger: w.opts.Logger}
	records, n, err := isolator.Isolate(ctx, s.Probe, b.Records)
	if err != nil || n == 0 {
		return false, err
	}
	w.metrics.refused.Add(float64(n))
	b.Records = records
	return true, nil
}
