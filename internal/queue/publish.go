package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// headerApp is the name of the header lines of countHeader.
const headerApp = "Eye-App"

// Server error codes that mean that nothing was written, because of the size or the quota. See
// errors.json of nats-server.
const (
	codeMessageTooLarge       = 10054
	codeHeaderTooLarge        = 10097
	codeInsufficientResources = 10023
	codeStorageExceeded       = 10047
	codeStreamStoreFailed     = 10077
)

// Publish writes a frame and returns its sequence once the frame is fsynced. It takes at most ten
// seconds. Errors: ErrFull, ErrTooLarge and ErrBroken (not written), ErrUnknown (may be written).
func (q *Queue) Publish(ctx context.Context, f Frame) (uint64, error) {
	if err := q.Err(); err != nil {
		return 0, err
	}
	payload, err := encodeFrame(f)
	if err != nil {
		return 0, err
	}
	sequence, err := q.publish(ctx, &nats.Msg{Subject: subject, Data: payload, Header: countHeader(f.Counts)})
	if err == nil {
		err = q.confirmFrame(sequence, f.Counts)
	}
	return sequence, err
}

// confirmFrame adds a durable frame to the confirmed record. Before that, the frame must not be
// acknowledged.
func (q *Queue) confirmFrame(sequence uint64, counts []Count) error {
	if q.confirmed == nil {
		return nil
	}
	if err := q.confirmed.add(sequence, counts); err != nil {
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return nil
}

func (q *Queue) publish(ctx context.Context, msg *nats.Msg) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	// A server whose writes have failed does not answer any more.
	defer context.AfterFunc(q.instance.Load().writeFailed, cancel)()
	began := time.Now()
	ack, err := q.js.PublishMsg(ctx, msg, jetstream.WithExpectStream(Stream), jetstream.WithRetryAttempts(0))
	if err != nil {
		q.metrics.failed.Inc()
		return 0, q.publishError(err)
	}
	if err := q.syncNames(ctx); err != nil {
		return 0, err
	}
	q.markAcknowledged(ack.Sequence)
	q.metrics.publish.Observe(time.Since(began).Seconds())
	q.metrics.size.Observe(float64(len(msg.Data)))
	return ack.Sequence, nil
}

func (q *Queue) publishError(err error) error {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		switch api.ErrorCode {
		case codeMessageTooLarge, codeHeaderTooLarge:
			return fmt.Errorf("%w: %w", ErrTooLarge, err)
		case codeInsufficientResources, codeStorageExceeded:
			return fmt.Errorf("%w: %w", ErrFull, err)
		case codeStreamStoreFailed:
			if strings.Contains(api.Description, "maximum bytes exceeded") {
				return fmt.Errorf("%w: %w", ErrFull, err)
			}
		}
	}
	return fmt.Errorf("%w: %w", ErrUnknown, err)
}

func (q *Queue) markAcknowledged(sequence uint64) {
	for {
		before := q.lastAcknowledged.Load()
		if sequence <= before || q.lastAcknowledged.CompareAndSwap(before, sequence) {
			return
		}
	}
}
