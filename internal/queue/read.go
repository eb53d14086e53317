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
)

// Delivery is a frame that was read back.
type Delivery struct {
	Sequence uint64
	Frame
	Size int // bytes that it takes in the queue, about
	// Damage is set when the payload could not be read: Body is nil then, and
	// Counts are those of the message's header. It lies in quarantine.
	Damage *CorruptFrameError
}

// messageOverhead is what the server keeps beside a payload, about.
const messageOverhead = 100

// readAhead bounds what a reader holds beyond the frame it gave last.
const (
	readAheadFrames = 64
	readAheadBytes  = 2 * maxMessage
)

// Reader gives frames in the order of their sequences. Only one goroutine may
// use it at a time.
type Reader struct {
	queue    *Queue
	next     uint64
	messages jetstream.MessagesContext
}

// Reader returns a reader whose first frame is the first at or behind from.
func (q *Queue) Reader(from uint64) *Reader { return &Reader{queue: q, next: max(from, 1)} }

// Next waits for the next frame. Only the end of ctx and ErrNewer are returned as errors:
// whatever else happens is logged and tried again, because a worker that gives
// up would stop the way of all events.
func (r *Reader) Next(ctx context.Context) (Delivery, error) {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
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
		r.queue.log.Warn("reading the queue is tried again", "sequence", r.next, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

func (r *Reader) message(ctx context.Context) (jetstream.Msg, error) {
	if r.messages == nil {
		consumer, err := r.queue.js.OrderedConsumer(ctx, Stream, jetstream.OrderedConsumerConfig{
			DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
			OptStartSeq:   r.next,
			// By default it tries for ever, and does not end with ctx.
			MaxResetAttempts: 1,
		})
		if err != nil {
			return nil, fmt.Errorf("open reader of frames: %w", err)
		}
		r.messages, err = consumer.Messages(
			jetstream.PullMaxMessagesWithBytesLimit(readAheadFrames, readAheadBytes))
		if err != nil {
			return nil, fmt.Errorf("open reader of frames: %w", err)
		}
	}
	return r.messages.Next(jetstream.NextContext(ctx))
}

// Close gives back what the reader holds; Next opens it again.
func (r *Reader) Close() {
	if r.messages != nil {
		r.messages.Stop()
		r.messages = nil
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

// Get reads one frame by its sequence. It returns jetstream.ErrMsgNotFound when
// there is none.
func (q *Queue) Get(ctx context.Context, sequence uint64) (Delivery, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := q.js.Stream(ctx, Stream)
	if err != nil {
		return Delivery{}, fmt.Errorf("read frame %d: %w", sequence, err)
	}
	msg, err := stream.GetMsg(ctx, sequence)
	if err != nil {
		return Delivery{}, fmt.Errorf("read frame %d: %w", sequence, err)
	}
	return q.decode(sequence, msg.Header, msg.Data)
}

// headerCounts reads the counts beside a payload; nil when there are none.
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
