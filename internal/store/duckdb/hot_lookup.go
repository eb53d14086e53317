package duckdb

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"theeye/internal/event"
)

// segmentLookup lists what has to be looked up in one segment.
type segmentLookup struct {
	slices     []int
	events     []*event.Event // that may be stored in the segment
	rejections []uuid.UUID    // ids of rejections that may be stored in the segment
	erased     []uuid.UUID    // ids of events that may have been erased from the segment
}

// lookupSegments looks up the ids of records in segments: in those whose bounds include an event's
// sent time, and in all that received anything within the dedupe window. A retry has the same sent
// time as the first attempt, so it is recognised whenever it arrives. A replay may be made long
// after the time of receipt and with a repaired timestamp, so it is looked up in all segments. The
// filters exclude most segments; each remaining one is queried once.
func (d *decider) lookupSegments(ctx context.Context, records []event.Record) error {
	if len(d.tables.segments) == 0 {
		return nil
	}
	found := map[*segment]*segmentLookup{}
	for _, record := range records {
		if record.Erased == nil {
			d.addLookups(record, found)
		}
	}
	for _, seg := range d.tables.segments {
		lookup := found[seg]
		if lookup == nil {
			continue
		}
		if len(lookup.events) > 0 {
			if err := d.lookupEvents(ctx, seg, lookup); err != nil {
				return err
			}
		}
		if len(lookup.erased) > 0 {
			if err := d.lookupErased(ctx, seg, lookup.erased); err != nil {
				return err
			}
		}
		if len(lookup.rejections) > 0 {
			b := newBuilder()
			text := "SELECT id FROM " + seg.table(rejectionTable) + " WHERE " + b.idIn(lookup.rejections)
			ids, err := queryAll(ctx, d.store, d.onWriter(b.build("dedupe", text)), scanID)
			if err != nil {
				return err
			}
			for _, id := range ids {
				d.rejections[id] = struct{}{}
			}
		}
	}
	return nil
}

// lookupErased finds the ids of events that were erased from a segment, or on arrival.
func (d *decider) lookupErased(ctx context.Context, seg *segment, ids []uuid.UUID) error {
	b := newBuilder()
	text := "SELECT app, event_id, carried_by, received_at FROM " + seg.table(residueTable) + " WHERE fate = " + strconv.Itoa(int(event.Erased)) + " AND " + b.inIDs("event_id", ids)
	_, err := queryAll(ctx, d.store, d.onWriter(b.build("dedupe", text)), func(scan scanner) (none struct{}, err error) {
		var t residue
		err = scan(&t.app, &t.eventID, &t.carriedBy, &t.receivedAt)
		key := idKey{d.store.appNumber(t.app), t.eventID}
		d.erasedIDs[key] = d.erasedIDs[key].merge(t.lastErased())
		return none, err
	})
	return err
}

// lookupEvents finds which events a segment has. Most are byte-identical and recognised by digest;
// the stored body is read only for the others.
func (d *decider) lookupEvents(ctx context.Context, seg *segment, lookup *segmentLookup) error {
	ids := make([]uuid.UUID, len(lookup.events))
	for i, e := range lookup.events {
		ids[i] = e.ID
	}
	b := newBuilder()
	text := "SELECT app, id, " + digestSQL + " FROM " + seg.table(eventTable) + " WHERE " + sliceIn(distinct(lookup.slices)) + " AND " + b.idIn(ids)
	stored := map[idKey]string{}
	_, err := queryAll(ctx, d.store, d.onWriter(b.build("dedupe", text)), func(scan scanner) (none struct{}, err error) {
		var app, digest string
		var id uuid.UUID
		err = scan(&app, &id, &digest)
		stored[idKey{d.store.appNumber(app), id}] = digest
		return none, err
	})
	if err != nil {
		return err
	}
	var others []uuid.UUID
	for _, e := range lookup.events {
		key := idKey{d.store.appNumber(e.App), e.ID}
		switch there, ok := stored[key]; {
		case !ok: // a false positive of the filter
		case there == digest(e):
			d.digests[key] = there
		default:
			others = append(others, e.ID)
		}
	}
	if len(others) == 0 {
		return nil
	}
	b = newBuilder()
	text = "SELECT " + seg.columnsOf(eventTable) + " FROM " + seg.table(eventTable) + " WHERE " + sliceIn(lookup.slices) + " AND " + b.idIn(others)
	return d.loadBodies(ctx, b.build("dedupe", text))
}

// digest returns a hash that is equal for events whose bodies are byte-identical. Fields are
// separated by NUL, which no text contains. digestSQL renders the same in SQL.
func digest(e *event.Event) string {
	b := make([]byte, 0, len(e.SessionID)+len(e.Category)+len(e.Name)+len(e.Timestamp)+len(e.Sender)+len(e.Data)+32)
	for _, text := range []string{e.SessionID, e.Category, e.Name, e.Timestamp, e.Sender} {
		b = append(append(b, text...), 0)
	}
	b = append(strconv.AppendInt(b, e.Seq, 10), 0)
	sum := sha256.Sum256(append(b, e.Data...))
	return hex.EncodeToString(sum[:])
}

const digestSQL = `sha256(concat(session_id, chr(0), category, chr(0), name, chr(0), "timestamp", chr(0), sender, chr(0), seq, chr(0), data))`

// isIdentical reports whether an event is a byte-identical copy of the stored one.
func (d *decider) isIdentical(key idKey, e *event.Event) bool {
	if d.identicalToHot(key, e) {
		return true
	}
	first, found := d.digests[key]
	return found && first == digest(e)
}

// addLookups adds to found the segments that may contain something with the id of a record.
func (d *decider) addLookups(record event.Record, found map[*segment]*segmentLookup) {
	app, id, sent := record.App(), record.EventID(), record.SentTime()
	if record.Event != nil {
		if _, hot := d.lookupHot(idKey{d.store.appNumber(app), id}); hot {
			return // the first arrival is in a memtable, so segments do not matter
		}
	}
	window := d.dedupeStart(record.ReceivedAt())
	apps := []string{app}
	for _, seg := range d.tables.segments {
		inWindow := record.IsReplay() || !seg.info.Received.empty() && *seg.info.Received.Max >= window
		if !inWindow && (sent == 0 || !seg.info.Sent.overlaps(int64(sent), int64(sent))) {
			continue
		}
		hit, others := seg.slicesOfIDs(apps, id)
		if len(hit) == 0 && !others {
			continue
		}
		lookup := found[seg]
		if lookup == nil {
			lookup = &segmentLookup{}
			found[seg] = lookup
		}
		if others && d.erased.Len() > 0 && seg.info.Rows.Traces > 0 {
			lookup.erased = append(lookup.erased, id)
		}
		switch e := record.Event; {
		case e == nil && others:
			lookup.rejections = append(lookup.rejections, record.Rejection.ID)
		case e != nil:
			lookup.slices = append(lookup.slices, hit...)
			if len(hit) > 0 {
				lookup.events = append(lookup.events, e)
			}
			if others { // the event may be stored already as a conflict
				lookup.rejections = append(lookup.rejections, event.Conflict(e).ID)
			}
		}
	}
}

// sliceIn renders the condition that a row is in one of the slices.
func sliceIn(numbers []int) string {
	list := make([]string, 0, len(numbers))
	for _, i := range numbers {
		list = append(list, strconv.Itoa(i))
	}
	return "slice IN (" + strings.Join(list, ", ") + ")"
}

func distinct(list []int) []int {
	slices.Sort(list)
	return slices.Compact(list)
}

// idIn renders the condition that an id is in a list, which may be long.
func (b builder) idIn(ids []uuid.UUID) string { return b.inIDs("id", ids) }

// inIDs is idIn for another column of ids.
func (b builder) inIDs(column string, ids []uuid.UUID) string {
	list := make([]any, len(ids))
	for i, id := range ids {
		list[i] = id.String()
	}
	return column + " IN (SELECT CAST(unnest(" + b.Bind(list) + "::VARCHAR[]) AS UUID))"
}

func scanID(scan scanner) (id uuid.UUID, err error) {
	err = scan(&id)
	return id, err
}
