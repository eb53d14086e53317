package queue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"theeye/internal/queue"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The server's own loops, which end some time after its shutdown.
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).flushStreamStateLoop"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server/stree.init"))
}

func open(t *testing.T, opts queue.Options) *queue.Queue {
	t.Helper()
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	q, err := queue.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	return q
}

func frame(text string) queue.Frame {
	return queue.Frame{Counts: []queue.Count{{App: "shop", Received: 3, Rejected: 1}}, Body: []byte(text)}
}

func publish(t *testing.T, q *queue.Queue, text string) uint64 {
	t.Helper()
	seq, err := q.Publish(t.Context(), frame(text))
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

func read(t *testing.T, q *queue.Queue, from uint64, n int) []queue.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r := q.Reader(from)
	defer r.Close()
	var got []queue.Delivery
	for range n {
		d, err := r.Next(ctx)
		if err != nil {
			t.Fatalf("after %d frames: %v", len(got), err)
		}
		got = append(got, d)
	}
	return got
}

func TestFramesComeBackInOrderAfterReopening(t *testing.T) {
	dir := t.TempDir()
	q := open(t, queue.Options{Dir: dir, Registerer: prometheus.NewRegistry()})
	for i := range 5 {
		if seq := publish(t, q, fmt.Sprint("body ", i)); seq != uint64(i+1) {
			t.Fatalf("frame %d has sequence %d", i, seq)
		}
	}
	q.Close()
	q = open(t, queue.Options{Dir: dir})
	for i, d := range read(t, q, 2, 4) {
		want := queue.Delivery{Sequence: uint64(i + 2), Frame: frame(fmt.Sprint("body ", i+1))}
		d.Size = 0
		if diff := cmp.Diff(want, d); diff != "" {
			t.Error(diff)
		}
	}
}

func TestReaderWaitsForWhatComes(t *testing.T) {
	q := open(t, queue.Options{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		if got := read(t, q, 1, 1); string(got[0].Body) != "late" {
			t.Errorf("got %q", got[0].Body)
		}
	}()
	publish(t, q, "late")
	<-done
}

// A worker must be able to stop after the queue has stopped working.
func TestReaderThatFailsEndsWithItsContext(t *testing.T) {
	failing := make(signal, 1)
	q := open(t, queue.Options{Logger: slog.New(slog.NewTextHandler(failing, nil))})
	publish(t, q, "x")
	ctx, cancel := context.WithCancel(t.Context())
	read, done := make(chan struct{}), make(chan error)
	go func() {
		r := q.Reader(1)
		defer r.Close()
		_, _ = r.Next(ctx)
		close(read)
		_, err := r.Next(ctx)
		done <- err
	}()
	<-read
	if err := q.JetStream().DeleteStream(t.Context(), "EYE_FRAMES"); err != nil {
		t.Fatal(err)
	}
	timeout, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	select {
	case <-failing:
	case <-timeout.Done():
		t.Error("the reader does not log that it fails")
	}
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	case <-timeout.Done():
		t.Error("the reader goes on after its context has ended")
	}
}

// TestSlowReaderDropsNothing reads a backlog more slowly than the queue delivers it.
func TestSlowReaderDropsNothing(t *testing.T) {
	logged := make(signal, 1)
	q := open(t, queue.Options{Logger: slog.New(slog.NewTextHandler(logged, nil))})
	var publishers sync.WaitGroup
	const each, frames = 100, 800
	for range frames / each {
		publishers.Go(func() {
			for range each {
				publish(t, q, "x")
			}
		})
	}
	publishers.Wait()
	r := q.Reader(1)
	defer r.Close()
	for i := range uint64(frames) {
		if d, err := r.Next(t.Context()); err != nil || d.Sequence != i+1 {
			t.Fatalf("frame %d: got %d: %v", i+1, d.Sequence, err)
		}
		if _, err := q.State(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-logged:
		t.Error("something was dropped, or read a second time")
	default:
	}
}

// signal is a log that signals each write.
type signal chan struct{}

func (s signal) Write(line []byte) (int, error) {
	select {
	case s <- struct{}{}:
	default:
	}
	return len(line), nil
}

func TestConcurrentPublishersGetDistinctSequences(t *testing.T) {
	q := open(t, queue.Options{})
	var mu sync.Mutex
	bodies := map[uint64]string{}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 20 {
				text := fmt.Sprint(w, "/", i)
				seq, err := q.Publish(context.Background(), frame(text))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				bodies[seq] = text
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for _, d := range read(t, q, 1, 160) {
		if bodies[d.Sequence] != string(d.Body) {
			t.Errorf("sequence %d holds %q, acknowledged was %q", d.Sequence, d.Body, bodies[d.Sequence])
		}
	}
}

func TestFullQueueRefusesAndStillTakesMetadata(t *testing.T) {
	q := open(t, queue.Options{MaxBytes: 1 << 20})
	kv, err := q.JetStream().CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "keys", Storage: jetstream.FileStorage})
	if err != nil {
		t.Fatal(err)
	}
	noise := rand.NewChaCha8([32]byte{1})
	var kept []uint64
	for {
		body := make([]byte, 100<<10)
		_, _ = noise.Read(body)
		seq, err := q.Publish(t.Context(), queue.Frame{Body: body})
		if err != nil {
			if !errors.Is(err, queue.ErrFull) {
				t.Fatalf("a full queue answered %v", err)
			}
			break
		}
		kept = append(kept, seq)
	}
	if len(kept) < 5 {
		t.Fatalf("only %d frames of 100 KiB fit into 1 MiB", len(kept))
	}
	if _, err := kv.PutString(t.Context(), "key", "revoked"); err != nil {
		t.Errorf("metadata cannot be written when the queue is full: %v", err)
	}
	if err := q.Trim(t.Context(), kept[1]); err != nil {
		t.Fatal(err)
	}
	publish(t, q, "there is room again")
	if got := read(t, q, 1, 1); got[0].Sequence != kept[2] {
		t.Errorf("first frame after trimming is %d, want %d", got[0].Sequence, kept[2])
	}
	if _, err := q.Publish(t.Context(), queue.Frame{Body: make([]byte, queue.MaxBody+1)}); !errors.Is(err, queue.ErrTooLarge) {
		t.Errorf("too large a frame: %v", err)
	}
}

func TestLowDiskRefusesBeforePublishing(t *testing.T) {
	q := open(t, queue.Options{Reserve: 1 << 60})
	if _, err := q.Publish(t.Context(), frame("x")); !errors.Is(err, queue.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	s, err := q.State(t.Context())
	if err != nil || s.Frames != 0 {
		t.Errorf("state %+v, %v", s, err)
	}
}

func TestLostFolderContinuesBehindTheStore(t *testing.T) {
	dir := t.TempDir()
	q := open(t, queue.Options{Dir: dir, FirstSequence: 42})
	if seq := publish(t, q, "x"); seq != 42 {
		t.Errorf("new queue begins at %d, want 42", seq)
	}
	q.Close()
	q = open(t, queue.Options{Dir: dir, FirstSequence: 43})
	if seq := publish(t, q, "y"); seq != 43 {
		t.Errorf("queue that ends where the store does continues at %d, want 43", seq)
	}
	q.Close()
	q = open(t, queue.Options{Dir: dir, FirstSequence: 100})
	if seq := publish(t, q, "z"); seq != 100 {
		t.Errorf("queue older than the store continues at %d, want 100", seq)
	}
}

func TestDamagedFrameIsQuarantinedAndNeverBlocks(t *testing.T) {
	q := open(t, queue.Options{})
	publish(t, q, "first")
	msg := &nats.Msg{Subject: "eye.frames", Data: []byte("no frame"), Header: nats.Header{}}
	msg.Header.Add("Eye-App", "shop 7 2")
	if _, err := q.JetStream().PublishMsg(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
	publish(t, q, "third")
	got := read(t, q, 1, 3)
	if got[1].Damage == nil || got[1].Body != nil {
		t.Fatalf("damage was not reported: %+v", got[1])
	}
	if diff := cmp.Diff([]queue.Count{{App: "shop", Received: 7, Rejected: 2}}, got[1].Counts); diff != "" {
		t.Error(diff)
	}
	if string(got[2].Body) != "third" {
		t.Errorf("the next frame is %q", got[2].Body)
	}
	kept, err := os.ReadFile(filepath.Join(q.QuarantineDir(), "frame-00000000000000000002"))
	if err != nil || !bytes.Equal(kept, msg.Data) {
		t.Errorf("quarantine holds %q, %v", kept, err)
	}
}

// A frame whose counts exceed the server's header is refused with the reason, and one whose counts
// just fit is accepted.
func TestFrameOfManyApplications(t *testing.T) {
	q := open(t, queue.Options{})
	for name, pattern := range map[string]string{"short names": "a%d", "long names": "a%063d"} {
		f, size := queue.Frame{Body: []byte("many")}, 0
		for {
			c := queue.Count{App: fmt.Sprintf(pattern, len(f.Counts)), Received: math.MaxUint32, Rejected: math.MaxUint32}
			if size += c.HeaderBytes(); size > queue.MaxCounts {
				break
			}
			f.Counts = append(f.Counts, c)
		}
		seq, err := q.Publish(t.Context(), f)
		if err != nil {
			t.Fatalf("%s: a frame of %d applications: %v", name, len(f.Counts), err)
		}
		if d := read(t, q, seq, 1)[0]; len(d.Counts) != len(f.Counts) {
			t.Errorf("%s: %d of %d counts came back", name, len(d.Counts), len(f.Counts))
		}
		for i := range 3000 {
			f.Counts = append(f.Counts, queue.Count{App: fmt.Sprintf("more%d", i)})
		}
		if _, err := q.Publish(t.Context(), f); !errors.Is(err, queue.ErrTooLarge) {
			t.Errorf("%s: a frame of %d applications: %v", name, len(f.Counts), err)
		}
	}
}

// A missing description is rewritten, and nothing is lost.
func TestStreamWithoutItsDescription(t *testing.T) {
	dir := t.TempDir()
	q := open(t, queue.Options{Dir: dir})
	publish(t, q, "flushed")
	q.Close()
	found, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", queue.Stream, "meta.inf"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	if err := os.Remove(found[0]); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	q = open(t, queue.Options{Dir: dir, FirstSequence: 2, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if sequence := publish(t, q, "next"); sequence != 2 {
		t.Errorf("the next frame is %d", sequence)
	}
	r, err := q.Raw(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if f, err := r.Frame(); err != nil || string(f.Body) != "flushed" {
		t.Errorf("got %q, %v", f.Body, err)
	}
	if text := log.String(); strings.Contains(text, "ERROR") || strings.Contains(text, "lost") || !strings.Contains(text, "it was rewritten") {
		t.Errorf("the log says %s", text)
	}
}
