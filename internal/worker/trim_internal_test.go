package worker

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"theeye/internal/queue"
	"theeye/internal/store/memory"
)

func TestTrimmer(t *testing.T) {
	const keep = 1000
	var x trimmer
	x.begin(10, queue.State{First: 11, Last: 10})
	want := func(flushed, upTo uint64) {
		t.Helper()
		if got := x.next(flushed, keep); got != upTo {
			t.Errorf("flushed %d: trimmed up to %d, want %d", flushed, got, upTo)
		}
	}
	want(10, 10)
	x.batchWritten(12, []frameSize{{11, 1, 400}, {12, 1, 400}})
	x.batchWritten(13, []frameSize{{13, 1, 400}})
	want(11, 10) // within a batch
	want(12, 10)
	want(13, 12)
	x.begin(13, queue.State{}) // after a reset
	x.batchWritten(14, []frameSize{{14, 1, 400}})
	want(13, 12)
	want(14, 12)
	x.batchWritten(15, []frameSize{{15, 1, 5000}}) // more than may be kept
	want(15, 15)
}

// What a process before has left counts too: else a queue that is full of what is
// flushed would stay full for ever.
func TestTrimmerAtStart(t *testing.T) {
	for name, test := range map[string]struct {
		position uint64
		held     queue.State
		upTo     uint64
	}{
		"little":       {100, queue.State{First: 51, Last: 100, Frames: 50, Bytes: 500}, 50},
		"full":         {100, queue.State{First: 1, Last: 100, Frames: 100, Bytes: 2000}, 50},
		"not flushed":  {50, queue.State{First: 1, Last: 100, Frames: 100, Bytes: 1600}, 0},
		"all behind":   {10, queue.State{First: 11, Last: 100, Frames: 90, Bytes: 2000}, 10},
		"empty":        {10, queue.State{First: 11, Last: 10}, 10},
		"new, nothing": {0, queue.State{First: 1}, 0},
	} {
		var x trimmer
		x.begin(test.position, test.held)
		if got := x.next(test.position, 1000); got != test.upTo {
			t.Errorf("%s: trimmed up to %d, want %d", name, got, test.upTo)
		}
	}
}

// A trim that the end of the worker interrupts is not told; one that fails is.
func TestTrimThatIsInterrupted(t *testing.T) {
	q, err := queue.Open(t.Context(), queue.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	var log strings.Builder
	w := New(Options{Queue: q, Store: memory.New(), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	w.trimmer.begin(1, queue.State{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.trim(ctx)
	if log.Len() > 0 {
		t.Errorf("the log says %s", log.String())
	}
	q.Close()
	w.trim(t.Context())
	if !strings.Contains(log.String(), "the queue was not trimmed") {
		t.Errorf("of a queue that is closed the log says %q", log.String())
	}
}
