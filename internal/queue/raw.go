package queue

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrEnd reports that the queue has no frame at or after a sequence.
var ErrEnd = errors.New("end of the queue")

// ErrSequence reports that a frame cannot be restored under its sequence: the queue already has a
// frame there, or assigned another sequence.
var ErrSequence = errors.New("wrong sequence")

// Raw is a frame as it is stored in the queue. It is not decoded, so that a copy of a damaged frame
// is damaged in the same way.
type Raw struct {
	Sequence uint64
	Counts   []Count // of the message's header
	Payload  []byte
}

// Check decodes the payload. It returns a *CorruptFrameError if that fails, or an error that wraps
// ErrNewer for a frame of a newer version.
func (r Raw) Check() error {
	if _, err := decodeFrame(r.Payload); errors.Is(err, ErrNewer) {
		return fmt.Errorf("frame %d: %w", r.Sequence, err)
	} else if err != nil {
		return &CorruptFrameError{Sequence: r.Sequence, Reason: err.Error()}
	}
	return nil
}

// Frame decodes the payload. Errors are those of Check.
func (r Raw) Frame() (Frame, error) {
	f, err := decodeFrame(r.Payload)
	if err != nil {
		return Frame{}, r.Check()
	}
	return f, nil
}

// Raw returns the first frame at or after a sequence, or ErrEnd.
func (q *Queue) Raw(ctx context.Context, from uint64) (Raw, error) {
	stream, err := q.stream(ctx)
	if err != nil {
		return Raw{}, fmt.Errorf("read frame %d: %w", from, err)
	}
	return rawFrom(ctx, stream, from)
}

// RawRange calls do for each frame from first to last, inclusive, in order. There may be gaps. It
// returns the first error.
func (q *Queue) RawRange(ctx context.Context, first, last uint64, do func(Raw) error) error {
	stream, err := q.stream(ctx)
	if err != nil {
		return fmt.Errorf("read frames from %d: %w", first, err)
	}
	for next := first; next <= last; {
		r, err := rawFrom(ctx, stream, next)
		if errors.Is(err, ErrEnd) || err == nil && r.Sequence > last {
			return nil
		}
		if err == nil {
			err = do(r)
		}
		if err != nil {
			return err
		}
		next = r.Sequence + 1
	}
	return nil
}

func (q *Queue) stream(ctx context.Context) (jetstream.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return q.js.Stream(ctx, Stream)
}

func rawFrom(ctx context.Context, stream jetstream.Stream, from uint64) (Raw, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	// With a subject, NATS returns the first message at or after a sequence.
	msg, err := stream.GetMsg(ctx, max(from, 1), jetstream.WithGetMsgSubject(subject))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Raw{}, ErrEnd
	}
	if err != nil {
		return Raw{}, fmt.Errorf("read frame %d: %w", from, err)
	}
	return Raw{Sequence: msg.Sequence, Counts: headerCounts(msg.Header), Payload: msg.Data}, nil
}

// Restore publishes frames under the sequences that they had, and returns when they are fsynced.
// The frames must be in order and follow those in the queue; sequences without a frame stay empty.
// For frames that do not begin with sequence 1, open the queue with FirstSequence. Nothing else may
// publish at the same time. Restore ends with the first error of frames.
func (q *Queue) Restore(ctx context.Context, frames iter.Seq2[Raw, error]) error {
	state, err := q.State(ctx)
	if err != nil {
		return err
	}
	last := state.Last
	for r, err := range frames {
		if err == nil {
			err = q.Err()
		}
		if err != nil {
			return err
		}
		if last >= r.Sequence || r.Sequence == math.MaxUint64 {
			return fmt.Errorf("restore frame %d: %w: the queue ends with frame %d", r.Sequence, ErrSequence, last)
		}
		if err := q.skipTo(ctx, last+1, r.Sequence); err != nil {
			return err
		}
		if last, err = q.publish(ctx, &nats.Msg{Subject: subject, Data: r.Payload, Header: countHeader(r.Counts)}); err != nil {
			return fmt.Errorf("restore frame %d: %w", r.Sequence, err)
		}
		if last != r.Sequence {
			return fmt.Errorf("restore frame %d: %w: it became frame %d", r.Sequence, ErrSequence, last)
		}
	}
	return nil
}

// skipTo leaves the sequences between from, inclusive, and to, exclusive, without a frame.
func (q *Queue) skipTo(ctx context.Context, from, to uint64) error {
	if from >= to {
		return nil
	}
	stream, err := q.stream(ctx)
	if err != nil {
		return fmt.Errorf("skip frame %d: %w", from, err)
	}
	for ; from < to; from++ {
		sequence, err := q.publish(ctx, nats.NewMsg(subject))
		if err == nil {
			err = stream.DeleteMsg(ctx, sequence)
		}
		if err != nil {
			return fmt.Errorf("skip frame %d: %w", from, err)
		}
	}
	return nil
}

// countHeader repeats the counts of a frame in the header of its message, one line per application,
// so that the events of a damaged payload can still be counted.
func countHeader(counts []Count) nats.Header {
	header := nats.Header{}
	for _, c := range counts {
		header.Add(headerApp, c.App+" "+strconv.FormatUint(c.Received, 10)+" "+strconv.FormatUint(c.Rejected, 10))
	}
	return header
}
