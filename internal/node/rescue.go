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

// Limits of what is looked up and sent at a time. A rescued frame is not split.
const (
	rescueRecords = 2_000
	rescueBytes   = 8 << 20
	rescueReceipt = 100_000 // arrivals with the ids of these records that are looked up
)

// rescuer brings back the records of one file of the queue's quarantine. The store takes a frame as
// a whole, so a frame of which it has any record is not lost.
type rescuer struct {
	node   *Node
	answer admin.RescueAnswer

	frames  [][]event.Record // are looked up and sent together
	records int              // their number, in all frames
	bytes   int              // of all frames
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
	// If a newer version wrote the file, nothing of it is sent, so it is read once before that.
	if _, err := queue.Rescue(file, content, func(f queue.Rescued) error {
		_, err := event.DecodeRecords(f.Body, f.Sequence)
		return newerVersion(err)
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
	log.Info("searched a file of the quarantine for lost events")
	return r.answer, err
}

// readNamed reads the file with a name in a folder. The error is fs.ErrNotExist when the folder has
// no such file, also for a path and for a name that no file can have.
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

// newerVersion returns queue.ErrNewer for an error of a record that a newer version wrote, nil for
// any other error.
func newerVersion(err error) error {
	if errors.Is(err, event.ErrNewerRecord) {
		return fmt.Errorf("%w: %w", queue.ErrNewer, err)
	}
	return nil
}

// frame adds a rescued frame to those that are sent together.
func (r *rescuer) frame(ctx context.Context, f queue.Rescued) error {
	records, err := event.DecodeRecords(f.Body, f.Sequence)
	if err != nil {
		r.answer.Damaged++
		return newerVersion(err)
	}
	r.answer.Frames++
	if len(records) == 0 {
		return nil
	}
	if r.records > 0 && (r.records+len(records) > rescueRecords || r.bytes+len(f.Body) > rescueBytes) {
		if err := r.send(ctx); err != nil {
			return err
		}
	}
	r.frames = append(r.frames, records)
	r.records += len(records)
	r.bytes += len(f.Body)
	return nil
}

// arrivalKey identifies an arrival, whichever frame carried it.
type arrivalKey struct {
	app string
	id  uuid.UUID
	at  event.Micros
}

// send sends the collected frames that the store does not have.
func (r *rescuer) send(ctx context.Context) error {
	stored, err := r.storedArrivals(ctx)
	if err != nil {
		return err
	}
	for _, records := range r.frames {
		if slices.ContainsFunc(records, func(record event.Record) bool {
			return stored[arrivalKey{record.App(), record.EventID(), record.ReceivedAt()}]
		}) {
			r.answer.There += len(records)
			continue
		}
		if err := r.sendFrame(ctx, records); err != nil {
			return err
		}
	}
	r.frames, r.records, r.bytes = nil, 0, 0
	return nil
}

// storedArrivals returns the arrivals that the store has of the events in the collected frames.
func (r *rescuer) storedArrivals(ctx context.Context) (map[arrivalKey]bool, error) {
	q := query.Query{MaxBytes: math.MaxInt32}
	for _, records := range r.frames {
		for _, record := range records {
			q.IDs = append(q.IDs, record.EventID())
		}
	}
	if len(q.IDs) == 0 {
		return nil, nil
	}
	arrivals, err := r.node.store.Receipt(ctx, q, rescueReceipt)
	stored := make(map[arrivalKey]bool, len(arrivals))
	for _, a := range arrivals {
		stored[arrivalKey{a.App, a.EventID, a.ReceivedAt}] = true
	}
	return stored, err
}

// sendFrame sends the records of a lost frame again, and waits until the store has decided them.
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
		case event.Erased, event.Expired, event.Pending: // publish has left these out; the clocks may disagree
		}
	}
	return nil
}

// publish sends the records that were not erased and would not expire.
func (r *rescuer) publish(ctx context.Context, records []event.Record) (frame uint64, sent int, err error) {
	n := r.node
	n.eraser.tombstoneMu.Lock()
	defer n.eraser.tombstoneMu.Unlock()
	erased := n.store.Erasures()
	var kept []event.Record
	for _, record := range records {
		if _, accepts := n.validationOf(record.App()); !accepts || erased.CoversFound(record) {
			r.answer.Erased++
			continue
		}
		if n.tooOld(record) {
			r.answer.Expired++
			continue
		}
		kept = append(kept, record)
	}
	if len(kept) == 0 {
		return 0, 0, nil
	}
	frame, err = n.collector.Rescue(ctx, kept)
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

// RunOffline runs the queue, the worker and the store while it calls do. It serves no requests.
func (n *Node) RunOffline(ctx context.Context, do func(context.Context) error) error {
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
	// Notices for operators stay in the file "running", and the next server reports them.
	n.cleanShutdown = err == nil && len(n.running.list()) == 0
	return err
}

// Readmit implements admin.Recovery.
func (n *Node) Readmit(ctx context.Context) (admin.ReadmittedAnswer, error) {
	return Readmitted(ctx, n.store)
}

// Readmitted readmits the damaged segments of which there is an intact file, and returns the answer
// for the operator.
func Readmitted(ctx context.Context, st *duckdb.Store) (admin.ReadmittedAnswer, error) {
	answer := admin.ReadmittedAnswer{Readmitted: []admin.ReadmittedSegment{}, Damaged: []string{}, Unnamed: []string{}}
	readmitted, damaged, err := st.Readmit(ctx)
	for _, x := range readmitted {
		answer.Readmitted = append(answer.Readmitted, admin.ReadmittedSegment{
			Segment:    x.Segment,
			Events:     x.Rows.Events,
			Rejections: x.Rows.Rejections,
		})
	}
	for _, d := range damaged {
		answer.Damaged = append(answer.Damaged, d.String())
	}
	answer.Unnamed = append(answer.Unnamed, st.UnnamedFiles()...)
	return answer, err
}
