package replay

import (
	"context"
	"errors"
	"slices"
	"sync"

	"theeye/internal/event"
	"theeye/internal/progress"
	"theeye/internal/query"
	"theeye/internal/store"
	"theeye/internal/wait"
)

// job is one replay.
type job struct {
	runner  *Runner
	query   query.Query
	repairs repairs
	done    chan struct{} // closed when the job has ended
	cancel  chan struct{} // closed to end the job
	once    sync.Once

	unusable  bool   // its file cannot be used, and is left as it is
	published uint64 // its newest frame since the start; 0 for none

	status       Status // guarded by Runner.mu; the goroutine that runs the job alone changes it
	begun        bool   // guarded by Runner.mu; a goroutine runs it
	cancelReason string // guarded by Runner.mu; why it was cancelled, empty when a user did
}

// newJob returns a job that has not begun.
func (r *Runner) newJob(req Request) (*job, error) {
	q, how, err := req.parse()
	if err != nil {
		return nil, err
	}
	return &job{
		runner: r, query: q, repairs: how, done: make(chan struct{}), cancel: make(chan struct{}),
		status: Status{Request: req, ID: event.NewID(), State: Running, StartedAt: r.opts.Now()},
	}, nil
}

// restore returns the job of a status in the journal. A job that cannot continue has failed.
func (r *Runner) restore(s Status) *job {
	j, err := r.newJob(s.Request)
	if err != nil {
		j = &job{runner: r, done: make(chan struct{}), cancel: make(chan struct{})}
		s.State, s.Error, s.FinishedAt = Failed, err.Error(), r.opts.Now()
	}
	if j.status = s; s.State != Running {
		close(j.done)
	}
	return j
}

// claim reports whether the job is to be run, which happens once.
func (j *job) claim() bool {
	j.runner.mu.Lock()
	defer j.runner.mu.Unlock()
	if j.begun || j.endedLocked() {
		return false
	}
	j.begun = true
	return true
}

func (j *job) reason() string {
	j.runner.mu.Lock()
	defer j.runner.mu.Unlock()
	return j.cancelReason
}

func (j *job) endedLocked() bool { return j.status.State != Running }

func (j *job) ended() bool {
	j.runner.mu.Lock()
	defer j.runner.mu.Unlock()
	return j.endedLocked()
}

// requestCancel makes run end. It may be called more than once.
func (j *job) requestCancel() { j.once.Do(func() { close(j.cancel) }) }

// snapshot returns a copy of the status.
func (j *job) snapshot() Status {
	j.runner.mu.Lock()
	defer j.runner.mu.Unlock()
	s := j.status
	s.Remaining, s.Examples = slices.Clone(s.Remaining), slices.Clone(s.Examples)
	slices.SortStableFunc(s.Remaining, func(a, b Remaining) int { return int(b.Count - a.Count) })
	return s
}

// update changes the status.
func (j *job) update(how func(s *Status)) {
	j.runner.mu.Lock()
	defer j.runner.mu.Unlock()
	how(&j.status)
}

// run works until the replay has ended, or until ctx is done; then it continues at the next start.
// It retries temporary failures, such as that of a full queue.
func (j *job) run(ctx context.Context) {
	working, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-j.cancel:
			stop()
		case <-working.Done():
		}
	}()
	state, text := Done, ""
	for backoff := retryAfter; ; backoff = min(2*backoff, retryAtMost) {
		err := j.pages(working)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return
		}
		if working.Err() != nil {
			state, text = Cancelled, j.reason()
			break
		}
		if errors.Is(err, errFinal) {
			state, text = Failed, err.Error()
			break
		}
		j.runner.log.Warn("a replay is waiting; it will be retried", "replay", j.status.ID, "error", err)
		j.update(func(s *Status) { s.Error = err.Error() })
		_ = wait.For(working, backoff) // the next try sees why it ended
	}
	j.update(func(s *Status) { s.State, s.Error, s.FinishedAt = state, text, j.runner.opts.Now() })
	j.save()
	close(j.done)
}

// errFinal is an error that is not retried.
var errFinal = errors.New("replay failed")

// save writes the status to the journal. If that fails, the next start repeats the page, which has
// no effect.
func (j *job) save() {
	s := j.snapshot()
	if s.DryRun {
		return
	}
	if err := j.runner.journal.write(s); err != nil {
		j.runner.log.Warn("the progress of a replay could not be saved", "replay", s.ID, "error", err)
	}
}

// pages goes through the rejections page by page, from where the status says.
func (j *job) pages(ctx context.Context) error {
	if j.published != 0 { // events of this frame that are not stored yet would be published again
		if _, err := j.runner.opts.Outcomes(ctx, j.published); err != nil && ctx.Err() != nil {
			return err // any other error is ErrForgotten: the frame is stored
		}
	}
	q := j.query
	q.After, q.Limit = j.status.After, firstPage
	if j.status.Horizon == 0 { // later, some of the replayed rejections are its own
		q.Replayed = new(bool)
	}
	for {
		page, err := j.next(ctx, &q)
		if err != nil {
			return err
		}
		if !page.More {
			return nil
		}
		after := cursorAfter(page)
		q.After, q.Limit = &after, nextLimit(q.Limit, page.Items)
		j.update(func(s *Status) { s.After, s.Error = q.After, "" })
		j.save()
	}
}

// next reads a page and processes it.
func (j *job) next(ctx context.Context, q *query.Query) (page store.Page[event.Rejection], err error) {
	if err := j.runner.gate.Acquire(ctx, 1); err != nil {
		return page, err
	}
	defer j.runner.gate.Release(1)
	if page, err = j.runner.opts.Reader.Rejections(ctx, *q); err != nil {
		return page, err
	}
	if q.Horizon = page.Horizon; j.status.Horizon == 0 {
		j.update(func(s *Status) { s.Horizon = page.Horizon })
		j.save()
	}
	if err := j.runner.opts.Step("replay page read"); err != nil {
		return page, errors.Join(errFinal, err)
	}
	return page, j.processPage(ctx, page.Items)
}

func cursorAfter(p store.Page[event.Rejection]) query.After {
	if p.SearchedTo != nil {
		return query.AfterTime(*p.SearchedTo, false)
	}
	return query.AfterRejection(&p.Items[len(p.Items)-1])
}

// nextLimit returns the limit of the next page, by the sizes of the bodies of this one. It is at
// most twice as large, because larger bodies may follow small ones.
func nextLimit(limit int, items []event.Rejection) int {
	size := 0
	for _, r := range items {
		size += len(r.Raw) + 1<<10
	}
	if size == 0 {
		return limit
	}
	return max(1, min(largestPage, 2*limit, pageBytes*len(items)/size))
}

// processPage validates the rejections of a page and publishes those that pass.
func (j *job) processPage(ctx context.Context, items []event.Rejection) error {
	var passed []*event.Event
	size := 0
	found := Status{Examples: j.snapshot().Examples, Remaining: j.snapshot().Remaining}
	for i := range items {
		rej := &items[i]
		if rej.CarriedBy > j.status.Horizon {
			continue // rejected after the replay began
		}
		if rej.Became != nil {
			if rej.Became.Frame > j.status.Horizon { // by this replay, before it was interrupted
				found.Matched, found.WouldPass = found.Matched+1, found.WouldPass+1
				found.countFate(rej.Became.Fate)
				found.noteFrame(rej.Became.Frame)
			}
			continue
		}
		v := j.runner.validate(rej, j.repairs)
		found.Matched++
		if v.event == nil {
			found.WouldFail++
			found.countProblems(v.problems)
		} else {
			found.WouldPass++
			passed = append(passed, v.event)
			size += len(v.body) + 1<<10
		}
		if j.status.DryRun {
			found.addExample(Example{rej.ID, rej.EventID, v.event != nil, rej.Raw, v.body, v.problems})
			continue
		}
		if size >= frameBytes {
			if err := j.publish(ctx, passed, &found); err != nil {
				return err
			}
			if passed, size = nil, 0; ctx.Err() != nil {
				break
			}
		}
	}
	if !j.status.DryRun && len(passed) > 0 {
		if err := j.publish(ctx, passed, &found); err != nil {
			return err
		}
	}
	j.update(func(s *Status) { s.add(found) })
	return ctx.Err()
}

// publish publishes events as a frame and counts their fates.
func (j *job) publish(ctx context.Context, events []*event.Event, found *Status) error {
	r := j.runner
	frame, err := r.opts.Collector.Republish(ctx, events)
	if err != nil {
		return err
	}
	j.published = frame
	found.noteFrame(frame)
	j.update(func(s *Status) { s.noteFrame(frame) }) // also if the rest of the page fails
	if err := r.opts.Step("replay published"); err != nil {
		return errors.Join(errFinal, err)
	}
	outcomes, err := j.outcomes(ctx, frame)
	if err != nil {
		return err
	}
	for i := range events {
		fate := outcomes.At(i).Fate
		found.countFate(fate)
		r.counts.WithLabelValues(fate.String()).Inc()
	}
	return r.opts.Step("replay counted")
}

// outcomes waits for the outcomes of a frame. When the replay is cancelled, it still waits for
// Patience, so that the outcomes are counted.
func (j *job) outcomes(ctx context.Context, frame uint64) (progress.Outcomes, error) {
	outcomes, err := j.runner.opts.Outcomes(ctx, frame)
	select {
	case <-j.cancel:
		if err != nil {
			short, stop := context.WithTimeout(context.WithoutCancel(ctx), Patience)
			defer stop()
			return j.runner.opts.Outcomes(short, frame)
		}
	default:
	}
	return outcomes, err
}

// noteFrame extends the range of the replay's frames.
func (s *Status) noteFrame(frame uint64) {
	if s.FirstFrame == 0 || frame < s.FirstFrame {
		s.FirstFrame = frame
	}
	s.LastFrame = max(s.LastFrame, frame)
}

// add adds what was found on a page.
func (s *Status) add(p Status) {
	s.Matched, s.WouldPass, s.WouldFail = s.Matched+p.Matched, s.WouldPass+p.WouldPass, s.WouldFail+p.WouldFail
	s.Stored, s.Duplicates, s.Conflicts = s.Stored+p.Stored, s.Duplicates+p.Duplicates, s.Conflicts+p.Conflicts
	s.Erased, s.Expired = s.Erased+p.Erased, s.Expired+p.Expired
	s.Remaining, s.Examples = p.Remaining, p.Examples
	if p.FirstFrame != 0 {
		s.noteFrame(p.FirstFrame)
		s.noteFrame(p.LastFrame)
	}
}
