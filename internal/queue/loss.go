package queue

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// Loss describes acknowledged frames that are missing.
type Loss struct {
	First, Last uint64  // the sequences that are missing
	Counts      []Count // by application; empty if nothing is known to be lost
}

// Events returns how many events are lost.
func (l Loss) Events() (n uint64) {
	for _, c := range l.Counts {
		n += c.Received
	}
	return n
}

// ConfirmedDamage says what is wrong with the confirmed record that Open found, for example that it
// is missing. It is empty if the record is intact.
func (q *Queue) ConfirmedDamage() string {
	if q.confirmed == nil {
		return ""
	}
	return q.confirmed.damage
}

// ConfirmedID returns the id of the confirmed record, after Reconcile.
func (q *Queue) ConfirmedID() string {
	if q.confirmed == nil {
		return ""
	}
	return q.confirmed.id
}

// ExtendConfirmed makes the confirmed record durable up to a frame. It must be called before the
// store flushes that frame: a record that ends before a flushed frame counts as damaged.
func (q *Queue) ExtendConfirmed(frame uint64) error {
	if q.confirmed == nil {
		return nil
	}
	if err := q.confirmed.extendTo(frame); err != nil { // never retried, as in syncConfirmed
		q.fail(err)
		return *q.broken.Load()
	}
	return nil
}

// Reconcile compares the totals of the confirmed record with what exists. stored is how much the
// store has received from each application in the frames up to flushed. The totals may include
// frames that are neither stored, nor in the queue, nor listed in the record any more, because the
// store was replaced by an older copy: from then on, LostBefore counts them as lost. A record that
// does not exist yet, as in a directory of an earlier version, begins with what the store and the
// queue have.
//
// Reconcile must be called once, before the first Publish.
func (q *Queue) Reconcile(ctx context.Context, flushed uint64, stored map[string]uint64) error {
	if q.confirmed == nil {
		return nil
	}
	want, _ := q.confirmed.total()
	known := map[string]Count{}
	for app, n := range stored {
		known[app] = Count{App: app, Received: n}
	}
	lines, err := q.confirmed.between(flushed+1, ^uint64(0))
	if err != nil {
		return err
	}
	has := make(map[uint64]bool, len(lines))
	for _, e := range lines {
		has[e.sequence] = true
		e.addTo(known)
	}
	// Frames without a line are those of an earlier version, those of the last second before a
	// power failure, and those whose line is damaged.
	err = q.RawRange(ctx, flushed+1, ^uint64(0)-1, func(r Raw) error {
		if has[r.Sequence] {
			return nil
		}
		confirmedEntry{r.Sequence, r.Counts}.addTo(known)
		if q.confirmed.replace {
			lines = append(lines, confirmedEntry{r.Sequence, r.Counts})
			return nil
		}
		if err := q.confirmed.add(r.Sequence, r.Counts); err != nil { // for example on a full disk
			q.log.Warn("a frame could not be added to the confirmed record; its loss would not be noticed", "sequence", r.Sequence, "error", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	state, err := q.State(ctx)
	if err != nil {
		return err
	}
	last := max(flushed, state.First-1) // trimmed frames were in the record once
	totals := maps.Clone(known)
	if len(q.confirmed.files) > 0 {
		q.missing = Loss{First: flushed + 1, Last: flushed + 1}
		for app, n := range want {
			if got := known[app].Received; got < n.Received {
				q.missing.Counts = append(q.missing.Counts, Count{App: app, Received: n.Received - got})
				totals[app] = n
			}
		}
	}
	if q.confirmed.replace {
		return q.confirmed.rewrite(totals, last, lines)
	}
	return q.confirmed.setTotals(totals, last)
}

// Lost returns the confirmed counts of the frames from first to last, inclusive, which cannot be
// read. Frames that were never confirmed, such as those that a restore leaves out, are not a loss.
func (q *Queue) Lost(first, last uint64) (Loss, error) { return q.lost(first, last, nil) }

// LostBefore is like Lost. If first is the first frame after the flushed ones, it adds what
// Reconcile found to be missing.
func (q *Queue) LostBefore(first, last uint64) (Loss, error) {
	if first != q.missing.First {
		return q.Lost(first, last)
	}
	return q.lost(first, last, q.missing.Counts)
}

func (q *Queue) lost(first, last uint64, besides []Count) (Loss, error) {
	l := Loss{First: first, Last: last}
	if q.confirmed == nil {
		return l, nil
	}
	sum := map[string]Count{}
	confirmedEntry{counts: besides}.addTo(sum)
	if first <= last {
		lines, err := q.confirmed.between(first, last)
		if err != nil {
			return l, err
		}
		for _, e := range lines {
			e.addTo(sum)
		}
	}
	for _, app := range slices.Sorted(maps.Keys(sum)) {
		l.Counts = append(l.Counts, sum[app])
	}
	return l, nil
}

// LastConfirmed returns the greatest sequence in the confirmed record, 0 for none.
func (q *Queue) LastConfirmed() uint64 {
	if q.confirmed == nil {
		return 0
	}
	_, last := q.confirmed.total()
	return last
}

// LastReadable returns the sequence of the last frame that the queue can read, 0 for none.
func (q *Queue) LastReadable(ctx context.Context) (uint64, error) {
	stream, err := q.stream(ctx)
	if err != nil {
		return 0, fmt.Errorf("find the last frame: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	msg, err := stream.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("find the last frame: %w", err)
	}
	return msg.Sequence, nil
}

// StartAfter empties the queue and makes the next frame get a sequence greater than last, which
// must not be less than the sequence of any frame.
func (q *Queue) StartAfter(ctx context.Context, last uint64) error {
	if err := q.Trim(ctx, last); err != nil {
		return err
	}
	state, err := q.State(ctx)
	if err != nil {
		return err
	}
	if state.Last < last {
		return fmt.Errorf("the queue ends with frame %d, although it was set to continue after frame %d", state.Last, last)
	}
	q.markAcknowledged(last)
	return nil
}

// ForgetConfirmed removes the files of the confirmed record whose frames are all flushed.
func (q *Queue) ForgetConfirmed(flushed uint64) error {
	if q.confirmed == nil {
		return nil
	}
	return q.confirmed.forget(flushed)
}
