package worker

import (
	"context"
	"errors"
	"slices"

	"theeye/internal/event"
	"theeye/internal/store"
)

// isolateAfter is how often the store refuses a batch, for a reason that it does not expect to pass,
// before the worker looks for the record that it refuses.
const isolateAfter = 5

// prober is a store that can tell whether it would take records. Probe keeps nothing. Its errors are
// those of store.Writer.
type prober interface {
	Probe(ctx context.Context, records []event.Record) error
}

// isolate replaces the records that the store does not take by rejections that it takes, so that
// they do not hold up what is behind them. It reports whether it replaced any. What a
// rejection cannot hold of a record is in the queue's quarantine then.
func (w *Worker) isolate(ctx context.Context, b *store.Batch) (replaced bool, err error) {
	s, ok := w.opts.Store.(prober)
	if !ok {
		return false, nil
	}
	records := slices.Clone(b.Records)
	for from := 0; from < len(records); {
		i, reason, err := firstRefused(ctx, s, records[from:])
		if err != nil {
			return false, err
		}
		if reason == nil {
			break
		}
		i += from
		instead, err := w.instead(ctx, s, records[i], reason)
		if err != nil {
			return false, err
		}
		w.opts.Logger.Error("the store does not take a record; it is kept as a rejection with the code "+event.NotStorable,
			"app", records[i].App(), "event_id", records[i].EventID(), "frame", records[i].CarriedBy(), "error", reason)
		w.metrics.refused.Inc()
		records[i], replaced, from = instead, true, i+1
	}
	b.Records = records
	return replaced, nil
}

// firstRefused returns the first record that the store does not take, and why; reason is nil when it
// takes them all. The error is one that may pass.
func firstRefused(ctx context.Context, s prober, records []event.Record) (i int, reason, err error) {
	refuses := func(list []event.Record) bool {
		problem := s.Probe(ctx, list)
		if problem == nil {
			return false
		}
		if mayPass(ctx, problem) {
			err = problem
			return false
		}
		reason = problem
		return true
	}
	if !refuses(records) {
		return 0, nil, err
	}
	low, high := 0, len(records) // records[:low] are taken, and of records[:high] one is not
	for high-low > 1 {
		middle := (low + high) / 2
		if refuses(records[low:middle]) {
			high = middle
		} else {
			low = middle
		}
		if err != nil {
			return 0, nil, err
		}
	}
	return low, reason, nil
}

// mayPass reports whether an error of a store is one that ends by itself.
func mayPass(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrReset)
}

// instead returns what the store takes in the place of a record: a rejection that has all of it,
// else one without texts, whose record is quarantined.
func (w *Worker) instead(ctx context.Context, s prober, r event.Record, reason error) (event.Record, error) {
	whole := event.Record{Rejection: event.Unstorable(r, reason.Error())}
	if s.Probe(ctx, []event.Record{whole}) == nil {
		return whole, nil
	}
	if err := w.opts.Queue.QuarantineRecord(r.Position().Frame, r.Position().Index, event.AppendRecord(nil, r, true)); err != nil {
		return r, err
	}
	bare := *whole.Rejection
	bare.ClientID, bare.SessionID, bare.Category, bare.Name, bare.Raw = "", "", "", "", nil
	bare.Problems = bare.Problems[len(bare.Problems)-1:]
	bare.Problems[0].Message = "the store does not take it, nor its text, which is in queue/quarantine"
	return event.Record{Rejection: &bare}, s.Probe(ctx, []event.Record{{Rejection: &bare}})
}
