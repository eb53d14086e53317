package theeye

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// fullReportEvery is the time between two reports of events dropped because the queue was full.
	fullReportEvery = time.Second
	// lastReports is how long Close waits for the last callbacks.
	lastReports = time.Second
	// pooledBytes is the largest buffer of an encoded event that is kept for the next one.
	pooledBytes = 64 << 10
)

// Client sends events. It is safe for concurrent use.
type Client struct {
	opts     Options
	reporter *reporter
	sender   *sender
	direct   *direct
	spool    *spool // nil without one
	buffers  sync.Pool

	mu           sync.Mutex // guards the following, and what says so elsewhere
	clock        *clock
	sequence     sequence
	queue        queue  // those in memory: all, or those that are not in the spool yet
	settled      uint64 // events before this number are settled
	flushing     uint64 // events before this number are sent without delay
	unauthorized *Error
	failure      string // why the last attempt is to be repeated; empty after one that is not
	spoolStuck   *Error // why events in memory are not in the spool at present
	closed       bool
	full         int // events dropped since the last report
	fullReport   *time.Timer
	waiters      []waiter
	room         chan struct{} // closed when an event has left the queue; nil if nobody waits for that
	counts       Stats

	closing  sync.Once
	closeErr error
}

// waiter waits for the events before a number.
type waiter struct {
	number uint64
	sync   bool // for the spool alone: it ends when the spool is stuck
	done   chan error
}

// Stats are the counts of a client since New.
type Stats struct {
	Queued      int   // events that are not settled, in the spool or in memory
	QueuedBytes int   // of encoded events in memory
	Accepted    int64 // events that the server accepted, duplicates included
	Rejected    int64 // events that the server rejected
	Dropped     int64 // events that were lost and reported

	// LastFailure says why the first request is to be repeated. It is empty when nothing has failed
	// since the last answer.
	LastFailure string
}

// New returns a client and starts to send what the spool holds. Close ends it.
func New(o Options) (*Client, error) {
	o, err := o.checked()
	if err != nil {
		return nil, err
	}
	c := &Client{opts: o, reporter: &reporter{onError: o.OnError, onRejected: o.OnRejected, onOutage: o.OnOutage}, clock: newClock(o.now), sequence: newSequence()}
	c.buffers.New = func() any { return new([]byte) }
	if o.Spool != "" {
		if c.spool, err = openSpool(&o); err != nil {
			return nil, fmt.Errorf("theeye: %w", err)
		}
		c.queue.first = c.spool.end()
		if c.spool.cut > 0 {
			c.reporter.error(&Error{Code: CodeSpool, Message: fmt.Sprintf("%d bytes in the spool were not complete events and were cut off", c.spool.cut)})
		}
	}
	c.sender, c.direct = newSender(c), newDirect(&c.opts)
	c.sender.start()
	if c.spool != nil {
		go c.writeSpool()
	}
	return c, nil
}

// Track encodes an event and queues it. Afterwards the caller may change the data. It does not wait,
// except for the disk with [Options.SpoolSync].
//
// An event that cannot be encoded, or is tracked after Close, costs an *[Error] of
// [CodeUnserializable] or [CodeClosed], and is reported to OnError as well. An event that is dropped
// because the queue is full is reported to OnError alone.
func (c *Client) Track(e Event) error {
	if e.SessionID == "" {
		e.SessionID = c.opts.SessionID
	}
	buffer, _ := c.buffers.Get().(*[]byte)
	defer func() {
		if cap(*buffer) <= pooledBytes {
			c.buffers.Put(buffer)
		}
	}()
	wall, _ := c.opts.now()
	encoded, err := appendEvent((*buffer)[:0], &e, wall)
	if err != nil {
		return c.drop(&Error{Code: CodeUnserializable, Message: redacted(err.Error(), c.opts.Key), Events: 1})
	}
	*buffer = encoded

	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return c.drop(&Error{Code: CodeClosed, Message: closedMessage, Events: 1})
	}
	at, elapsed := c.clock.stamp()
	if !e.Timestamp.IsZero() {
		at = e.Timestamp
	}
	encoded = appendEnd(encoded, at, c.sequence.next(e.SessionID), c.sequence.sender)
	*buffer = encoded
	if !c.fitsLocked(encoded) {
		c.dropFullLocked()
		c.mu.Unlock()
		if c.opts.SpoolSync {
			return &Error{Code: CodeQueueFull, Message: fullMessage, Events: 1}
		}
		return nil
	}
	c.pushLocked(entry{event: slices.Clone(encoded), at: elapsed, era: c.clock.era})
	return c.unlockWritten()
}

// Forward queues an event that was encoded elsewhere, a JSON object. Nothing is added to it, so it
// should have an id, without which a repeated request stores it twice, and needs a timestamp. Unlike
// Track, Forward waits while the queue is full, until ctx ends. The caller may then change the event.
//
// Its errors are those of Track, that of ctx, and [CodeUnauthorized] when the queue is full and
// nothing leaves it.
func (c *Client) Forward(ctx context.Context, event json.RawMessage) error {
	event = bytes.TrimSpace(event)
	if !json.Valid(event) || event[0] != '{' {
		return c.drop(&Error{Code: CodeUnserializable, Message: "the event is not a JSON object", Events: 1})
	}
	if len(event) > c.opts.QueueBytes {
		return c.drop(&Error{Code: CodeQueueFull, Message: "the event is larger than the queue", Events: 1})
	}
	c.mu.Lock()
	for !c.closed && !c.fitsLocked(event) {
		if err := c.unauthorized; err != nil {
			c.mu.Unlock()
			return err
		}
		if c.room == nil {
			c.room = make(chan struct{})
		}
		room := c.room
		c.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
		c.mu.Lock()
	}
	if c.closed {
		c.mu.Unlock()
		return c.drop(&Error{Code: CodeClosed, Message: closedMessage, Events: 1})
	}
	_, elapsed := c.clock.read()
	c.pushLocked(entry{event: slices.Clone(event), at: elapsed, era: c.clock.era})
	return c.unlockWritten()
}

// unlockWritten unlocks c.mu. With SpoolSync, it then waits until the last event is on disk.
func (c *Client) unlockWritten() error {
	if !c.opts.SpoolSync {
		c.mu.Unlock()
		return nil
	}
	written := c.waitLocked(waiter{number: c.queue.end(), sync: true})
	c.mu.Unlock()
	return <-written
}

// drop counts and reports lost events, and returns the error.
func (c *Client) drop(err *Error) error {
	c.mu.Lock()
	c.counts.Dropped += int64(err.Events)
	c.mu.Unlock()
	c.reporter.error(err)
	return err
}

const (
	fullMessage   = "the queue was full"
	closedMessage = "the client was closed"
)

// fitsLocked reports whether the queue has room for an event.
func (c *Client) fitsLocked(event []byte) bool {
	return len(c.queue.entries) < c.opts.QueueEvents && c.queue.bytes+len(event) <= c.opts.QueueBytes
}

// dropFullLocked counts an event that is dropped because the queue is full.
func (c *Client) dropFullLocked() {
	c.counts.Dropped++
	c.full++
	if c.full == 1 {
		c.fullReport = time.AfterFunc(fullReportEvery, c.reportFull)
	}
}

// pushLocked queues an event and wakes the sender when it has something to do.
func (c *Client) pushLocked(e entry) {
	before := c.queue.bytes
	c.queue.push(e)
	events := len(c.queue.entries)
	switch {
	case c.spool != nil:
		notify(c.spool.wake)
	case events == 1, events == c.opts.BatchEvents, before < c.opts.BatchBytes && c.queue.bytes >= c.opts.BatchBytes:
		notify(c.sender.wake)
	}
}

// forgetLocked removes the events before a number from the queue.
func (c *Client) forgetLocked(number uint64) {
	c.queue.forget(number)
	c.wakeForwardLocked()
}

// wakeForwardLocked makes the calls of Forward that wait look again.
func (c *Client) wakeForwardLocked() {
	if c.room != nil {
		close(c.room)
		c.room = nil
	}
}

// reportFull reports the events that were dropped since the last report.
func (c *Client) reportFull() {
	c.mu.Lock()
	n := c.full
	c.full = 0
	c.mu.Unlock()
	if n > 0 {
		c.reporter.error(&Error{Code: CodeQueueFull, Message: fullMessage, Events: n})
	}
}

// waitLocked returns a channel that gets nil when the events before w.number are settled or in the
// spool, or the error that ends the wait.
func (c *Client) waitLocked(w waiter) <-chan error {
	w.done = make(chan error, 1)
	c.waiters = append(c.waiters, w)
	c.answerLocked()
	return w.done
}

// answerLocked ends the waits that are over.
func (c *Client) answerLocked() {
	reached := c.settled
	if c.spool != nil {
		reached = max(reached, c.queue.first)
	}
	c.waiters = slices.DeleteFunc(c.waiters, func(w waiter) bool {
		switch {
		case !w.sync && c.unauthorized != nil && (c.spool == nil || c.spoolStuck != nil || w.number <= reached):
			w.done <- c.unauthorized
		case w.number <= reached:
			w.done <- nil
		case w.sync && c.spoolStuck != nil:
			w.done <- c.spoolStuck
		default:
			return false
		}
		return true
	})
}

// Flush sends what is queued without delay, and waits until every event tracked before the call is
// settled: accepted or rejected by the server, or dropped and reported. With a spool, it waits until
// they are settled or on disk.
//
// It returns the error of a context that ends first, [CodeUnauthorized] when the server refuses the
// key, and [CodeUnsent] when Close has left events.
func (c *Client) Flush(ctx context.Context) error {
	c.mu.Lock()
	c.flushing = c.endLocked()
	done := c.waitLocked(waiter{number: c.flushing})
	c.mu.Unlock()
	notify(c.sender.wake)
	if c.spool != nil {
		notify(c.spool.wake)
		notify(c.spool.urgent)
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		c.stopWaiting(done)
		return ctx.Err()
	}
}

// stopWaiting removes the waiter whose channel is done.
func (c *Client) stopWaiting(done <-chan error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiters = slices.DeleteFunc(c.waiters, func(w waiter) bool { return w.done == done })
}

// endLocked returns the number of the next event.
func (c *Client) endLocked() uint64 { return max(c.settled, c.queue.end()) }

// Close sends what is queued, until ctx ends, and ends the client. A context without a deadline
// waits for as long as the server is away. What is left is reported as [CodeUnsent], which Close
// returns too; in a spool, the next client sends it. Later calls wait for the first one and return
// the same.
func (c *Client) Close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	notify(c.sender.wake)
	select {
	case <-c.sender.done:
	case <-ctx.Done():
		c.sender.cancel()
		<-c.sender.done
	}
	c.direct.post.end()
	c.closing.Do(c.finish)
	reports, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastReports)
	defer cancel()
	c.reporter.wait(reports)
	return c.closeErr
}

// finish ends what Close leaves running when the sender has ended.
func (c *Client) finish() {
	if c.spool != nil {
		close(c.spool.stop)
		<-c.spool.done
	}
	c.mu.Lock()
	settled := c.settled
	left := int(c.endLocked() - settled)
	lost := left
	if c.spool != nil {
		lost = len(c.queue.entries)
	}
	c.counts.Dropped += int64(lost)
	var unsent *Error
	if left > 0 {
		message := "the client was closed before the events were sent"
		if c.failure != "" {
			message += "; the last attempt: " + c.failure
		}
		if lost < left {
			message += fmt.Sprintf("; %d are in the spool", left-lost)
		}
		unsent = &Error{Code: CodeUnsent, Message: message, Events: left}
		c.closeErr = unsent
	}
	c.forgetLocked(c.queue.end())
	c.settled = c.queue.end()
	for _, w := range c.waiters {
		w.done <- c.closeErr
	}
	c.waiters = nil
	if c.fullReport != nil {
		c.fullReport.Stop()
	}
	c.mu.Unlock()
	if c.spool != nil {
		c.spool.close(settled)
	}
	c.reportFull()
	if unsent != nil {
		c.reporter.error(unsent)
	}
}

// Stats returns the counts.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.counts
	s.Queued = int(c.endLocked() - c.settled)
	s.QueuedBytes = c.queue.bytes
	s.LastFailure = c.failure
	return s
}
