// Package ingest splits request bodies into events, reads and validates each of them strictly, and
// writes them to the queue before a sender is answered.
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

// Publisher is what a collector needs of a queue.
type Publisher func(context.Context, queue.Frame) (uint64, error)

// Options of a collector. Zero limits stand for the defaults.
type Options struct {
	Publish Publisher
	// Acknowledged is called for each durable frame, before its senders are answered.
	Acknowledged func(frame uint64, received map[string]int64)
	// Types returns the event type with its schema, nil when there is none. It
	// is called for each event and must not wait.
	Types func(category, name string) *schema.Type
	// NearestType returns the event type that an unknown one was probably meant to be; nil for
	// none.
	NearestType func(category, name string) (nearCategory, nearName string, ok bool)
	// Erasures returns what was erased so far. It is called for each request; nil for none.
	Erasures func() *erasure.Set

	// Upgraded: the store may hold events of keys with origins under the ids that earlier versions
	// gave them, so those ids are looked up, too.
	Upgraded bool

	MaxEventBytes   int           // 256 KiB
	MaxBatchEvents  int           // 10,000
	FutureTolerance time.Duration // 5 min
	SkewTolerance   time.Duration // 60 s
	// LargeBytes is how much of rejected bodies beyond MaxEventBytes is kept whole, for each
	// application and UTC day, in bytes as they are stored; 0 for DefaultLargeBytes.
	LargeBytes int64
	Registerer prometheus.Registerer
}

// Collector takes events in. Its methods may be called concurrently, but do
// their work only while Run runs.
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

// Run merges requests into frames until ctx ends. It returns when the last
// frame in flight is answered.
func (c *Collector) Run(ctx context.Context) error { return c.batcher.run(ctx) }

// Request is a body with what is known of its sender.
type Request struct {
	App                string
	Zone               *time.Location // of timestamps without one; nil is UTC
	RefuseUnknownTypes bool
	Body               []byte // must not be changed until Collect returns
	Lines              bool   // the body is NDJSON
	Single             bool   // the body must be one event
	IdempotencyKey     string
	Public             bool // the key is public, as in a web page: ids that are not UUIDs have a namespace of their own
	ReceivedAt         event.Micros
}

// request is a Request with what its body says of itself.
type request struct {
	Request
	batch        batch
	sentAt       event.Micros // of the envelope; 0 when absent
	sentAtFault  string
	types        func(category, name string) *schema.Type // nil: those in force
	skew         *skew                                    // of the application
	upgraded     bool                                     // as in Options
	unknownTypes map[[2]string]string                     // what was said of event types that are not registered
}

// Status is what an answer says of an event.
type Status string

// The statuses of an event in an answer.
const (
	Accepted  Status = "accepted"
	Rejected  Status = "rejected"
	Duplicate Status = "duplicate"
)

// Item is what an answer says of one event.
type Item struct {
	ID       uuid.UUID
	ClientID string
	Status   Status
	Problems []event.Problem
}

// Receipt is the answer to a request.
type Receipt struct {
	Items  []Item
	Single bool // the body was one event and no batch
	// Frame and First say where the items went: item i is record First+i of the
	// frame. Frame is 0 when there are none.
	Frame uint64
	First int
}

// Collect reads a body, validates each of its events and returns when all of them,
// good or bad, are durable (P1). Errors: *SyntaxError, *ShapeError and
// *CountError for what cannot be read as events, of which nothing is kept yet
// (see Refuse), and those of queue.Publish.
func (c *Collector) Collect(ctx context.Context, req Request) (Receipt, error) {
	r := &request{Request: req, skew: c.skews.app(req.App), upgraded: c.opts.Upgraded}
	if r.Zone == nil {
		r.Zone = time.UTC
	}
	var err error
	if body := jsonx.WithoutBOM(r.Body); r.Lines {
		r.batch, err = splitLines(body, c.opts.MaxBatchEvents)
	} else {
		r.batch, err = split(body, c.opts.MaxBatchEvents)
	}
	if err != nil {
		return Receipt{}, err
	}
	if r.Single && !r.batch.single {
		return Receipt{}, &ShapeError{"send a single event, as a JSON object"}
	}
	if r.batch.sentAt != nil && string(r.batch.sentAt) != "null" {
		r.sentAt, r.sentAtFault = readTime(r.batch.sentAt, r.Zone)
	}
	receipt := Receipt{Single: r.batch.single, Items: make([]Item, 0, len(r.batch.events))}
	if len(r.batch.events) == 0 {
		return receipt, nil
	}
	var seen duplicates
	if len(r.batch.events) > 1 {
		seen.seen = make(map[uuid.UUID]*event.Event, len(r.batch.events))
	}
	s := entry{app: r.App, body: make([]byte, 0, len(r.Body)+128*len(r.batch.events)), release: c.validating.enter()}
	defer s.abandon()
	erased := erasureFilter{set: c.opts.Erasures()} // after enter: WaitInFlight then waits for all that was validated without a tombstone
	for i, raw := range r.batch.events {
		record := c.validate(r, raw, i)
		kept := erased.redact(record)
		if kept.Rejection != nil {
			c.truncate(kept.Rejection)
		}
		s.add(kept)
		item := Item{ID: record.EventID(), ClientID: record.ClientID()}
		item.Status, item.Problems = seen.status(record)
		receipt.Items = append(receipt.Items, item)
	}
	if receipt.Frame, receipt.First, err = c.batcher.submit(ctx, &s); err != nil {
		c.metrics.recordFailure(err)
		return Receipt{}, err
	}
	c.metrics.recordAccepted(receipt.Items, len(r.Body))
	return receipt, nil
}

// WaitInFlight returns when every frame with a record that was validated before the call has been
// acknowledged, or has an unknown outcome. So everything published later was validated with the
// tombstones that existed at the call. The error is that of ctx.
func (c *Collector) WaitInFlight(ctx context.Context) error { return c.validating.wait(ctx) }

// UnknownOutcomes returns how many frames had an outcome that is not known: the queue may have them
// or not.
func (c *Collector) UnknownOutcomes() uint64 { return c.batcher.unknownOutcomes.Load() }

// erasureFilter finds the records of a request that belong to something erased.
type erasureFilter struct {
	set    *erasure.Set
	covers map[string]erasure.Cover // by session
}

// redact returns what is kept of a record: only its id when it belongs to something erased.
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

// PrefixBytes is how much of a request that cannot be read is kept, in bytes.
const PrefixBytes = 4 << 10

// Refuse keeps a request that cannot be read as one rejection with its first 4 KiB. It returns the
// event id of the rejection when that is durable. For NDJSON, the rejection has no session, because
// the lines may belong to several.
func (c *Collector) Refuse(ctx context.Context, req Request, p event.Problem) (uuid.UUID, error) {
	p.Message = strings.ToValidUTF8(p.Message, "\uFFFD")
	r := &request{Request: req}
	raw := req.Body[:min(len(req.Body), PrefixBytes)]
	e := rawEvent{problems: []event.Problem{p}}
	if !r.Lines {
		e.sessionID = labelsIn(raw).sessionID
	}
	record := r.reject(e, raw, 0, 0)
	s := entry{app: r.App, release: c.validating.enter()}
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

// ErrClosed is returned for what comes after Run has ended. Nothing was written.
var ErrClosed = errors.New("intake is closed")
