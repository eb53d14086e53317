package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"theeye/internal/wait"
)

// Delivery is a frame that was read from the queue.
type Delivery struct {
	Sequence uint64
	Frame
	Size int // approximate number of bytes that the frame takes in the queue
	// Damage is set if the payload could not be decoded: Body is nil then, Counts are those of the
	// message's header, and the payload was quarantined.
	Damage *CorruptFrameError
}

// messageOverhead is about how many bytes NATS stores in addition to a payload.
const messageOverhead = 100

// readAheadFrames and readAheadBytes bound what a reader holds after the frame that it returned
// last.
const (
	readAheadFrames = 64
	readAheadBytes  = 2 * maxMessage
	readerIdle      = 5 * time.Minute // the server then removes the consumer of an idle reader
)

// Reader returns frames in the order of their sequences. Only one goroutine may use it at a time.
type Reader struct {
	queue *Queue
	next  uint64

	consumer  jetstream.Consumer // nil until something is read
	delivered uint64             // number of messages that the consumer delivered
	batch     jetstream.MessageBatch
	end       context.CancelFunc // of the batch
	// connection ends when the client reconnects, which consumers do not survive.
	connection context.Context //nolint:containedctx // the life of the connection, not of a call
}

// Reader returns a reader that begins with the first frame at or after from.
func (q *Queue) Reader(from uint64) *Reader { return &Reader{queue: q, next: max(from, 1)} }

// Next waits for the next frame. It returns an error only when ctx is done, or one that wraps
// ErrNewer. Other errors are logged and retried, because without a worker no event would be stored
// any more.
func (r *Reader) Next(ctx context.Context) (Delivery, error) {
	for backoff := 50 * time.Millisecond; ; backoff = min(2*backoff, 2*time.Second) {
		msg, err := r.message(ctx)
		if err == nil {
			var d Delivery
			if d, err = r.queue.deliver(msg); err == nil {
				r.next = d.Sequence + 1
				return d, nil
			}
		}
		if ctx.Err() != nil {
			return Delivery{}, ctx.Err()
		}
		r.Close()
		if errors.Is(err, ErrNewer) {
			return Delivery{}, err
		}
		r.queue.log.Warn("reading the queue failed; it will be retried", "sequence", r.next, "error", err)
		_ = wait.For(ctx, backoff) // the next try sees whether ctx is done
	}
}

// message returns the next message. It requests one bounded batch at a time, for which the client
// has room: in a continuous subscription, the client drops the messages that exceed its buffer.
func (r *Reader) message(ctx context.Context) (jetstream.Msg, error) {
	for {
		if err := r.fetch(ctx); err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case msg, ok := <-r.batch.Messages():
			if ok {
				return msg, r.follows(msg)
			}
			if err := r.batch.Error(); err != nil && r.connection.Err() == nil {
				return nil, fmt.Errorf("read frames: %w", err)
			}
			r.endBatch()
		}
	}
}

// fetch requests a batch unless there is one.
func (r *Reader) fetch(ctx context.Context) (err error) {
	if r.batch != nil {
		return nil
	}
	if r.consumer == nil || r.connection.Err() != nil {
		if err := r.open(ctx); err != nil {
			return fmt.Errorf("open reader of frames: %w", err)
		}
	}
	reading, cancel := context.WithCancel(r.connection)
	r.batch, err = r.consumer.Fetch(readAheadFrames, jetstream.FetchMaxBytes(readAheadBytes), jetstream.FetchContext(reading))
	if err != nil {
		cancel()
		r.batch = nil
		return fmt.Errorf("read frames: %w", err)
	}
	r.end = cancel
	return nil
}

func (r *Reader) open(ctx context.Context) (err error) {
	r.connection, r.delivered = r.queue.connection.Load().ctx, 0
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	defer context.AfterFunc(r.connection, cancel)() // after that, no answer would arrive
	r.consumer, err = r.queue.js.CreateConsumer(ctx, Stream, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: r.next,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, InactiveThreshold: readerIdle,
	})
	return err
}

// follows returns an error if messages before this one were delivered but did not arrive.
func (r *Reader) follows(msg jetstream.Msg) error {
	meta, err := msg.Metadata()
	if err != nil {
		return fmt.Errorf("read frame's metadata: %w", err)
	}
	if r.delivered++; meta.Sequence.Consumer != r.delivered {
		return fmt.Errorf("frames before %d were delivered but did not arrive", meta.Sequence.Stream)
	}
	return nil
}

// Close releases what the reader holds. Next reopens it.
func (r *Reader) Close() {
	r.endBatch()
	r.consumer = nil
}

func (r *Reader) endBatch() {
	if r.batch != nil {
		r.end()
		r.batch = nil
	}
}

func (q *Queue) deliver(msg jetstream.Msg) (Delivery, error) {
	meta, err := msg.Metadata()
	if err != nil {
		return Delivery{}, fmt.Errorf("read frame's metadata: %w", err)
	}
	return q.decode(meta.Sequence.Stream, msg.Headers(), msg.Data())
}

func (q *Queue) decode(sequence uint64, header nats.Header, payload []byte) (Delivery, error) {
	frame, err := decodeFrame(payload)
	if err == nil {
		return Delivery{Sequence: sequence, Frame: frame, Size: messageOverhead + len(payload)}, nil
	}
	if errors.Is(err, ErrNewer) {
		return Delivery{}, fmt.Errorf("frame %d: %w", sequence, err)
	}
	d, err := q.Quarantine(sequence, header, payload, err)
	d.Size = messageOverhead + len(payload)
	return d, err
}

// headerCounts parses the counts in the header of a message. It returns nil if there are none.
func headerCounts(header nats.Header) []Count {
	var counts []Count
	for _, line := range header.Values(headerApp) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			continue
		}
		received, err1 := strconv.ParseUint(fields[1], 10, 32)
		rejected, err2 := strconv.ParseUint(fields[2], 10, 32)
		if errors.Join(err1, err2) == nil {
			counts = append(counts, Count{App: fields[0], Received: received, Rejected: rejected})
		}
	}
	return counts
}
