// Package replay validates rejected events again, unchanged or repaired by a JSON Patch, and
// publishes those that pass now to the queue. They keep the id, the times and the position of their
// first arrival. The store decides their fates as for any arrival.
//
// The package does not decide fates and does not change stored rows: the results of a replay are
// read from the store. Therefore a replay may be interrupted at any point and continued, and
// repeating it has no effect.
package replay

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"theeye/internal/event"
	"theeye/internal/ingest"
	"theeye/internal/progress"
	"theeye/internal/store"
	"theeye/internal/wait"
)

// Bounds.
const (
	// Patience is how long Start waits for a replay to end before it reports how far it has come.
	Patience = 2 * time.Second
	// MaxDryRuns is how many dry runs may run at a time. Only one other replay may.
	MaxDryRuns = 2
	// Remembered is how many replays are remembered after they have ended.
	Remembered = 200
	// MaxExamples is how many examples of rejections that pass a dry run shows, and how many of
	// those that fail.
	MaxExamples = 5
	// MaxExampleBytes bounds both bodies of an example together.
	MaxExampleBytes = 512 << 10

	keptExamples = 8 // newest replays that keep them

	pageBytes   = 8 << 20 // of the bodies of a page, about
	firstPage   = 100     // rejections, until their size is known
	largestPage = 1000    // larger bodies may follow small ones
	frameBytes  = 4 << 20 // of the bodies of a frame, about
	retryAfter  = 100 * time.Millisecond
	retryAtMost = 5 * time.Second
)

// Errors that callers distinguish, besides *InvalidError and *query.ParamError.
var (
	// ErrBusy is returned while the maximum number of replays is running.
	ErrBusy = errors.New("another replay is running; wait until it has finished, or cancel it")
	// ErrErasing is returned while an erasure is running that may affect the replay.
	ErrErasing = errors.New("an erasure is running that may affect this replay; try again when it has finished")
	// ErrNotFound is returned for a replay that does not exist or is forgotten.
	ErrNotFound = errors.New("there is no replay with this id; /v1/replays lists recent ones")
	// ErrClosed is returned when Run is not running.
	ErrClosed = errors.New("the server is starting or stopping and cannot run replays; try again")
	// ErrEnded is returned by Cancel for a replay that has ended.
	ErrEnded = errors.New("the replay has already ended")
)

// App is what validation needs of an application.
type App struct {
	Zone               *time.Location // of timestamps without one
	RefuseUnknownTypes bool
}

// Options of a Runner.
type Options struct {
	Reader    store.Reader
	Collector *ingest.Collector
	// App returns the current settings of an application, false if it does not exist. It must not
	// block.
	App func(name string) (App, bool)
	// Outcomes waits until the store has decided about a frame and returns its decisions.
	Outcomes func(ctx context.Context, frame uint64) (progress.Outcomes, error)
	// Ready returns nil once the store holds everything that was acknowledged.
	Ready func() error
	// Dir is the folder of the journal, from which interrupted replays continue.
	Dir string
	// Step injects faults in tests: it is called at named steps, and its error ends the replay as a
	// failure would. It is nil in production.
	Step func(step string) error
	// Now returns the time at which a replay begins or ends; event.Now if nil.
	Now        func() event.Micros
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Runner runs replays. Its methods may be called concurrently.
type Runner struct {
	opts    Options
	log     *slog.Logger
	journal journal
	counts  *prometheus.CounterVec
	start   chan *job
	open    chan struct{} // closed when Run takes jobs
	closed  chan struct{} // closed when Run has ended
	gate    *semaphore.Weighted

	mu     sync.Mutex      // guards jobs, their status, and blocks
	jobs   []*job          // oldest first
	blocks []*erasureBlock // of running erasures
}

// New returns a runner with the replays in the folder Options.Dir.
func New(opts Options) (*Runner, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = event.Now
	}
	if opts.Step == nil {
		opts.Step = func(string) error { return nil }
	}
	r := &Runner{
		opts: opts, log: opts.Logger, journal: journal{opts.Dir},
		start: make(chan *job), open: make(chan struct{}), closed: make(chan struct{}),
		gate: semaphore.NewWeighted(gateWidth),
		counts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "eye_replayed_events_total", Help: "Rejections that replays processed, by outcome.",
		}, []string{"fate"}),
	}
	if opts.Registerer != nil {
		opts.Registerer.MustRegister(r.counts)
	}
	known, unusable, err := r.journal.read()
	if err != nil {
		return nil, err
	}
	for _, status := range known {
		j := r.restore(status)
		if err := unusable[status.ID]; err != nil {
			j.unusable = true
			r.log.Error("the file of a replay cannot be used; it is left unchanged, and the replay does not continue", "file", r.journal.path(status.ID), "error", err)
		}
		r.jobs = append(r.jobs, j)
	}
	return r, nil
}

// Run continues interrupted replays, and runs those that are started, until ctx is done. Replays
// that have not finished then continue at the next start.
func (r *Runner) Run(ctx context.Context) error {
	var work sync.WaitGroup
	defer work.Wait()
	defer close(r.closed)
	if !r.untilReady(ctx) {
		return nil
	}
	for _, j := range r.list() {
		if j.claim() {
			work.Go(func() { j.run(ctx) })
		}
	}
	close(r.open)
	for {
		select {
		case <-ctx.Done():
			return nil
		case j := <-r.start:
			if j.claim() {
				work.Go(func() { j.run(ctx) })
			}
		}
	}
}

// untilReady waits until the store holds everything: before that, the results of interrupted
// replays are not visible.
func (r *Runner) untilReady(ctx context.Context) bool {
	for r.opts.Ready() != nil {
		if wait.For(ctx, retryAfter) != nil {
			return false
		}
	}
	return ctx.Err() == nil
}

// Start starts a replay and returns its status when it has ended, but after Patience at the latest.
// The error is an *InvalidError, a *query.ParamError, ErrBusy, ErrErasing, ErrClosed, or that of
// writing the journal, which dry runs do not use.
func (r *Runner) Start(ctx context.Context, req Request) (Status, error) {
	j, err := r.newJob(req)
	if err != nil {
		return Status{}, err
	}
	select {
	case <-r.open:
	default:
		return Status{}, ErrClosed
	}
	if err := r.admit(j); err != nil {
		return Status{}, err
	}
	select {
	case r.start <- j:
	case <-r.closed:
		r.remove(j)
		return Status{}, ErrClosed
	}
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	select {
	case <-j.done:
	case <-timer.C:
	case <-ctx.Done():
	}
	return j.snapshot(), nil
}

// admit adds a job to the running ones if there is room, and writes it to the journal unless it is
// a dry run.
func (r *Runner) admit(j *job) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	atWork, most := 0, 1
	if j.status.DryRun {
		most = MaxDryRuns
	}
	for _, other := range r.jobs {
		if other.status.DryRun == j.status.DryRun && !other.endedLocked() {
			atWork++
		}
	}
	if atWork >= most {
		return ErrBusy
	}
	if r.blockedLocked(j.status.Request) {
		return ErrErasing
	}
	if !j.status.DryRun {
		if err := r.journal.write(j.status); err != nil {
			return err
		}
	}
	r.jobs = append(r.jobs, j)
	r.forgetLocked()
	return nil
}

// forgetLocked drops the examples of old replays, and the oldest replays that have ended.
func (r *Runner) forgetLocked() {
	for _, j := range r.jobs[:max(0, len(r.jobs)-keptExamples)] {
		j.status.Examples = nil
	}
	for i := 0; len(r.jobs) > Remembered && i < len(r.jobs); {
		j := r.jobs[i]
		if !j.endedLocked() || j.unusable {
			i++
			continue
		}
		_ = r.journal.remove(j.status.ID) // else the next start forgets it
		r.jobs = append(r.jobs[:i:i], r.jobs[i+1:]...)
	}
}

func (r *Runner) remove(j *job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, other := range r.jobs {
		if other == j {
			_ = r.journal.remove(j.status.ID) // else it fails at the next start
			r.jobs = append(r.jobs[:i:i], r.jobs[i+1:]...)
			return
		}
	}
}

func (r *Runner) list() []*job {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*job{}, r.jobs...)
}

// List returns the statuses of the remembered replays, newest first.
func (r *Runner) List() []Status {
	jobs := r.list()
	list := make([]Status, 0, len(jobs))
	for _, j := range slices.Backward(jobs) {
		list = append(list, j.snapshot())
	}
	return list
}

// Status returns the status of a replay. The error is ErrNotFound.
func (r *Runner) Status(id uuid.UUID) (Status, error) {
	j, err := r.find(id)
	if err != nil {
		return Status{}, err
	}
	return j.snapshot(), nil
}

// Cancel ends a replay and returns when it has ended. What the replay has stored stays. The error
// is ErrNotFound, ErrEnded, ErrClosed, or that of ctx.
func (r *Runner) Cancel(ctx context.Context, id uuid.UUID) (Status, error) {
	j, err := r.find(id)
	if err != nil {
		return Status{}, err
	}
	if j.ended() {
		return Status{}, ErrEnded
	}
	j.requestCancel()
	select {
	case <-j.done:
		return j.snapshot(), nil
	case <-r.closed:
		return Status{}, ErrClosed
	case <-ctx.Done():
		return Status{}, ctx.Err()
	}
}

func (r *Runner) find(id uuid.UUID) (*job, error) {
	for _, j := range r.list() {
		if j.status.ID == id { // it never changes
			return j, nil
		}
	}
	return nil, ErrNotFound
}

// ByFrame returns the id of the replay to which a frame belongs, and when it was started. ok is
// false if no remembered replay has that frame.
func (r *Runner) ByFrame(frame uint64) (id uuid.UUID, at event.Micros, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, j := range r.jobs {
		if s := &j.status; s.FirstFrame != 0 && s.FirstFrame <= frame && frame <= s.LastFrame {
			return s.ID, s.StartedAt, true
		}
	}
	return uuid.UUID{}, 0, false
}

// Pause waits until no replay holds rejections that it has read, and keeps replays from reading
// more until release is called. Therefore nothing that was read before an erasure is published
// after it. Pause drops all examples, which contain bodies. The error is that of ctx.
func (r *Runner) Pause(ctx context.Context) (release func(), err error) {
	if err := r.gate.Acquire(ctx, gateWidth); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, j := range r.jobs {
		j.status.Examples = nil
	}
	return func() { r.gate.Release(gateWidth) }, nil
}

// gateWidth is greater than the number of replays that run at a time.
const gateWidth = 64
