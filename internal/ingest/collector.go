// Package ingest splits request bodies into events, parses and validates each of them strictly, and
// writes them to the queue before the sender is answered.
//
// It knows nothing about HTTP, and does not look for duplicates among stored events: the store
// does.
package ingest

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"theeye/internal/erasure"
	"theeye/internal/event"
	"theeye/internal/jsonx"
	"theeye/internal/queue"
	"theeye/internal/schema"
)

// Publisher publishes a frame, like queue.Publish.
type Publisher func(context.Context, queue.Frame) (uint64, error)

// Options of a collector. A limit of zero means its default.
type Options struct {
	Publish Publisher
	// Acknowledged is called for each durable frame, before its senders are answered.
	Acknowledged func(frame uint64, received map[string]int64)
	// Types returns the event type with its schema, nil if there is none. It is called for each
	// event and must not block.
	Types func(category, name string) *schema.Type
	// NearestType returns the registered event type closest to an unknown one; ok is false if none
	// is close enough. It may be nil.
	NearestType func(category, name string) (nearCategory, nearName string, ok bool)
	// Erasures returns everything erased so far. It is called for each request. It may be nil.
	Erasures func() *erasure.Set

	// LookUpFormerIDs says that the store may contain events of keys with origins under the ids
	// that earlier versions gave them, so those ids are looked up, too.
	LookUpFormerIDs bool

	MaxEventBytes   int           // 256 KiB
	MaxBatchEvents  int           // 10,000
	FutureTolerance time.Duration // 5 min
	SkewTolerance   time.Duration // 60 s
	// LargeBytes bounds the rejected bodies larger than MaxEventBytes that are kept whole, per
	// application and UTC day, in compressed bytes; 0 for DefaultLargeBytes.
	LargeBytes int64
	Registerer prometheus.Registerer
}

// Collector accepts events. Its methods may be called concurrently, but events are only written
// while Run is running.
type Collector struct {
	opts       Options
	decoders   decoderPool
	batcher    *batcher
	metrics    metrics
	skews      *skews
	large      *largeBudget
	validating barrier // requests whose records are being validated, until their frame's outcome is known
}

// New returns a collector.
func New(opts Options) *Collector {
	orDefault(&opts.MaxEventBytes, 256<<10)
	orDefault(&opts.MaxBatchEvents, 10_000)
	orDefault(&opts.FutureTolerance, 5*time.Minute)
	orDefault(&opts.SkewTolerance, time.Minute)
	orDefault(&opts.LargeBytes, DefaultLargeBytes)
	if opts.Acknowledged == nil {
		opts.Acknowledged = func(uint64, map[string]int64) {}
	}
	if opts.NearestType == nil {
		opts.NearestType = func(string, string) (string, string, bool) { return "", "", false }
	}
	if opts.Erasures == nil {
		none := &erasure.Set{}
		opts.Erasures = func() *erasure.Set { return none }
	}
	return &Collector{opts: opts, batcher: newBatcher(opts), metrics: newMetrics(opts.Registerer), skews: newSkews(opts.Registerer), large: newLargeBudget(opts.LargeBytes)}
}

func orDefault[T ~int | ~int64](v *T, value T) {
	if *v == 0 {
		*v = value
	}
}

// Run merges requests into frames until ctx is done. It returns when the last frame in flight has
// been answered.
func (c *Collector) Run(ctx context.Context) error { return c.batcher.run(ctx) }

// Request is a body with what is known about its sender.
type Request struct {
	App                string
	Zone               *time.Location // of timestamps without one; nil is UTC
	RefuseUnknownTypes bool
	Body               []byte // must not be changed until Collect returns
	Lines              bool   // the body is NDJSON
	Single             bool   // the body must be one event
	IdempotencyKey     string
	Public             bool // the key is public, as in a web page: ids that are not UUIDs get a namespace of their own
	ReceivedAt         event.Micros
}

// request is a Request whose body was split.
type request struct {
	Request
	batch           batch
	sentAt          event.Micros // of the envelope; 0 when absent
	sentAtFault     string
	types           func(category, name string) *schema.Type // nil for the types in force
	skew            *skew                                    // of the application
	lookUpFormerIDs bool                                     // as in Options
	unknownTypes    map[[2]string]string                     // the messages about unregistered event types
}

// Status is the status of an event in an answer.
type Status string

// The values of Status.
const (
	Accepted  Status = "accepted"
	Rejected  Status = "rejected"
	Duplicate Status = "duplicate"
)

// Item is the part of an answer about one event.
type Item struct {
	ID       uuid.UUID
	ClientID string
	Status   Status
	Problems []event.Problem
}

// Result says what became of the events of a request.
type Result struct {
	Items  []Item
	Single bool // the body was one event and no batch
	// Frame and First say where the items are: item i is record First+i of the frame. Frame is 0 if
	// there are no items.
	Frame uint64
	First int
}

// Collect splits a body, validates each of its events and returns when all of them, valid or not,
// are durable (P1). Errors: *SyntaxError, *ShapeError and *CountError if the body cannot be read as
// events, in which case nothing of it is kept (see KeepUnparsed), and those of queue.Publish.
func (c *Collector) Collect(ctx context.Context, req Request) (Result, error) {
	s, result, err := c.validateAll(req)
	if err != nil || s == nil {
		return result, err
	}
	defer s.abandon()
	if result.Frame, result.First, err = c.batcher.submit(ctx, s); err != nil {
		c.metrics.recordFailure(err)
		return Result{}, err
	}
	c.metrics.recordAccepted(result.Items, len(req.Body))
	return result, nil
}

// validateAll splits a body and validates each of its events. The part is nil if there are none;
// otherwise the caller publishes or abandons it.
func (c *Collector) validateAll(req Request) (s *part, result Result, err error) {
	r := &request{Request: req, skew: c.skews.app(req.App), lookUpFormerIDs: c.opts.LookUpFormerIDs}
	if r.Zone == nil {
		r.Zone = time.UTC
	}
	if body := jsonx.WithoutBOM(r.Body); r.Lines {
		r.batch, err = splitLines(body, c.opts.MaxBatchEvents)
	} else {
		r.batch, err = split(body, c.opts.MaxBatchEvents)
	}
	if err != nil {
		return nil, Result{}, err
	}
	if r.Single && !r.batch.single {
		return nil, Result{}, &ShapeError{"send a single event, as a JSON object"}
	}
	if r.batch.sentAt != nil && string(r.batch.sentAt) != "null" {
		r.sentAt, r.sentAtFault = readTime(r.batch.sentAt, r.Zone)
	}
	result = Result{Single: r.batch.single, Items: make([]Item, 0, len(r.batch.events))}
	if len(r.batch.events) == 0 {
		return nil, result, nil
	}
	var seen duplicates
	if len(r.batch.events) > 1 {
		seen.seen = make(map[uuid.UUID]*event.Event, len(r.batch.events))
	}
	s = &part{app: r.App, body: make([]byte, 0, len(r.Body)+128*len(r.batch.events)), release: c.validating.enter()}
	complete := false
	defer func() {
		if !complete { // it panics
			s.abandon()
		}
	}()
	erased := erasureFilter{set: c.opts.Erasures()} // after enter, so that WaitInFlight waits for what was validated without a new tombstone
	for i, raw := range r.batch.events {
		record := c.validate(r, raw, i)
		kept := erased.redact(record)
		if kept.Rejection != nil {
			c.truncate(kept.Rejection)
		}
		s.add(kept)
		item := Item{ID: record.EventID(), ClientID: record.ClientID()}
		item.Status, item.Problems = seen.status(record)
		result.Items = append(result.Items, item)
	}
	complete = true
	return s, result, nil
}

// WaitInFlight waits for all requests in flight at the call: until each frame with a record that
// was validated before has been acknowledged, or has an unknown outcome. So everything published
// later was validated with the tombstones that existed at the call. The error is that of ctx.
func (c *Collector) WaitInFlight(ctx context.Context) error { return c.validating.wait(ctx) }

// UnconfirmedFrames returns the number of frames whose outcome is not known: they may be in the
// queue or not.
func (c *Collector) UnconfirmedFrames() uint64 { return c.batcher.unconfirmed.Load() }

// erasureFilter finds the records of a request that belong to an erased session or application.
type erasureFilter struct {
	set    *erasure.Set
	covers map[string]erasure.Cover // by session
}

// redact returns what is kept of a record: only its id if it was erased.
func (x *erasureFilter) redact(r event.Record) event.Record {
	if x.set.Len() == 0 {
		return r
	}
	app, session := r.App(), r.SessionID()
	cover, known := x.covers[session]
	if !known {
		if x.covers == nil {
			x.covers = map[string]erasure.Cover{}
		}
		cover = x.set.Cover(app, session)
		x.covers[session] = cover
	}
	if !cover.Has(r) {
		return r
	}
	return event.Record{Erased: &event.ErasedArrival{App: app, EventID: r.EventID(), ReceivedAt: r.ReceivedAt()}}
}

// PrefixBytes is how many bytes are kept of a body that is not kept whole: one that cannot be read
// as events, or a rejected one that is too large.
const PrefixBytes = 4 << 10

// KeepUnparsed keeps a body that cannot be read as events as one rejection with its first
// PrefixBytes bytes. It returns the event id of the rejection once that is durable. For NDJSON, the
// rejection has no session, because the lines may belong to several.
func (c *Collector) KeepUnparsed(ctx context.Context, req Request, p event.Problem) (uuid.UUID, error) {
	p.Message = strings.ToValidUTF8(p.Message, "\uFFFD")
	r := &request{Request: req}
	raw := req.Body[:min(len(req.Body), PrefixBytes)]
	e := rawEvent{problems: []event.Problem{p}}
	if !r.Lines {
		e.sessionID = labelsIn(raw).sessionID
	}
	record := r.reject(e, raw, 0, 0)
	s := part{app: r.App, release: c.validating.enter()}
	defer s.abandon()
	erased := erasureFilter{set: c.opts.Erasures()} // after enter, as in Collect
	s.add(erased.redact(record))
	if _, _, err := c.batcher.submit(ctx, &s); err != nil {
		c.metrics.recordFailure(err)
		return uuid.UUID{}, err
	}
	c.metrics.recordUnparsed(p.Code)
	return record.Rejection.EventID, nil
}

// ErrClosed is returned for a request after Run has ended. Nothing was written.
var ErrClosed = errors.New("intake is closed")
