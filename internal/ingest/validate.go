package ingest

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"theeye/internal/duration"
	"theeye/internal/event"
	"theeye/internal/schema"
)

// validate converts one raw event to a record: an event, or a rejection with all its problems. The
// record shares the memory of raw.
func (c *Collector) validate(r *request, raw []byte, index int) event.Record {
	if broken := r.batch.broken[index]; broken != nil {
		e := rawEvent{sessionID: labelsIn(raw).sessionID}
		e.problem(event.InvalidJSON, "", broken.Error())
		return r.reject(e, raw, index, 0)
	}
	if len(raw) > c.opts.MaxEventBytes {
		known := labelsIn(raw)
		e := rawEvent{id: known.id, sessionID: known.sessionID} // with the id, a repetition is a duplicate
		e.problem(event.EventTooLarge, "", fmt.Sprintf("the event is %d bytes long; at most %d are allowed (--max-event-bytes)", len(raw), c.opts.MaxEventBytes))
		return r.reject(e, raw, index, 0)
	}
	e := c.decoders.read(raw, r.Zone)
	if e.sentAt == 0 && raw[0] == '{' {
		e.sentAt = r.sentAt
		if r.sentAtFault != "" {
			e.problem(event.InvalidField, "/sent_at", r.sentAtFault)
		}
	}
	occurredAt := c.correct(r, &e)
	version := c.checkType(r, &e)
	if len(e.problems) > 0 {
		e.correctedAt = occurredAt
		return r.reject(e, raw, index, version)
	}
	n := r.identify(&e, index)
	accepted := &event.Event{
		App: r.App, ID: n.id, ClientID: n.clientID, FormerID: n.former,
		SessionID: e.sessionID, Category: e.category, Name: e.name, Data: e.data,
		Timestamp: e.timestamp, SentTime: e.sentTime, SentAt: e.sentAt, Seq: e.seq, Sender: e.sender,
		OccurredAt: occurredAt, ReceivedAt: r.ReceivedAt, SchemaVersion: version,
	}
	accepted.SetOwn(min(e.occurredAt, occurredAt, r.ReceivedAt))
	return event.Record{Event: accepted}
}

// correct returns when the event occurred according to the server's clock. It corrects the sender's
// clock only if that is further off than a slow network explains.
func (c *Collector) correct(r *request, e *rawEvent) event.Micros {
	if !e.hasTime {
		return 0
	}
	at, received := e.occurredAt, r.ReceivedAt
	if e.sentAt != 0 {
		skew := received.Sub(e.sentAt)
		wrong := skew.Abs() > c.opts.SkewTolerance
		if wrong {
			at += event.Micros(skew / time.Microsecond)
		}
		r.skew.observe(received, e.sentAt, wrong)
	}
	switch {
	case at < event.Earliest || at >= event.Latest:
		e.problem(event.TimestampOutOfRange, "/timestamp", "after correction for the sender's clock, the time is "+event.ErrOutOfRange.Error())
	case at.Sub(received) > c.opts.FutureTolerance:
		e.problem(event.TimestampInFuture, "/timestamp", c.inFutureMessage(r, e, at))
	}
	return at
}

// inFutureMessage says how far a time is ahead. If the time zone may be the cause, it names the
// zone.
func (c *Collector) inFutureMessage(r *request, e *rawEvent, at event.Micros) string {
	ahead := fmt.Sprintf("%s ahead of the server's clock; at most %s is allowed (--future-tolerance)",
		roundAhead(at.Sub(r.ReceivedAt), c.opts.FutureTolerance), duration.Format(c.opts.FutureTolerance))
	if e.isNumber || at != e.occurredAt || event.NamesZone(e.timestamp) {
		return fmt.Sprintf("%s is %s", at, ahead)
	}
	return fmt.Sprintf("%q has no zone and was read in %s, the application's time zone: that is %s; send it with an offset, or set the application's time_zone",
		e.timestamp, r.Zone, ahead)
}

// roundAhead formats a duration to the minute, or to the second if it is short or the rounded value
// would no longer exceed the limit.
func roundAhead(d, limit time.Duration) string {
	if minutes := d.Round(time.Minute); minutes >= 10*time.Minute && minutes > limit {
		return duration.Format(minutes)
	}
	return duration.Format((d + time.Second - 1).Truncate(time.Second))
}

// checkType checks data against the schema of its type, if both are usable, and returns the version
// of that schema.
func (c *Collector) checkType(r *request, e *rawEvent) uint32 {
	if e.category == "" || e.name == "" {
		return 0
	}
	types := r.types
	if types == nil {
		types = c.opts.Types
	}
	t := types(e.category, e.name)
	if t == nil {
		if r.RefuseUnknownTypes {
			e.problem(event.UnknownEventType, "", c.unknownTypeMessage(r, e.category, e.name))
		}
		return 0
	}
	if e.checkable && e.data != nil {
		e.problems = append(e.problems, t.Check(schema.Decode(e.data))...)
	}
	return t.Version
}

// maxNearest bounds the unknown event types of one request for which the nearest known one is
// looked up.
const maxNearest = 10

func (c *Collector) unknownTypeMessage(r *request, category, name string) string {
	key := [2]string{category, name}
	if message, again := r.unknownTypes[key]; again {
		return message
	}
	message := fmt.Sprintf("the event type %q / %q is not registered, and the application accepts only registered types (unknown_types)", category, name)
	if len(r.unknownTypes) >= maxNearest {
		return message
	}
	if nearCategory, nearName, ok := c.opts.NearestType(category, name); ok {
		message += fmt.Sprintf("; did you mean %q / %q?", nearCategory, nearName)
	}
	if r.unknownTypes == nil {
		r.unknownTypes = map[[2]string]string{}
	}
	r.unknownTypes[key] = message
	return message
}

// MaxProblemText bounds the pointer and the message of a problem, in bytes each. A name from a
// sender may be as long as its event.
const MaxProblemText = 2 << 10

// truncateProblem bounds the strings of a problem. A pointer that is too long is replaced by that
// of the innermost enclosing value whose pointer fits.
func truncateProblem(p *event.Problem) {
	for len(p.Pointer) > MaxProblemText {
		p.Pointer = p.Pointer[:max(0, strings.LastIndexByte(p.Pointer, '/'))]
	}
	p.Message = event.Truncate(p.Message, MaxProblemText)
}

// MaxProblems bounds the problems that are reported for one event. The last one then says how many
// more there are.
const MaxProblems = 50

// reject returns a rejection. Every erasure before its receipt covers an event without a valid
// time, because it may have occurred before any of them.
func (r *request) reject(e rawEvent, raw []byte, index int, version uint32) event.Record {
	if n := len(e.problems) + e.uncounted; n > MaxProblems {
		e.problems[MaxProblems-1].Message += fmt.Sprintf(" (and %d more problems)", n-MaxProblems)
		e.problems = e.problems[:MaxProblems]
	}
	for i := range e.problems {
		truncateProblem(&e.problems[i])
	}
	n := r.identify(&e, index)
	rejection := &event.Rejection{
		ID: event.RejectionID(r.App, n.id, raw), EventID: n.id, ClientID: n.clientID, FormerID: n.former, App: r.App,
		SessionID: e.sessionID, Category: e.category, Name: e.name, SentTime: e.sentTime, SentAt: e.sentAt,
		ReceivedAt: r.ReceivedAt, SchemaVersion: version, Problems: e.problems, Raw: raw,
	}
	own := r.ReceivedAt
	if e.hasTime {
		own = min(own, e.occurredAt, e.correctedAt)
	}
	rejection.SetOwn(own)
	return event.Record{Rejection: rejection}
}

// duplicates finds events with the same id in one request.
type duplicates struct{ seen map[uuid.UUID]*event.Event }

// status returns the status and the problems of a record in the answer. It does not change the
// record: the store comes to the same decision with the same function.
func (p *duplicates) status(r event.Record) (Status, []event.Problem) {
	if r.Rejection != nil {
		return statusOf(event.DecideRejection(r.Rejection, false))
	}
	first := p.seen[r.Event.ID]
	if first == nil && p.seen != nil {
		p.seen[r.Event.ID] = r.Event
	}
	outcome, _ := event.Decide(r.Event, event.MatchOf(first, r.Event))
	return statusOf(outcome)
}

func statusOf(o event.Outcome) (Status, []event.Problem) {
	switch o.Fate {
	case event.Duplicate:
		return Duplicate, o.Problems
	case event.Rejected:
		return Rejected, o.Problems
	default:
		return Accepted, o.Problems
	}
}
