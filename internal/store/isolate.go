package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/google/uuid"

	"theeye/internal/event"
)

// Probe returns nil if a store would accept records, and stores nothing. Its errors are those of
// Writer.Write.
type Probe func(ctx context.Context, records []event.Record) error

// Isolator replaces records that a store does not accept by rejections, so that they do not block
// the others. It may be used concurrently if Quarantine may.
type Isolator struct {
	// Quarantine keeps the bytes of a record when the store does not accept a rejection with its
	// texts either. frame and index say where the record is.
	Quarantine func(frame uint64, index uint32, record []byte) error
	Logger     *slog.Logger
}

// Errors of Isolate when no single record is at fault.
var (
	errRefusesEverything = errors.New("the store does not accept even a plain event")
	errRefusesNone       = errors.New("the store accepts each record by itself")
)

// Isolate returns the records, in which those that the store does not accept are replaced by
// rejections that it accepts, and the number of these. It replaces nothing and returns an error
// when the fault is not in a single record: the store does not accept even a plain event, or it
// accepts each record by itself. Any other error is transient, or that of Quarantine.
func (i Isolator) Isolate(ctx context.Context, probe Probe, records []event.Record) (kept []event.Record, replaced int, err error) {
	if err := probe(ctx, []event.Record{plainEvent()}); err != nil {
		if IsTransient(ctx, err) {
			return nil, 0, err
		}
		return nil, 0, fmt.Errorf("%w: %w", errRefusesEverything, err)
	}
	kept = slices.Clone(records)
	for from := 0; from < len(kept); {
		at, reason, err := firstRefused(ctx, probe, kept[from:])
		if err != nil {
			return nil, 0, err
		}
		if reason == nil {
			break
		}
		at += from
		refused := kept[at]
		if kept[at], err = i.replacement(ctx, probe, refused, reason); err != nil {
			return nil, 0, err
		}
		i.Logger.Error("the store does not accept a record, which is kept as a rejection with the code "+event.NotStorable,
			"app", refused.App(), "event_id", refused.EventID(), "frame", refused.CarriedBy(), "error", reason)
		replaced, from = replaced+1, at+1
	}
	return kept, replaced, nil
}

// IsTransient reports whether an error of a store may be temporary, so that a retry makes sense.
func IsTransient(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrReset)
}

// plainEvent returns an event that every store must accept.
func plainEvent() event.Record {
	return event.Record{Event: &event.Event{
		App: "app", ID: uuid.Max, SessionID: "session", Category: "category", Name: "name",
		Data: []byte("{}"), Timestamp: "1970-01-01T00:00:00Z", Seq: event.NoSeq,
	}}
}

// firstRefused returns the index of the first record that the store does not accept, even by
// itself, and the reason, which is nil if the store accepts all records.
func firstRefused(ctx context.Context, probe Probe, records []event.Record) (at int, reason, err error) {
	refuses := func(list []event.Record) bool {
		problem := probe(ctx, list)
		if problem == nil {
			return false
		}
		if IsTransient(ctx, problem) {
			err = problem
			return false
		}
		reason = problem
		return true
	}
	if !refuses(records) {
		return 0, nil, err
	}
	low, high := 0, len(records) // the store accepts records[:low], but not records[:high]
	for high-low > 1 {
		middle := (low + high) / 2
		if refuses(records[low:middle]) {
			high = middle
		} else {
			low = middle
		}
		if err != nil {
			return 0, nil, err
		}
	}
	together := reason
	if !refuses(records[low:high]) && err == nil {
		err = fmt.Errorf("%w: %w", errRefusesNone, together)
	}
	return low, reason, err
}

// replacement returns a rejection that the store accepts in place of a record: one with the whole
// record, else one without texts, after the record has been quarantined.
func (i Isolator) replacement(ctx context.Context, probe Probe, r event.Record, reason error) (event.Record, error) {
	whole := event.Record{Rejection: event.Unstorable(r, reason.Error())}
	if err := probe(ctx, []event.Record{whole}); err == nil || IsTransient(ctx, err) {
		return whole, err
	}
	if err := i.Quarantine(r.Position().Frame, r.Position().Index, event.AppendRecord(nil, r, true)); err != nil {
		return r, err
	}
	bare := *whole.Rejection
	bare.ClientID, bare.SessionID, bare.Category, bare.Name, bare.Raw = "", "", "", "", nil
	bare.Problems = bare.Problems[len(bare.Problems)-1:]
	bare.Problems[0].Message = "the store accepts neither the event nor its text, which is in queue/quarantine"
	return event.Record{Rejection: &bare}, probe(ctx, []event.Record{{Rejection: &bare}})
}
