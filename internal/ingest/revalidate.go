package ingest

import (
	"bytes"
	"time"

	"theeye/internal/event"
	"theeye/internal/jsonx"
	"theeye/internal/schema"
)

// Revalidation holds the settings with which a rejection is validated again.
type Revalidation struct {
	Zone               *time.Location // of timestamps without one; nil is UTC
	RefuseUnknownTypes bool
	// Types returns the event type to check against; nil for the types in force. It must not block.
	Types func(category, name string) *schema.Type
}

// Revalidate validates the body of a rejection again, as if it arrived alone: raw is the body of
// the rejection or a repaired one. The event keeps the id, the time of receipt and the position of
// the rejection, and its sent time if the body has none. Rules about time use the time of receipt.
//
// The result is an event, or a rejection with its current problems. It shares the memory of raw.
// Nothing is written. Whether the id is already stored with another body (id_conflict) is decided
// by the store. Revalidate may be called concurrently, even if Run is not running.
func (c *Collector) Revalidate(rej *event.Rejection, raw []byte, how Revalidation) event.Record {
	r := &request{
		Request: Request{App: rej.App, Zone: how.Zone, RefuseUnknownTypes: how.RefuseUnknownTypes, ReceivedAt: rej.ReceivedAt},
		sentAt:  rej.SentAt,
		types:   how.Types,
	}
	if r.Zone == nil {
		r.Zone = time.UTC
	}
	body := bytes.Trim(jsonx.WithoutBOM(raw), " \t\r\n") // a body that was refused as a whole is kept as it was sent
	if fault := oneValue(body); fault != nil {
		fault.Line = max(fault.Line, 1)
		r.batch.broken = map[int]*SyntaxError{0: fault}
	}
	record := c.validate(r, body, 0)
	if e := record.Event; e != nil {
		e.ID, e.ClientID, e.Position = rej.EventID, rej.ClientID, rej.Position
		e.SetOwn(min(e.Own(), rej.Own()))
		if c.opts.LookUpFormerIDs {
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
