package node

import (
	"context"
	"fmt"
	"iter"
	"time"

	"theeye/internal/event"
	"theeye/internal/queue"
	"theeye/internal/store/duckdb"
)

// frameTimeout bounds the wait for a frame that the queue should have.
const frameTimeout = 10 * time.Second

// storeQueue implements duckdb.Queue with the queue of a node, which is opened after the store.
type storeQueue struct{ node *Node }

// QuarantineRecord implements duckdb.Queue.
func (q storeQueue) QuarantineRecord(frame uint64, index uint32, record []byte) error {
	return q.node.queue.QuarantineRecord(frame, index, record)
}

// ExtendConfirmed implements duckdb.Queue.
func (q storeQueue) ExtendConfirmed(frame uint64) error { return q.node.queue.ExtendConfirmed(frame) }

// Frames implements duckdb.Queue. A segment is rebuilt from these frames. A trim of the queue ends
// the sequence.
func (q storeQueue) Frames(ctx context.Context, first, last uint64) iter.Seq2[[]event.Record, error] {
	return q.node.frames(ctx, first, last)
}

func (n *Node) frames(ctx context.Context, first, last uint64) iter.Seq2[[]event.Record, error] {
	return func(yield func([]event.Record, error) bool) {
		if err := n.holdsFrames(ctx, first, last); err != nil {
			yield(nil, err)
			return
		}
		r := n.queue.Reader(first)
		defer r.Close()
		for at := first; at <= last; at++ {
			records, err := n.frame(ctx, r, at)
			if !yield(records, err) || err != nil {
				return
			}
		}
	}
}

// holdsFrames returns nil if the queue has all frames from first to last, else duckdb.ErrNoFrames.
func (n *Node) holdsFrames(ctx context.Context, first, last uint64) error {
	state, err := n.queue.State(ctx)
	if err == nil && (state.First > first || state.Last < last) {
		return fmt.Errorf("%w: it holds %d to %d, not %d to %d", duckdb.ErrNoFrames, state.First, state.Last, first, last)
	}
	return err
}

// frame reads the records of the next frame, which must have the given sequence and be intact.
func (n *Node) frame(ctx context.Context, r *queue.Reader, sequence uint64) ([]event.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, frameTimeout)
	defer cancel()
	d, err := r.Next(ctx)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read frame %d again: %w", sequence, err)
	case d.Sequence != sequence:
		return nil, fmt.Errorf("%w: after frame %d comes %d", duckdb.ErrNoFrames, sequence-1, d.Sequence)
	case d.Damage != nil:
		return nil, fmt.Errorf("%w: %w", duckdb.ErrNoFrames, d.Damage)
	}
	records, err := event.DecodeRecords(d.Body, sequence)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", duckdb.ErrNoFrames, err)
	}
	return records, nil
}
