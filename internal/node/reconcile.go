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

// reconcile compares what was acknowledged with what queue and store have. When the queue ends
// before what was acknowledged, its sequences would be given again: what is left of it is stored
// and flushed, what is missing is counted as lost, and the queue goes on beyond it, on another
// timeline. Nothing is taken in meanwhile.
func (s *Node) reconcile(ctx context.Context) error {
	flushed, err := s.store.Flushed(ctx)
	if err != nil {
		return err
	}
	books, err := s.store.Books(ctx, nil)
	if err != nil {
		return err
	}
	stored := map[string]uint64{}
	for _, account := range books.Accounts {
		stored[account.App] = uint64(account.Received)
		s.worker.RecordEarlierLosses(account.Lost)
	}
	since, record := s.store.ConfirmedSince()
	damage := s.queue.RecordDamage()
	if since > 0 && damage != "" {
		s.recordDamaged(since, damage)
	}
	if err := s.queue.Reconcile(ctx, flushed, stored); err != nil {
		return err
	}
	if since == 0 || damage != "" {
		since = flushed + 1
	}
	if got := s.queue.Record(); got != record || damage != "" {
		if err := s.store.SetConfirmed(since, got); err != nil { // a full disk must not keep anyone from reading
			s.log.Warn("the store could not note that there is a record of acknowledged events: if that record went missing, it would not be noticed", "error", err)
		}
	}
	state, err := s.queue.State(ctx)
	if err != nil {
		return err
	}
	readable, err := s.queue.LastReadable(ctx)
	if err != nil {
		return err
	}
	last := max(state.Last, flushed, s.queue.LastConfirmed(), s.store.Erasures().MaxFrame())
	if max(readable, flushed) < last {
		if err := s.drainBefore(ctx, readable, last); err != nil {
			return err
		}
	}
	if state.Last >= last {
		return nil
	}
	s.log.Error("the queue ended before what was acknowledged; it goes on beyond that", "queue_end", state.Last, "goes_on_beyond", last)
	return s.queue.StartAfter(ctx, last)
}

// recordDamaged tells what is wrong with the record of what was acknowledged.
func (s *Node) recordDamaged(since uint64, damage string) {
	dir := filepath.Join(s.cfg.Data, ConfirmedDir)
	s.log.Error("the record of acknowledged events cannot be relied on; a new one is begun", "folder", dir, "damage", damage, "kept_since_frame", since)
	counted := "cannot be counted"
	if damage != queue.MissingRecord {
		counted = "may not all be counted"
	}
	s.note(fmt.Sprintf("the record of acknowledged events, %s, %s. A new one was begun; events lost before this start %s", dir, damage, counted))
}

// note keeps a text that /readyz tells.
func (s *Node) note(text string) {
	if err := s.running.note(text); err != nil {
		s.log.Error("what /readyz is to tell could not be kept", "text", text, "error", err)
	}
}

// drainBefore stores and flushes what the queue can read, and counts what is missing up to last.
func (s *Node) drainBefore(ctx context.Context, readable, last uint64) error {
	position, err := s.store.Position(ctx)
	if err != nil {
		return err
	}
	if readable > position {
		if err := s.storeUpTo(ctx, readable); err != nil {
			return fmt.Errorf("store what the queue holds: %w", err)
		}
		position = readable
		// A write waits while two memtables are full, and nothing flushes them any more.
		if err := s.store.Flush(ctx); err != nil {
			return fmt.Errorf("store what the queue holds: %w", err)
		}
	}
	lost, err := s.queue.LostBefore(position+1, last)
	if err != nil {
		return err
	}
	b := store.Batch{First: position + 1, Last: last, Arrivals: map[string]store.Arrivals{}}
	for _, c := range lost.Counts {
		b.Arrivals[c.App] = store.Arrivals{Received: int64(c.Received), Lost: int64(c.Received)}
	}
	if _, err := s.store.Write(ctx, b); err != nil {
		return fmt.Errorf("count what is lost: %w", err)
	}
	if len(lost.Counts) > 0 { // told before it is counted for good
		s.worker.RecordLoss(lost)
	}
	s.progress.MarkStored(last, nil)
	s.store.BeginTimeline(position)
	if err := s.store.Flush(ctx); err != nil {
		return fmt.Errorf("count what is lost: %w", err)
	}
	return nil
}

// storeUpTo lets worker and store work until a frame is stored.
func (s *Node) storeUpTo(ctx context.Context, frame uint64) error {
	return whileWorking(ctx, s.stalled, func(ctx context.Context) error {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() error { return s.store.Run(ctx) })
		g.Go(func() error { return s.worker.Run(ctx) })
		g.Go(func() error {
			defer stop()
			return s.progress.WaitFor(ctx, frame)
		})
		return g.Wait()
	})
}

// lost tells of acknowledged events that cannot be read any more.
func (s *Node) lost(l queue.Loss) {
	apps := make([]string, 0, len(l.Counts))
	for _, c := range l.Counts {
		apps = append(apps, fmt.Sprintf("%s %d", c.App, c.Received))
	}
	frames := fmt.Sprintf("in frames %d to %d", l.First, l.Last)
	switch {
	case l.First == l.Last:
		frames = fmt.Sprintf("in frame %d", l.First)
	case l.First > l.Last: // of none in particular: the sums tell
		frames = fmt.Sprintf("before frame %d", l.First)
	}
	verb := "are"
	if l.Events() == 1 {
		verb = "is"
	}
	text := fmt.Sprintf("%s (%s) %s %s lost: files of the queue or the store are damaged, missing or out of date",
		plural.Count(l.Events(), "acknowledged event"), strings.Join(apps, ", "), frames, verb)
	if s.mayRescue() {
		text += rescueAdvice
	}
	s.log.Error("acknowledged events are lost", "first_frame", l.First, "last_frame", l.Last, "events", l.Events(), "apps", apps)
	s.note(text)
}

// rescueAdvice goes on with what is told of lost events while there is something in quarantine.
const rescueAdvice = ". If queue/quarantine holds a copy, `eye store rescue FILE` may bring some back"

func (s *Node) mayRescue() bool {
	u, err := durable.UsageOf(s.queue.QuarantineDir())
	return err == nil && u.Files > 0
}

// Acknowledge drops what is told of losses and of damaged segments, and returns it. Lost frames are
// flushed first: else a start that stores the same frames again would find and tell them again.
func (s *Node) Acknowledge(ctx context.Context) ([]string, error) {
	if err := s.store.Flush(ctx); err != nil {
		return nil, err
	}
	list, err := s.running.acknowledge()
	if err != nil {
		return nil, err
	}
	damaged, err := s.store.AcknowledgeDamage()
	for _, d := range damaged {
		list = append(list, d.String())
	}
	return list, err
}

// notices tells what the operator should know while all works.
func (s *Node) notices() []string {
	var list []string
	mayRescue := sync.OnceValue(s.mayRescue)
	for _, text := range s.running.list() {
		if strings.Contains(text, rescueAdvice) && !mayRescue() { // it was deleted since
			text = strings.Replace(text, rescueAdvice, "", 1)
		}
		list = append(list, text+"; `eye store acknowledge` ends this message")
	}
	if err := s.stalled(); err != nil {
		list = append(list, "store: "+err.Error()+"; it is tried again, and new events wait in the queue and are not found yet")
	}
	if err := s.registry.CopyError(); err != nil {
		list = append(list, "metadata: "+err.Error()+"; it is tried again. Until then applications, keys and event types can be made, but not changed, revoked or deleted")
	}
	if text := s.eraser.notice(); text != "" {
		list = append(list, text)
	}
	if err := s.store.UpkeepFailure(stallPatience); err != nil {
		list = append(list, "store: upkeep (merging segments, removing what has expired) "+err.Error()+"; it is tried again")
	}
	if reason := s.clock.Reason(); reason != "" && s.expires() {
		list = append(list, "retention: "+reason)
	}
	return list
}

// missing names the segments that are damaged, and says what to do, until they are acknowledged.
func (s *Node) missing() []string {
	var list []string
	for _, d := range s.store.Damaged() {
		switch {
		case d.Acknowledged:
		case s.store.AwaitsRebuild(d):
			list = append(list, d.String()+"; it is being rebuilt from the queue, if that still holds them")
		default:
			list = append(list, d.String()+"; put a whole copy of the file into store/quarantine and run `eye store readmit`, or end this message with `eye store acknowledge`")
		}
	}
	return list
}
