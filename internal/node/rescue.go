package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"theeye/internal/event"
	"theeye/internal/httpapi/admin"
	"theeye/internal/query"
	"theeye/internal/queue"
	"theeye/internal/store/duckdb"
)

// Bounds of what is sent at a time. A frame that is found is not split.
const (
	rescueRecords = 2_000
	rescueBytes   = 8 << 20
	rescueReceipt = 100_000 // arrivals that are looked through for those records
)

// rescuer brings what one file of the queue's quarantine holds back. A frame was written as a
// whole, so one of which any record is there is not lost.
type rescuer struct {
	node   *Node
	answer admin.RescueAnswer

	frames [][]event.Record // that are to be looked up and sent together
	size   int              // of their records
	bytes  int
}

// Rescue implements admin.Recovery. One file at a time is rescued.
func (n *Node) Rescue(ctx context.Context, file string) (admin.RescueAnswer, error) {
	content, err := readNamed(n.queue.QuarantineDir(), file)
	if err != nil {
		return admin.RescueAnswer{}, fmt.Errorf("rescue: %w", err)
	}
	if err := n.eraser.rescuing.Acquire(ctx, 1); err != nil {
		return admin.RescueAnswer{}, err
	}
	defer n.eraser.rescuing.Release(1)
	state, err := n.queue.State(ctx)
	if err != nil {
		return admin.RescueAnswer{}, err
	}
	if err := n.progress.WaitFor(ctx, state.Last); err != nil {
		return admin.RescueAnswer{}, err
	}
	r := &rescuer{node: n, answer: admin.RescueAnswer{File: file}}
	// All of it is read before anything is sent, so that nothing is when a newer version wrote it.
	if _, err := queue.Rescue(file, content, func(f queue.Rescued) error {
		_, err := event.DecodeRecords(f.Body, f.Sequence)
		return newer(err)
	}); err != nil {
		return r.answer, err
	}
	damaged, err := queue.Rescue(file, content, func(f queue.Rescued) error { return r.frame(ctx, f) })
	if err == nil {
		err = r.send(ctx)
	}
	r.answer.Damaged += damaged
	log := n.log.With("file", file, "frames", r.answer.Frames, "damaged", r.answer.Damaged, "sent", r.answer.Sent, "stored", r.answer.Stored)
	if err != nil {
		log = log.With("error", err)
	}
	log.Info("a file of the quarantine was looked through for lost events")
	return r.answer, err
}

// readNamed reads a file of a folder. Whatever is not the name of one, such as a path, or what no
// file can be called, is fs.ErrNotExist.
func readNamed(dir, name string) ([]byte, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if entry.Name() != name || strings.HasPrefix(name, ".") {
			continue
		}
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err != nil || info.Mode().IsRegular() {
			return os.ReadFile(path)
		}
	}
	return nil, fmt.Errorf("file %.200q of the quarantine: %w", name, fs.ErrNotExist)
}

// newer keeps of an error that a newer version wrote something.
func newer(err error) error {
	if errors.Is(err, event.ErrNewerRecord) {
		return fmt.Errorf("%w: %w", queue.ErrNewer, err)
	}
	return nil
}

// frame takes a frame that was found.
func (r *rescuer) frame(ctx context.Context, f queue.Rescued) error {
	records, err := event.DecodeRecords(f.Body, f.Sequence)
	if err != nil {
		r.answer.Damaged++
		return newer(err)
	}
	r.answer.Frames++
	if len(records) == 0 {
		return nil
	}
	if r.size > 0 && (r.size+len(records) > rescueRecords || r.bytes+len(f.Body) > rescueBytes) {
		if err := r.send(ctx); err != nil {
			return err
		}
	}
	r.frames = append(r.frames, records)
	r.size += len(records)
	r.bytes += len(f.Body)
	return nil
}

// arrivalKey tells an arrival from others, wherever it was put.
type arrivalKey struct {
	app string
	id  uuid.UUID
	at  event.Micros
}

// send looks up what has been gathered, and sends what is not there.
func (r *rescuer) send(ctx context.Context) error {
	there, err := r.there(ctx)
	if err != nil {
		return err
	}
	for _, records := range r.frames {
		if slices.ContainsFunc(records, func(x event.Record) bool { return there[arrivalKey{x.App(), x.EventID(), x.ReceivedAt()}] }) {
			r.answer.There += len(records)
			continue
		}
		if err := r.sendFrame(ctx, records); err != nil {
			return err
		}
	}
	r.frames, r.size, r.bytes = nil, 0, 0
	return nil
}

// there returns the arrivals of the gathered events that the store has.
func (r *rescuer) there(ctx context.Context) (map[arrivalKey]bool, error) {
	q := query.Query{MaxBytes: math.MaxInt32}
	for _, records := range r.frames {
		for _, x := range records {
			q.IDs = append(q.IDs, x.EventID())
		}
	}
	if len(q.IDs) == 0 {
		return nil, nil
	}
	arrivals, err := r.node.store.Receipt(ctx, q, rescueReceipt)
	there := make(map[arrivalKey]bool, len(arrivals))
	for _, a := range arrivals {
		there[arrivalKey{a.App, a.EventID, a.ReceivedAt}] = true
	}
	return there, err
}

// sendFrame sends the records of a lost frame in again, and waits until they are stored.
func (r *rescuer) sendFrame(ctx context.Context, records []event.Record) error {
	frame, sent, err := r.publish(ctx, records)
	if err != nil || sent == 0 {
		return err
	}
	r.answer.Sent += sent
	outcomes, err := r.node.progress.Outcomes(ctx, frame)
	if err != nil {
		return err
	}
	for i := range sent {
		switch outcomes.At(i).Fate {
		case event.Stored:
			r.answer.Stored++
		case event.Rejected:
			r.answer.Rejected++
		case event.Duplicate:
			r.answer.Duplicate++
		case event.Erased, event.Expired, event.Pending: // not among what was kept, but for a race of clocks
		}
	}
	return nil
}

// publish sends those of some records that were neither erased nor would expire.
func (r *rescuer) publish(ctx context.Context, records []event.Record) (frame uint64, sent int, err error) {
	s := r.node
	s.eraser.looking.Lock()
	defer s.eraser.looking.Unlock()
	erased := s.store.Erasures()
	var kept []event.Record
	for _, x := range records {
		if _, takes := s.validationOf(x.App()); !takes || erased.CoversFound(x) {
			r.answer.Erased++
			continue
		}
		if s.tooOld(x) {
			r.answer.Expired++
			continue
		}
		kept = append(kept, x)
	}
	if len(kept) == 0 {
		return 0, 0, nil
	}
	frame, err = s.collector.Rescue(ctx, kept)
	return frame, len(kept), err
}

// tooOld reports whether a record would have expired by now.
func (n *Node) tooOld(r event.Record) bool {
	keep := n.retain(r.App())
	now, held := n.clock.Now()
	if keep == 0 || held {
		return false
	}
	at := r.ReceivedAt()
	if r.Event != nil {
		at = min(at, r.Event.OccurredAt)
	}
	return int64(at) < now.Add(-keep).UnixMicro()
}

// Alone runs what carries events on while do runs, without serving.
func (n *Node) Alone(ctx context.Context, do func(context.Context) error) error {
	parts, stop := context.WithCancel(ctx)
	defer stop()
	g, parts := errgroup.WithContext(parts)
	g.Go(func() error { return n.store.Run(parts) })
	g.Go(func() error { return n.worker.Run(parts) })
	g.Go(func() error { return n.queue.Run(parts) })
	g.Go(func() error {
		defer stop()
		return do(parts)
	})
	err := g.Wait()
	n.flush()
	// What operators have to know stays for the next server to tell.
	n.ordered = err == nil && len(n.running.list()) == 0
	return err
}

// Readmit implements admin.Recovery.
func (n *Node) Readmit(ctx context.Context) (admin.ReadmittedAnswer, error) {
	return Readmitted(ctx, n.store)
}

// Readmitted takes damaged segments back whose files are whole again, and returns the answer for
// the operator.
func Readmitted(ctx context.Context, st *duckdb.Store) (admin.ReadmittedAnswer, error) {
	answer := admin.ReadmittedAnswer{Readmitted: []admin.ReadmittedSegment{}, Damaged: []string{}, Unnamed: []string{}}
	back, left, err := st.Readmit(ctx)
	for _, x := range back {
		answer.Readmitted = append(answer.Readmitted, admin.ReadmittedSegment{Segment: x.Segment, Events: x.Rows.Events, Rejections: x.Rows.Rejections})
	}
	for _, d := range left {
		answer.Damaged = append(answer.Damaged, d.String())
	}
	answer.Unnamed = append(answer.Unnamed, st.UnnamedFiles()...)
	return answer, err
}
