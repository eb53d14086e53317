package event

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/google/uuid"
)

// Record is one arrival: an accepted event, a rejection, or the residue of an arrival that belongs
// to an earlier erasure. Exactly one of the three is set.
type Record struct {
	Event     *Event
	Rejection *Rejection
	Erased    *ErasedArrival
	// Rescued reports that the first frame with the record was lost, and that the record was found
	// and sent again. It has already been counted as received and as lost, unless the loss went
	// unnoticed.
	Rescued bool
}

// ErasedArrival is an arrival of which the intake kept only the id, because its session or
// application had been erased before it arrived. Its fate is therefore already decided.
type ErasedArrival struct {
	App        string
	EventID    uuid.UUID
	ReceivedAt Micros
	Position   Position
	CarriedBy  uint64
}

// App returns the application that the record belongs to.
func (r Record) App() string {
	switch {
	case r.Event != nil:
		return r.Event.App
	case r.Rejection != nil:
		return r.Rejection.App
	default:
		return r.Erased.App
	}
}

// EventID returns the id of the event that arrived.
func (r Record) EventID() uuid.UUID {
	switch {
	case r.Event != nil:
		return r.Event.ID
	case r.Rejection != nil:
		return r.Rejection.EventID
	default:
		return r.Erased.EventID
	}
}

// ClientID returns the event's id as the client sent it, if that was not a UUID.
func (r Record) ClientID() string {
	switch {
	case r.Event != nil:
		return r.Event.ClientID
	case r.Rejection != nil:
		return r.Rejection.ClientID
	default:
		return ""
	}
}

// SessionID returns the session of the record, or "" if it could not be read or is not kept.
func (r Record) SessionID() string {
	switch {
	case r.Event != nil:
		return r.Event.SessionID
	case r.Rejection != nil:
		return r.Rejection.SessionID
	default:
		return ""
	}
}

// Category returns the category of the event, or "" if it could not be read or is not kept.
func (r Record) Category() string {
	switch {
	case r.Event != nil:
		return r.Event.Category
	case r.Rejection != nil:
		return r.Rejection.Category
	default:
		return ""
	}
}

// Name returns the name of the event, or "" if it could not be read or is not kept.
func (r Record) Name() string {
	switch {
	case r.Event != nil:
		return r.Event.Name
	case r.Rejection != nil:
		return r.Rejection.Name
	default:
		return ""
	}
}

// SentTime returns the timestamp of the event as written, or 0 if it could not be read or is not
// kept.
func (r Record) SentTime() Micros {
	switch {
	case r.Event != nil:
		return r.Event.SentTime
	case r.Rejection != nil:
		return r.Rejection.SentTime
	default:
		return 0
	}
}

// Payload returns the data of an event or the body of a rejection.
func (r Record) Payload() []byte {
	switch {
	case r.Event != nil:
		return r.Event.Data
	case r.Rejection != nil:
		return r.Rejection.Raw
	default:
		return nil
	}
}

// Former returns the record with the id that an earlier version gave it; ok is false if that is the
// same id.
func (r Record) Former() (former Record, ok bool) {
	switch {
	case r.Event != nil && r.Event.FormerID != uuid.UUID{}:
		e := *r.Event
		e.ID, e.FormerID = e.FormerID, uuid.UUID{}
		return Record{Event: &e}, true
	case r.Rejection != nil && r.Rejection.FormerID != uuid.UUID{} && !r.Rejection.Truncated(): // its id is derived from the whole body
		x := *r.Rejection
		x.ID, x.EventID, x.FormerID = RejectionID(x.App, x.FormerID, x.Raw), x.FormerID, uuid.UUID{}
		return Record{Rejection: &x}, true
	default:
		return Record{}, false
	}
}

// ReceivedAt returns the time at which the record first arrived.
func (r Record) ReceivedAt() Micros {
	switch {
	case r.Event != nil:
		return r.Event.ReceivedAt
	case r.Rejection != nil:
		return r.Rejection.ReceivedAt
	default:
		return r.Erased.ReceivedAt
	}
}

// Own returns the time that decides whether an erasure of the session covers the record; see
// Event.Own.
func (r Record) Own() Micros {
	switch {
	case r.Event != nil:
		return r.Event.Own()
	case r.Rejection != nil:
		return r.Rejection.Own()
	default:
		return r.Erased.ReceivedAt
	}
}

// Position returns the place of the record's first arrival.
func (r Record) Position() Position {
	switch {
	case r.Event != nil:
		return r.Event.Position
	case r.Rejection != nil:
		return r.Rejection.Position
	default:
		return r.Erased.Position
	}
}

// CarriedBy returns the frame that carried the record.
func (r Record) CarriedBy() uint64 {
	switch {
	case r.Event != nil:
		return r.Event.CarriedBy
	case r.Rejection != nil:
		return r.Rejection.CarriedBy
	default:
		return r.Erased.CarriedBy
	}
}

// IsReplay reports whether the record was carried by a later frame than that of its first arrival.
func (r Record) IsReplay() bool { return r.CarriedBy() != r.Position().Frame }

// Errors of DecodeRecords.
var (
	// ErrCorruptRecord: the bytes are not records.
	ErrCorruptRecord = errors.New("corrupt record")
	// ErrNewerRecord: a record has a kind or a flag that this version does not know. The checksum
	// of the frame is correct, so a newer version wrote it.
	ErrNewerRecord = errors.New("record written by a newer version of The Eye; start that version again")
)

// The binary format is described in docs/format.md. A record without a position has that of its
// frame.
const (
	kindEvent     = 1
	kindRejection = 2
	kindErased    = 3 // since frame version 2
	kindTruncated = 4 // a rejection whose raw is the beginning of its body; since frame version 2

	flagPositioned = 1 << 0 // position follows: that of the first arrival, for a replay
	flagSeq        = 1 << 1 // of an event
	flagFormer     = 1 << 2 // FormerID follows; since frame version 2
	flagRescued    = 1 << 3 // since frame version 2
	flagOwnTime    = 1 << 4 // OwnTime follows
)

// flagsOf returns the flags that a kind of record may have; ok is false for an unknown kind.
func flagsOf(kind byte) (flags byte, ok bool) {
	switch kind {
	case kindEvent:
		return flagPositioned | flagSeq | flagFormer | flagRescued | flagOwnTime, true
	case kindRejection, kindTruncated:
		return flagPositioned | flagFormer | flagRescued | flagOwnTime, true
	case kindErased:
		return flagPositioned | flagRescued, true
	default:
		return 0, false
	}
}

// AppendRecord appends the binary format of r to b and returns the extended slice. Position is
// written only if positioned is true. CarriedBy is never written: it is the frame from which the
// record is read.
func AppendRecord(b []byte, r Record, positioned bool) []byte {
	flags := len(b) + 1
	switch {
	case r.Event != nil:
		b = appendEvent(b, r.Event, positioned)
	case r.Rejection != nil:
		b = appendRejection(b, r.Rejection, positioned)
	default:
		b = appendErased(b, r.Erased, positioned)
	}
	if r.Rescued {
		b[flags] |= flagRescued
	}
	return b
}

func appendErased(b []byte, e *ErasedArrival, positioned bool) []byte {
	var flags byte
	if positioned {
		flags |= flagPositioned
	}
	b = append(b, kindErased, flags)
	if positioned {
		b = appendPosition(b, e.Position)
	}
	b = appendText(b, e.App)
	b = append(b, e.EventID[:]...)
	return binary.AppendVarint(b, int64(e.ReceivedAt))
}

func appendEvent(b []byte, e *Event, positioned bool) []byte {
	var flags byte
	if positioned {
		flags |= flagPositioned
	}
	if e.Seq != NoSeq {
		flags |= flagSeq
	}
	if e.FormerID != (uuid.UUID{}) {
		flags |= flagFormer
	}
	if e.OwnTime != 0 {
		flags |= flagOwnTime
	}
	b = append(b, kindEvent, flags)
	if positioned {
		b = appendPosition(b, e.Position)
	}
	if e.Seq != NoSeq {
		b = binary.AppendUvarint(b, uint64(e.Seq))
	}
	if flags&flagFormer != 0 {
		b = append(b, e.FormerID[:]...)
	}
	if e.OwnTime != 0 {
		b = binary.AppendVarint(b, int64(e.OwnTime))
	}
	b = appendText(b, e.App)
	b = append(b, e.ID[:]...)
	b = appendText(b, e.ClientID)
	b = appendSession(b, e.SessionID)
	b = appendText(b, e.Category)
	b = appendText(b, e.Name)
	b = appendText(b, string(e.Data))
	b = appendText(b, e.Timestamp)
	b = appendText(b, e.Sender)
	for _, t := range []Micros{e.SentTime, e.SentAt, e.OccurredAt, e.ReceivedAt} {
		b = binary.AppendVarint(b, int64(t))
	}
	return binary.AppendUvarint(b, uint64(e.SchemaVersion))
}

func appendRejection(b []byte, r *Rejection, positioned bool) []byte {
	var flags byte
	if positioned {
		flags |= flagPositioned
	}
	if r.FormerID != (uuid.UUID{}) {
		flags |= flagFormer
	}
	if r.OwnTime != 0 {
		flags |= flagOwnTime
	}
	kind := byte(kindRejection)
	if r.Truncated() {
		kind = kindTruncated
	}
	b = append(b, kind, flags)
	if positioned {
		b = appendPosition(b, r.Position)
	}
	if flags&flagFormer != 0 {
		b = append(b, r.FormerID[:]...)
	}
	if r.OwnTime != 0 {
		b = binary.AppendVarint(b, int64(r.OwnTime))
	}
	b = appendText(b, r.App)
	b = append(b, r.ID[:]...)
	b = append(b, r.EventID[:]...)
	b = appendText(b, r.ClientID)
	b = appendSession(b, r.SessionID)
	b = appendText(b, r.Category)
	b = appendText(b, r.Name)
	for _, t := range []Micros{r.SentTime, r.SentAt, r.ReceivedAt} {
		b = binary.AppendVarint(b, int64(t))
	}
	b = binary.AppendUvarint(b, uint64(r.SchemaVersion))
	b = binary.AppendUvarint(b, uint64(len(r.Problems)))
	for _, p := range r.Problems {
		b = appendText(b, p.Code)
		b = appendText(b, p.Pointer)
		b = appendText(b, p.Message)
	}
	b = appendText(b, string(r.Raw))
	if r.Truncated() {
		b = binary.AppendUvarint(b, uint64(r.Whole.Bytes))
		b = append(b, r.Whole.SHA256[:]...)
	}
	return b
}

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// appendSession writes a lower-case UUID, the common case, as 16 bytes. The length is doubled; 1
// stands for a UUID.
func appendSession(b []byte, s string) []byte {
	if id, ok := ParseUUID(s); ok && id.String() == s {
		return append(append(b, 1), id[:]...)
	}
	b = binary.AppendUvarint(b, uint64(len(s))<<1)
	return append(b, s...)
}

func appendPosition(b []byte, p Position) []byte {
	b = binary.AppendUvarint(b, p.Frame)
	return binary.AppendUvarint(b, uint64(p.Index))
}

// DecodeRecords decodes the records of one frame. The position of a record without one is (frame,
// index in the frame). The records share memory with body, which must not be changed afterwards.
// Any input is safe: the error is ErrCorruptRecord if body is not a list of records, and
// ErrNewerRecord for an unknown kind of record or flag.
func DecodeRecords(body []byte, frame uint64) ([]Record, error) {
	d := decoder{bytes: body, text: string(body), frame: frame}
	var records []Record
	for d.pos < len(d.bytes) && d.err == nil {
		if len(records) > math.MaxUint32 {
			d.fail("too many records")
			break
		}
		records = append(records, d.record(uint32(len(records))))
	}
	if d.err != nil {
		return nil, fmt.Errorf("record %d of frame %d: %w", len(records)-1, frame, d.err)
	}
	return records, nil
}

// decoder reads fields from bytes. text is a string of the same bytes, so that text fields need no
// copies.
type decoder struct {
	bytes []byte
	text  string
	pos   int
	frame uint64
	err   error
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s at byte %d", ErrCorruptRecord, what, d.pos)
	}
	d.pos = len(d.bytes)
}

func (d *decoder) record(index uint32) Record {
	kind, flags := d.byte(), d.byte()
	if known, ok := flagsOf(kind); d.err == nil && (!ok || flags&^known != 0) {
		d.err = fmt.Errorf("%w: kind %d with flags %#x", ErrNewerRecord, kind, flags)
		d.pos = len(d.bytes)
		return Record{}
	}
	at := Position{Frame: d.frame, Index: index}
	if flags&flagPositioned != 0 {
		at = Position{Frame: d.uvarint(), Index: d.uint32()}
	}
	rescued := flags&flagRescued != 0
	switch kind {
	case kindEvent:
		return Record{Event: d.event(flags, at), Rescued: rescued}
	case kindRejection:
		return Record{Rejection: d.rejection(flags, at), Rescued: rescued}
	case kindTruncated:
		r := d.rejection(flags, at)
		r.Whole = d.body()
		return Record{Rejection: r, Rescued: rescued}
	case kindErased:
		e := &ErasedArrival{Position: at, CarriedBy: d.frame}
		e.App, e.EventID, e.ReceivedAt = d.string(), d.uuid(), d.micros()
		return Record{Erased: e, Rescued: rescued}
	default: // only after an error
		return Record{}
	}
}

func (d *decoder) event(flags byte, at Position) *Event {
	e := &Event{Position: at, CarriedBy: d.frame, Seq: NoSeq}
	if flags&flagSeq != 0 {
		if e.Seq = int64(d.uvarint()); e.Seq < 0 || e.Seq > MaxSeq {
			d.fail("seq out of range")
		}
	}
	if flags&flagFormer != 0 {
		e.FormerID = d.uuid()
	}
	if flags&flagOwnTime != 0 {
		e.OwnTime = d.micros()
	}
	e.App = d.string()
	e.ID = d.uuid()
	e.ClientID = d.string()
	e.SessionID = d.session()
	e.Category = d.string()
	e.Name = d.string()
	e.Data = d.slice()
	e.Timestamp = d.string()
	e.Sender = d.string()
	e.SentTime, e.SentAt = d.micros(), d.micros()
	e.OccurredAt, e.ReceivedAt = d.micros(), d.micros()
	e.SchemaVersion = d.uint32()
	return e
}

func (d *decoder) rejection(flags byte, at Position) *Rejection {
	r := &Rejection{Position: at, CarriedBy: d.frame}
	if flags&flagFormer != 0 {
		r.FormerID = d.uuid()
	}
	if flags&flagOwnTime != 0 {
		r.OwnTime = d.micros()
	}
	r.App = d.string()
	r.ID = d.uuid()
	r.EventID = d.uuid()
	r.ClientID = d.string()
	r.SessionID = d.session()
	r.Category = d.string()
	r.Name = d.string()
	r.SentTime, r.SentAt, r.ReceivedAt = d.micros(), d.micros(), d.micros()
	r.SchemaVersion = d.uint32()
	for n := d.uvarint(); n > 0 && d.err == nil; n-- { // the count cannot be trusted
		r.Problems = append(r.Problems, Problem{Code: d.string(), Pointer: d.string(), Message: d.string()})
	}
	r.Raw = d.slice()
	return r
}

func (d *decoder) body() (b Body) {
	if b.Bytes = int64(d.uvarint()); b.Bytes <= 0 && d.err == nil {
		d.fail("bad size of a body")
	}
	from, to := d.span(uint64(len(b.SHA256)))
	copy(b.SHA256[:], d.bytes[from:to])
	return b
}

func (d *decoder) byte() byte {
	if d.pos >= len(d.bytes) {
		d.fail("unexpected end")
		return 0
	}
	b := d.bytes[d.pos]
	d.pos++
	return b
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.bytes[d.pos:])
	if n <= 0 {
		d.fail("bad number")
		return 0
	}
	d.pos += n
	return v
}

func (d *decoder) uint32() uint32 {
	v := d.uvarint()
	if v > math.MaxUint32 {
		d.fail("number too large")
		return 0
	}
	return uint32(v)
}

func (d *decoder) micros() Micros {
	v, n := binary.Varint(d.bytes[d.pos:])
	if n <= 0 {
		d.fail("bad time")
		return 0
	}
	d.pos += n
	return Micros(v)
}

// span moves past n bytes and returns where they begin.
func (d *decoder) span(n uint64) (from, to int) {
	if n > uint64(len(d.bytes)-d.pos) {
		d.fail("field longer than the frame")
		return 0, 0
	}
	from = d.pos
	d.pos += int(n)
	return from, d.pos
}

func (d *decoder) string() string {
	from, to := d.span(d.uvarint())
	return d.text[from:to]
}

func (d *decoder) slice() []byte {
	from, to := d.span(d.uvarint())
	return d.bytes[from:to:to]
}

func (d *decoder) uuid() (id uuid.UUID) {
	from, to := d.span(16)
	copy(id[:], d.bytes[from:to])
	return id
}

func (d *decoder) session() string {
	n := d.uvarint()
	if n == 1 {
		return d.uuid().String()
	}
	if n&1 == 1 {
		d.fail("bad session id")
		return ""
	}
	from, to := d.span(n >> 1)
	return d.text[from:to]
}
