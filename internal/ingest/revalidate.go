package ingest

import (
	"bytes"
	"time"

	"theeye/internal/event"
	"theeye/internal/jsonx"
	"theeye/internal/schema"
)

// Revalidation holds the settings by which a rejection is validated again.
type Revalidation struct {
	Zone               *time.Location // of timestamps without one; nil is UTC
	RefuseUnknownTypes bool
	// Types returns the event type to check by; nil takes those in force. It must
	// not wait.
	Types func(category, name string) *schema.Type
}

// Revalidate validates the body of a rejection again, as intake would if it came
// alone: raw is the rejection's own body or a repaired one. The event keeps the
// id, the time of arrival and the position of the rejection, and the time of its
// sending when the body has none; rules about time go by the time of arrival.
//
// The answer is an event, or a rejection with what is wrong now; it shares the
// memory of raw. Nothing is written, and whether the id is stored already with
// another body (id_conflict) is for the store to say. Revalidate may be called
// concurrently, also while Run does not run.
func (c *Collector) Revalidate(rej *event.Rejection, raw []byte, how Revalidation) event.Record {
	r := &request{
		Request: Request{App: rej.App, Zone: how.Zone, RefuseUnknownTypes: how.RefuseUnknownTypes, ReceivedAt: rej.ReceivedAt},
		sentAt:  rej.SentAt,
		types:   how.Types,
	}
	if r.Zone == nil {
		r.Zone = time.UTC
	}
	body := bytes.Trim(jsonx.WithoutBOM(raw), " \t\r\n") // a body that was refused as a whole is kept as it came
	if fault := oneValue(body); fault != nil {
		fault.Line = max(fault.Line, 1)
		r.batch.broken = map[int]*SyntaxError{0: fault}
	}
	record := c.validate(r, body, 0)
	if e := record.Event; e != nil {
		e.ID, e.ClientID, e.Position = rej.EventID, rej.ClientID, rej.Position
		e.SetOwn(min(e.Own(), rej.Own()))
		if c.opts.Upgraded {
			e.FormerID = event.FormerID(rej.App, rej.EventID, rej.ClientID)
		}
		return record
	}
	again := record.Rejection
	again.ID, again.EventID, again.ClientID = event.RejectionID(rej.App, rej.EventID, raw), rej.EventID, rej.ClientID
	again.Position, again.Raw = rej.Position, raw
	again.SetOwn(min(again.Own(), rej.Own()))
	return record
}
