package theeye

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"
)

// Delays between attempts, unless the server asks for another one.
const (
	firstDelay  = 200 * time.Millisecond
	maxDelay    = 10 * time.Second
	maxAskedFor = 5 * time.Minute
)

// sender sends batches, one after the other.
type sender struct {
	client *Client
	post   *poster
	wake   chan struct{}
	done   chan struct{}      // closed when run has returned
	cancel context.CancelFunc // ends run

	batch    []entry // the first unsettled events
	bytes    int     // of the batch
	failures int     // attempts in a row that are to be repeated
}

func newSender(c *Client) *sender {
	return &sender{client: c, post: newPoster(&c.opts), wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// start runs the sender in a goroutine until the client is closed and nothing is left, the server
// refuses the key, or cancel is called.
func (s *sender) start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go s.run(ctx)
}

func (s *sender) run(ctx context.Context) {
	defer close(s.done)
	defer s.post.end()
	defer s.cancel()
	for s.nextBatch(ctx) && s.deliver(ctx, s.batch) {
		clear(s.batch)
		s.batch, s.bytes = s.batch[:0], 0
	}
}

// nextBatch waits until a batch is due. It returns false when the sender ends.
func (s *sender) nextBatch(ctx context.Context) bool {
	for {
		full := s.fill()
		wait, ended := s.wait(full)
		if ended || ctx.Err() != nil {
			return false
		}
		if wait == 0 {
			return true
		}
		var due <-chan time.Time
		if wait > 0 {
			due = time.After(wait)
		}
		select {
		case <-s.wake:
		case <-due:
		case <-ctx.Done():
		}
	}
}

// fill adds events to the batch and reports whether it is full. All its events are of one era.
func (s *sender) fill() (full bool) {
	limit := &s.client.opts
	for len(s.batch) < limit.BatchEvents && s.bytes < limit.BatchBytes {
		e, ok := s.client.peek(len(s.batch))
		if !ok {
			return false
		}
		if len(s.batch) > 0 && (s.bytes+1+len(e.event) > limit.BatchBytes || e.era != s.batch[0].era) {
			return true
		}
		s.batch = append(s.batch, e)
		s.bytes += len(e.event) + 1
	}
	return true
}

// wait returns how long the batch has to wait for more events, or -1 for an empty one, and whether
// there will be none.
func (s *sender) wait(full bool) (wait time.Duration, ended bool) {
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(s.batch) == 0 {
		return -1, c.closed && c.settled == c.endLocked()
	}
	if full || c.closed || c.settled < c.flushing {
		return 0, false
	}
	_, elapsed := c.opts.now()
	return max(0, s.batch[0].at+c.opts.BatchDelay-elapsed), false
}

// deliver sends events until they are settled. It returns false when the sender ends before.
func (s *sender) deliver(ctx context.Context, events []entry) bool {
	request := s.post.newRequest()
	for {
		a := s.post.send(ctx, request, s.post.join(events, s.client.sentAt(events[0].era)))
		if ctx.Err() != nil && a.outcome == again {
			return false
		}
		s.count(a)
		switch a.outcome {
		case taken:
			s.settle(ctx, events, a.taken.Events)
			return true
		case tooLarge:
			if half := len(events) / 2; half > 0 {
				return s.deliver(ctx, events[:half]) && s.deliver(ctx, events[half:])
			}
			s.lose(&Error{Code: CodeTooLarge, Message: a.message, Status: a.status, Events: 1})
			return true
		case refused:
			s.lose(&Error{Code: CodeRefused, Message: a.message, Status: a.status, Events: len(events)})
			return true
		case unauthorized:
			s.client.refuseKey(&Error{Code: CodeUnauthorized, Message: a.message, Status: a.status, Events: s.client.Stats().Queued})
			return false
		case again:
			if !s.pause(ctx, a.delay) {
				return false
			}
		}
	}
}

// count counts the failures in a row, and reports when their cause changes.
func (s *sender) count(a answer) {
	failure := ""
	if s.failures++; a.outcome == again {
		failure = a.message
	} else {
		s.failures = 0
	}
	s.client.mu.Lock()
	before := s.client.failure
	s.client.failure = failure
	s.client.mu.Unlock()
	if failure != before {
		s.client.reporter.outage(failure)
	}
}

// pause waits before the next attempt, and reports whether there will be one.
func (s *sender) pause(ctx context.Context, asked time.Duration) bool {
	select {
	case <-time.After(delay(s.failures, asked)):
		return true
	case <-ctx.Done():
		return false
	}
}

// delay returns how long to wait after a number of failures in a row: as long as the server asked
// for, or else twice as long each time, half of it random.
func delay(failures int, asked time.Duration) time.Duration {
	if asked > 0 {
		return asked
	}
	d := min(maxDelay, firstDelay<<min(failures-1, 10))
	return d/2 + rand.N(d/2+1) //nolint:gosec // spreads clients; nothing secret
}

// settle reports the rejected events of a batch that the server took, and forgets all of it.
func (s *sender) settle(ctx context.Context, events []entry, outcomes []Outcome) {
	n := 0
	for _, r := range outcomes {
		if r.Status != StatusRejected || r.Index < 0 || r.Index >= len(events) {
			continue
		}
		n++
		event := events[r.Index].event
		var named struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(event, &named); err != nil {
			named.ID = r.ID
		}
		s.client.reporter.reject(ctx, Rejection{ID: named.ID, Event: event, Problems: r.Problems})
	}
	s.client.settle(len(events), Stats{Accepted: int64(len(events) - n), Rejected: int64(n)})
}

// lose reports the first unsettled events as lost, and forgets them.
func (s *sender) lose(err *Error) {
	s.client.reporter.error(err)
	s.client.settle(err.Events, Stats{Dropped: int64(err.Events)})
}

// sentAt returns the present time by the clock of an era.
func (c *Client) sentAt(e *era) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clock.sentAt(e)
}

// peek returns the event after the first n that are not settled, if it can be sent. With a spool,
// events are sent from there, except for those that could not be written.
func (c *Client) peek(n int) (entry, bool) {
	c.mu.Lock()
	number := c.settled + uint64(n)
	stored := number < c.queue.first
	e, ok := c.queue.at(number)
	ok = ok && (c.spool == nil || c.spoolStuck != nil)
	c.mu.Unlock()
	if !stored {
		return e, ok
	}
	e, err := c.spool.read(number)
	if err != nil {
		c.skipDamage(number, err)
		return entry{}, false
	}
	_, e.at = c.opts.now()
	return e, true
}

// settle forgets the first n unsettled events and adds to the counts.
func (c *Client) settle(n int, counts Stats) {
	c.mu.Lock()
	c.counts.Accepted += counts.Accepted
	c.counts.Rejected += counts.Rejected
	c.counts.Dropped += counts.Dropped
	c.settled += uint64(n)
	c.forgetLocked(c.settled)
	settled := c.settled
	c.answerLocked()
	c.mu.Unlock()
	if c.spool != nil {
		c.spool.forget(settled)
		notify(c.spool.wake)
	}
}

// refuseKey remembers that the server refused the key.
func (c *Client) refuseKey(err *Error) {
	c.mu.Lock()
	c.unauthorized = err
	c.answerLocked()
	c.wakeForwardLocked()
	c.mu.Unlock()
	c.reporter.error(err)
}

// skipDamage settles the events of the spool that can no longer be read.
func (c *Client) skipDamage(number uint64, err error) {
	c.mu.Lock()
	first := c.settled
	c.mu.Unlock()
	if number != first {
		return // the events before it are sent first
	}
	lost := 1
	if segment, ok := c.spool.find(number); ok {
		lost = int(segment.end() - number)
	}
	message := redacted(fmt.Sprintf("%v; the events from there to the end of the segment are lost", err), c.opts.Key)
	c.reporter.error(&Error{Code: CodeSpool, Message: message, Events: lost})
	c.settle(lost, Stats{Dropped: int64(lost)})
	notify(c.sender.wake)
}
