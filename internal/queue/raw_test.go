package queue_test

import (
	"errors"
	"iter"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"theeye/internal/queue"
)

func rawFrames(t *testing.T, q *queue.Queue, first, last uint64) []queue.Raw {
	t.Helper()
	var got []queue.Raw
	err := q.RawRange(t.Context(), first, last, func(r queue.Raw) error {
		got = append(got, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func all(frames ...queue.Raw) iter.Seq2[queue.Raw, error] {
	return func(yield func(queue.Raw, error) bool) {
		for _, r := range frames {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// gaps deletes frames, like damage to a file of the queue.
func gaps(t *testing.T, q *queue.Queue, sequences ...uint64) {
	t.Helper()
	stream, err := q.JetStream().Stream(t.Context(), "EYE_FRAMES")
	if err != nil {
		t.Fatal(err)
	}
	for _, sequence := range sequences {
		if err := stream.DeleteMsg(t.Context(), sequence); err != nil {
			t.Fatal(err)
		}
	}
}

// A queue that is copied frame by frame has the same sequences, payloads and headers, even with
// gaps and damaged frames.
func TestCopiedQueueIsTheSame(t *testing.T) {
	q := open(t, queue.Options{FirstSequence: 40})
	for _, text := range []string{"40", "41", "42", "43", "44"} {
		publish(t, q, text)
	}
	msg := &nats.Msg{Subject: "eye.frames", Data: []byte("no frame"), Header: nats.Header{}}
	msg.Header.Add("Eye-App", "shop 7 2")
	if _, err := q.JetStream().PublishMsg(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
	publish(t, q, "46")
	gaps(t, q, 40, 42, 43, 46)

	want := rawFrames(t, q, 1, math.MaxUint64-1)
	var sequences []uint64
	for _, r := range want {
		sequences = append(sequences, r.Sequence)
		var damage *queue.CorruptFrameError
		if err := r.Check(); (r.Sequence == 45) != errors.As(err, &damage) {
			t.Errorf("frame %d: %v", r.Sequence, err)
		}
	}
	if diff := cmp.Diff([]uint64{41, 44, 45}, sequences); diff != "" {
		t.Error(diff)
	}
	if got := rawFrames(t, q, 42, 44); len(got) != 1 || got[0].Sequence != 44 {
		t.Errorf("frames 42 to 44 are %+v", got)
	}
	if _, err := q.Raw(t.Context(), 46); !errors.Is(err, queue.ErrEnd) {
		t.Errorf("after the last frame: %v", err)
	}

	dir := t.TempDir()
	c := open(t, queue.Options{Dir: dir, FirstSequence: 40})
	for _, part := range [][]queue.Raw{want[:1], want[1:]} {
		if err := c.Restore(t.Context(), all(part...)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Restore(t.Context(), all(want[1])); !errors.Is(err, queue.ErrSequence) {
		t.Errorf("a frame put back twice: %v", err)
	}
	c.Close()
	c = open(t, queue.Options{Dir: dir, FirstSequence: 40})
	if diff := cmp.Diff(want, rawFrames(t, c, 40, 45)); diff != "" {
		t.Errorf("the copy (-want +got):\n%s", diff)
	}
	if got := read(t, c, 40, 3); got[2].Damage == nil || got[2].Counts[0].Received != 7 {
		t.Errorf("the damaged frame is %+v", got[2])
	}
}
