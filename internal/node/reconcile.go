package node

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"theeye/internal/durable"
	"theeye/internal/plural"
	"theeye/internal/queue"
	"theeye/internal/store"
)

// reconcile compares what was acknowledged with what the queue and the store have. A queue that
// ends before the last acknowledged frame would assign sequences a second time. Therefore what is
// left of it is stored and flushed, what is missing is counted as lost, and the queue continues
// after that frame, on another timeline. No events are accepted meanwhile.
func (n *Node) reconcile(ctx context.Context) error {
	flushed, err := n.store.Flushed(ctx)
	if err != nil {
		return err
	}
	if err := n.reconcileRecord(ctx, flushed); err != nil {
		return err
	}
	return n.reconcileFrames(ctx, flushed)
}

// reconcileRecord compares the confirmed record with what the store has received, and notes in the
// store since which frame there is such a record.
func (n *Node) reconcileRecord(ctx context.Context, flushed uint64) error {
	books, err := n.store.Books(ctx, nil)
	if err != nil {
		return err
	}
	received := map[string]uint64{}
	for _, account := range books.Accounts {
		received[account.App] = uint64(account.Received)
		n.worker.RecordEarlierLosses(account.Lost)
	}
	since, known := n.store.ConfirmedSince()
	damage := n.queue.ConfirmedDamage()
	if since > 0 && damage != "" {
		n.reportConfirmedDamage(since, damage)
	}
	if err := n.queue.Reconcile(ctx, flushed, received); err != nil {
		return err
	}
	if since == 0 || damage != "" {
		since = flushed + 1
	}
	record := n.queue.ConfirmedID()
	if record == known && damage == "" {
		return nil
	}
	if err := n.store.SetConfirmed(since, record); err != nil { // a full disk must not prevent reads
		n.log.Warn("the store could not note that there is a confirmed record; the loss of this record would not be noticed", "error", err)
	}
	return nil
}

// reconcileFrames makes the queue continue after the last acknowledged frame.
func (n *Node) reconcileFrames(ctx context.Context, flushed uint64) error {
	state, err := n.queue.State(ctx)
	if err != nil {
		return err
	}
	readable, err := n.queue.LastReadable(ctx)
	if err != nil {
		return err
	}
	last := max(state.Last, flushed, n.queue.LastConfirmed(), n.store.Erasures().MaxFrame())
	if max(readable, flushed) < last {
		if err := n.drainBefore(ctx, readable, last); err != nil {
			return err
		}
	}
	if state.Last >= last {
		return nil
	}
	n.log.Error("the queue ended before the last acknowledged frame; it continues after that frame", "queue_end", state.Last, "continues_after", last)
	return n.queue.StartAfter(ctx, last)
}

// reportConfirmedDamage reports damage of the confirmed record, which was kept since a frame.
func (n *Node) reportConfirmedDamage(since uint64, damage string) {
	dir := filepath.Join(n.cfg.Data, ConfirmedDir)
	n.log.Error("the confirmed record is not reliable; a new one is begun", "folder", dir, "damage", damage, "kept_since_frame", since)
	counted := "cannot be counted"
	if damage != queue.ConfirmedMissing {
		counted = "may not all be counted"
	}
	n.note(fmt.Sprintf("the confirmed record, %s, %s. A new one was begun; events lost before this start %s", dir, damage, counted))
}

// note keeps a notice, which /readyz reports until it is acknowledged.
func (n *Node) note(text string) {
	if err := n.running.note(text); err != nil {
		n.log.Error("a notice for /readyz could not be kept", "text", text, "error", err)
	}
}

// drainBefore stores and flushes the frames up to readable, and counts those up to last as lost.
func (n *Node) drainBefore(ctx context.Context, readable, last uint64) error {
	position, err := n.store.Position(ctx)
	if err != nil {
		return err
	}
	if readable > position {
		if err := n.storeUpTo(ctx, readable); err != nil {
			return fmt.Errorf("store what the queue holds: %w", err)
		}
		position = readable
		// The next write would wait forever if two memtables were full: nothing flushes them now.
		if err := n.store.Flush(ctx); err != nil {
			return fmt.Errorf("store what the queue holds: %w", err)
		}
	}
	lost, err := n.queue.LostBefore(position+1, last)
	if err != nil {
		return err
	}
	b := store.Batch{First: position + 1, Last: last, Arrivals: map[string]store.Arrivals{}}
	for _, c := range lost.Counts {
		b.Arrivals[c.App] = store.Arrivals{Received: int64(c.Received), Lost: int64(c.Received)}
	}
	if _, err := n.store.Write(ctx, b); err != nil {
		return fmt.Errorf("count what is lost: %w", err)
	}
	if len(lost.Counts) > 0 { // report before the flush: after it, no start would count the loss again
		n.worker.RecordLoss(lost)
	}
	n.progress.MarkStored(last, nil)
	n.store.BeginTimeline(position)
	if err := n.store.Flush(ctx); err != nil {
		return fmt.Errorf("count what is lost: %w", err)
	}
	return nil
}

// storeUpTo runs the worker and the store until a frame is stored.
func (n *Node) storeUpTo(ctx context.Context, frame uint64) error {
	return whileWorking(ctx, n.stalled, func(ctx context.Context) error {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() error { return n.store.Run(ctx) })
		g.Go(func() error { return n.worker.Run(ctx) })
		g.Go(func() error {
			defer stop()
			return n.progress.WaitFor(ctx, frame)
		})
		return g.Wait()
	})
}

// lost reports acknowledged events that can no longer be read.
func (n *Node) lost(l queue.Loss) {
	apps := make([]string, 0, len(l.Counts))
	for _, c := range l.Counts {
		apps = append(apps, fmt.Sprintf("%s %d", c.App, c.Received))
	}
	frames := fmt.Sprintf("in frames %d to %d", l.First, l.Last)
	switch {
	case l.First == l.Last:
		frames = fmt.Sprintf("in frame %d", l.First)
	case l.First > l.Last: // only the sums differ; which frames had the events is not known
		frames = fmt.Sprintf("before frame %d", l.First)
	}
	verb := "are"
	if l.Events() == 1 {
		verb = "is"
	}
	text := fmt.Sprintf("%s (%s) %s %s lost: files of the queue or the store are damaged, missing or out of date",
		plural.Count(l.Events(), "acknowledged event"), strings.Join(apps, ", "), frames, verb)
	if n.mayRescue() {
		text += rescueAdvice
	}
	n.log.Error("acknowledged events are lost", "first_frame", l.First, "last_frame", l.Last, "events", l.Events(), "apps", apps)
	n.note(text)
}

// rescueAdvice is appended to a report of lost events while the queue's quarantine is not empty.
const rescueAdvice = ". If queue/quarantine holds a copy, `eye store rescue FILE` may bring some back"

func (n *Node) mayRescue() bool {
	u, err := durable.UsageOf(n.queue.QuarantineDir())
	return err == nil && u.Files > 0
}

// Acknowledge ends the reports of losses and of damaged segments, and returns them. It flushes
// first: otherwise, a start that stores the same frames again would report the same losses again.
func (n *Node) Acknowledge(ctx context.Context) ([]string, error) {
	if err := n.store.Flush(ctx); err != nil {
		return nil, err
	}
	list, err := n.running.acknowledge()
	if err != nil {
		return nil, err
	}
	damaged, err := n.store.AcknowledgeDamage()
	for _, d := range damaged {
		list = append(list, d.String())
	}
	return list, err
}

// notices returns what an operator should know although the server works.
func (n *Node) notices() []string {
	var list []string
	mayRescue := sync.OnceValue(n.mayRescue)
	for _, text := range n.running.list() {
		if strings.Contains(text, rescueAdvice) && !mayRescue() { // the file was deleted since
			text = strings.Replace(text, rescueAdvice, "", 1)
		}
		list = append(list, text+"; `eye store acknowledge` ends this message")
	}
	if err := n.stalled(); err != nil {
		list = append(list, "store: "+err.Error()+"; it will be retried, and new events wait in the queue and are not found yet")
	}
	if err := n.registry.CopyError(); err != nil {
		list = append(list, "metadata: "+err.Error()+"; it will be retried. Until then applications, keys and event types can be made, but not changed, revoked or deleted")
	}
	if text := n.demo.notice(); text != "" {
		list = append(list, text)
	}
	if text := n.eraser.notice(); text != "" {
		list = append(list, text)
	}
	if err := n.store.UpkeepFailure(stallPatience); err != nil {
		list = append(list, "store: upkeep (merging segments, removing what has expired) "+err.Error()+"; it will be retried")
	}
	if reason := n.clock.Reason(); reason != "" && n.expires() {
		list = append(list, "retention: "+reason)
	}
	return list
}

// missing describes the damaged segments that are not acknowledged, and says what to do.
func (n *Node) missing() []string {
	var list []string
	for _, d := range n.store.Damaged() {
		switch {
		case d.Acknowledged:
		case n.store.AwaitsRebuild(d):
			list = append(list, d.String()+"; it is being rebuilt from the queue, if that still holds them")
		default:
			list = append(list, d.String()+"; put an intact copy of the file into store/quarantine and run `eye store readmit`, or end this message with `eye store acknowledge`")
		}
	}
	return list
}
