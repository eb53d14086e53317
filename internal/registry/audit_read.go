package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"

	"theeye/internal/jsonx"
)

// AuditQuery selects entries. Empty fields select all.
type AuditQuery struct {
	From, To        *time.Time // of the beginning of the act; To is exclusive
	Act, KeyID, App string
	Limit           int    // at least 1
	Before          uint64 // the Next of the previous page; 0 for the first page
}

func (q AuditQuery) selects(e Entry) bool {
	return (q.From == nil || !e.At.Before(*q.From)) && (q.To == nil || e.At.Before(*q.To)) &&
		(q.Act == "" || q.Act == e.Act) && (q.KeyID == "" || q.KeyID == e.KeyID) && (q.App == "" || q.App == e.App)
}

// AuditPage is a page of entries; those that ended last come first.
type AuditPage struct {
	Entries []Entry
	Next    uint64 // for AuditQuery.Before; 0 on the last page. A search ends after two seconds, so other pages may be short.
	Dropped bool   // set on the last page if older entries were dropped
}

// Page returns a page of entries.
func (t *AuditLog) Page(ctx context.Context, q AuditQuery) (AuditPage, error) {
	info, err := t.stream.Info(ctx)
	if err != nil {
		return AuditPage{}, fmt.Errorf("read the log: %w: %w", ErrUnavailable, err)
	}
	p := AuditPage{Entries: []Entry{}}
	end, first := info.State.LastSeq+1, max(info.State.FirstSeq, 1)
	if q.Before > 0 {
		end = min(end, q.Before)
	}
	late := time.After(searchTimeout)
	oldest := Entry{First: true} // an empty log has dropped nothing
	for width := uint64(64); end > first; width = min(2*width, 1024) {
		begin := max(first, end-min(width, end))
		found, err := t.scan(ctx, begin, end)
		if err != nil {
			return AuditPage{}, err
		}
		for _, x := range slices.Backward(found) {
			oldest = x.Entry
			if q.From != nil && x.written.Before(*q.From) {
				return p, nil // it began before it was written
			}
			if !q.selects(x.Entry) {
				continue
			}
			if len(p.Entries) == q.Limit {
				p.Next = x.sequence + 1
				return p, nil
			}
			p.Entries = append(p.Entries, x.Entry)
		}
		end = begin
		select {
		case <-late:
			if p.Next = end; end > first {
				return p, nil
			}
		default:
		}
	}
	p.Next, p.Dropped = 0, !oldest.First
	return p, nil
}

// storedEntry is an entry with its position in the stream.
type storedEntry struct {
	Entry
	data     []byte // as written, possibly by a newer version
	sequence uint64
	written  time.Time
}

// scan returns the entries between from, inclusive, and to, exclusive, in order.
func (t *AuditLog) scan(ctx context.Context, from, to uint64) ([]storedEntry, error) {
	var found []storedEntry
	for next := from; next < to; {
		msg, err := t.stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(auditSubject+"*"))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the log: %w: %w", ErrUnavailable, err)
		}
		if msg.Sequence >= to {
			break
		}
		x := storedEntry{data: msg.Data, sequence: msg.Sequence, written: msg.Time}
		if err := json.Unmarshal(msg.Data, &x.Entry); err != nil {
			return nil, fmt.Errorf("read the log: entry %d: %w", msg.Sequence, jsonx.PlainJSON(err))
		}
		found = append(found, x)
		next = msg.Sequence + 1
	}
	return found, nil
}
