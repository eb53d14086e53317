package theeye

import (
	"context"
	"slices"
	"sync"
)

// manyReports is how many reports may wait before those that say the same are merged. When twice as
// many wait, those of one code are merged.
const manyReports = 64

// reporter calls the callbacks, one at a time and in order, in a goroutine that runs while there are
// reports. So neither Track nor a lock of the client waits for them.
type reporter struct {
	onError    func(*Error)
	onRejected func(Rejection)
	onOutage   func(string)

	mu      sync.Mutex // guards the following
	reports []report
	running bool
}

// report is an error, a rejection, the cause of an outage, or none of them.
type report struct {
	err      *Error
	rejected *Rejection
	outage   *string
	done     chan struct{} // closed after the callback, if not nil
}

// error reports an error. It does not wait. While a callback does not return, the number of reports
// that wait is bounded: errors with the same message, and in the end those of one code, become one.
func (r *reporter) error(err *Error) {
	if r.onError == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.reports); n >= manyReports {
		i := slices.IndexFunc(r.reports, func(w report) bool {
			return w.err != nil && w.err.Code == err.Code && (w.err.Message == err.Message || n >= 2*manyReports)
		})
		if i >= 0 {
			r.reports[i].err.Events += err.Events
			return
		}
	}
	copied := *err // the caller of Track has the other one
	r.addLocked(report{err: &copied})
}

// outage reports the cause of an outage, empty for its end. It does not wait. While a callback does
// not return, the last cause takes the place of the one before it.
func (r *reporter) outage(cause string) {
	if r.onOutage == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.reports) >= manyReports {
		if last := r.reports[len(r.reports)-1].outage; last != nil {
			*last = cause
			return
		}
	}
	r.addLocked(report{outage: &cause})
}

// reject reports a rejection, and waits until the callback has returned or ctx has ended.
func (r *reporter) reject(ctx context.Context, rejected Rejection) {
	if r.onRejected != nil {
		r.add(ctx, report{rejected: &rejected, done: make(chan struct{})})
	}
}

// wait waits until the callbacks of all earlier reports have returned or ctx has ended.
func (r *reporter) wait(ctx context.Context) {
	r.add(ctx, report{done: make(chan struct{})})
}

func (r *reporter) add(ctx context.Context, added report) {
	r.mu.Lock()
	r.addLocked(added)
	r.mu.Unlock()
	select {
	case <-added.done:
	case <-ctx.Done():
	}
}

func (r *reporter) addLocked(added report) {
	r.reports = append(r.reports, added)
	if !r.running {
		r.running = true
		go r.run()
	}
}

// run calls the callbacks until no report is left.
func (r *reporter) run() {
	for {
		r.mu.Lock()
		reports := r.reports
		r.reports = nil
		r.running = len(reports) > 0
		r.mu.Unlock()
		if len(reports) == 0 {
			return
		}
		for _, report := range reports {
			r.call(report)
		}
	}
}

func (r *reporter) call(called report) {
	defer func() {
		_ = recover() // a callback that panics must not end the client
		if called.done != nil {
			close(called.done)
		}
	}()
	switch {
	case called.err != nil:
		r.onError(called.err)
	case called.rejected != nil:
		r.onRejected(*called.rejected)
	case called.outage != nil:
		r.onOutage(*called.outage)
	}
}

// notify wakes the receiver of a channel of capacity 1.
func notify(wake chan<- struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
