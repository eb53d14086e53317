package read

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/httpapi"
	"theeye/internal/query"
	"theeye/internal/queue"
	"theeye/internal/store"
)

// Bounds of a receipt.
const (
	receiptArrivals = 100
	backlogDeadline = 2 * time.Second // for searching what is not stored yet
)

// ReceiptAnswer is the whole history of an event id.
type ReceiptAnswer struct {
	ID       uuid.UUID  `json:"id"`
	ClientID string     `json:"client_id,omitzero"`
	App      string     `json:"app"`
	AlsoID   *uuid.UUID `json:"also_id,omitzero" doc:"another event of the application with the same client_id; one of the two was sent by a web page, with a key restricted to origins"`
	AlsoIn   []string   `json:"also_in,omitempty" doc:"other applications that have used this id, sorted, at most 100; choose one with app"`
	Status   string     `json:"status" enum:"stored,pending,rejected,erased" doc:"the first of these that holds"`
	Arrivals []Arrival  `json:"arrivals" doc:"at most 100, newest first; fewer if their problems exceed about 8 MiB"`
}

func (h *Handlers) receipt(c *httpapi.Call) error {
	r, err := h.read(c, query.Events)
	if err != nil {
		return err
	}
	defer r.cancel()
	list := httpapi.Candidates(h.opts.Registry, r.Apps, c.PathValue("id"))
	r.IDs = httpapi.IDsOf(list)
	// The backlog is searched first: an arrival that is stored in the meantime is then found twice
	// and reported once, but never missed.
	behind := h.opts.Progress.Position()
	waiting, err := h.backlog(r.ctx, behind, r.Query)
	if err != nil {
		return err
	}
	arrivals, named, err := h.history(&r, list, waiting)
	if err != nil {
		return err
	}
	if len(arrivals) == 0 {
		return httpapi.NewProblem(http.StatusNotFound, "no event with this id has arrived, or none that this key can read")
	}
	httpapi.KeepPage(r.memory, arrivals, (*store.Arrival).Size)
	answer := h.receiptOf(arrivals)
	answer.ID, answer.AlsoID, answer.AlsoIn = named.one.ID, named.also, named.in
	return c.StreamJSON(answer)
}

// named is the meaning that was found for an id or a text.
type named struct {
	one  httpapi.Candidate // the event that is meant
	also *uuid.UUID        // the other id that the text has in its application
	in   []string          // other applications that have used it
}

// history returns the newest arrivals of the event that is meant, and what else has the id. waiting
// lists the arrivals that are not stored yet.
func (h *Handlers) history(r *readRequest, list []httpapi.Candidate, waiting []store.Arrival) (arrivals []store.Arrival, n named, err error) {
	all, err := h.opts.Reader.Receipt(r.ctx, r.Query, receiptArrivals)
	if err != nil {
		return nil, n, err
	}
	var found []httpapi.Candidate
	for _, a := range slices.Concat(all, waiting) {
		found = append(found, httpapi.Candidate{App: a.App, ID: a.EventID})
	}
	if len(found) == 0 {
		return nil, n, nil
	}
	if mayBeCut(all) { // the event that is meant may be older than all of them
		if n, err = h.lookForEach(r, list, found); err != nil {
			return nil, n, err
		}
		q := r.Query
		q.Apps, q.IDs = []string{n.one.App}, []uuid.UUID{n.one.ID}
		if all, err = h.opts.Reader.Receipt(r.ctx, q, receiptArrivals); err != nil {
			return nil, n, err
		}
	} else {
		n.one, n.also = meant(list, found)
		n.in = alsoIn(n.one.App, found)
	}
	isMeant := func(a store.Arrival) bool { return n.one == httpapi.Candidate{App: a.App, ID: a.EventID} }
	arrivals = slices.DeleteFunc(all, func(a store.Arrival) bool { return !isMeant(a) })
	for _, a := range waiting {
		if isMeant(a) && !slices.ContainsFunc(arrivals, func(b store.Arrival) bool {
			return b.Position == a.Position && b.CarriedBy == a.CarriedBy
		}) {
			arrivals = append(arrivals, a)
		}
	}
	return arrivals, n, nil
}

// mayBeCut reports whether the store may have more arrivals than it returned.
func mayBeCut(arrivals []store.Arrival) bool {
	const large = 1 << 20 // bytes; a page that ends because of its size has more
	size := 0
	for i := range arrivals {
		size += arrivals[i].Size()
	}
	return len(arrivals) == receiptArrivals || size >= large
}

// lookForEach determines what is meant if not all arrivals were read: it searches for the
// candidates of one application after the other. found lists some that exist.
func (h *Handlers) lookForEach(r *readRequest, list, found []httpapi.Candidate) (n named, err error) {
	all := slices.Clone(found)
	for _, c := range list {
		if c.App != "" {
			all = append(all, c)
			continue
		}
		for _, app := range h.opts.Registry.Apps() { // a UUID may belong to any
			all = append(all, httpapi.Candidate{App: app.Name, ID: c.ID})
		}
	}
	slices.SortFunc(all, func(a, b httpapi.Candidate) int { return strings.Compare(a.App, b.App) })
	var there []httpapi.Candidate
	for _, c := range slices.Compact(all) {
		if len(there) > 0 && there[0].App != c.App {
			break
		}
		q := r.Query
		q.Apps, q.IDs = []string{c.App}, []uuid.UUID{c.ID}
		if r.Apps != nil && !slices.Contains(r.Apps, c.App) {
			continue
		}
		arrivals, err := h.opts.Reader.Receipt(r.ctx, q, 1)
		if err != nil {
			return n, err
		}
		if len(arrivals) > 0 || slices.Contains(found, c) {
			there = append(there, c)
		}
	}
	n.one, n.also = meant(list, there)
	kept, err := h.keptIn(r)
	n.in = alsoIn(n.one.App, found, kept...)
	return n, err
}

// receiptOf returns the receipt of the arrivals of one event.
func (h *Handlers) receiptOf(arrivals []store.Arrival) ReceiptAnswer {
	ranks := []event.Fate{event.Stored, event.Pending, event.Rejected, event.Erased, event.Duplicate, event.Expired}
	slices.SortStableFunc(arrivals, func(a, b store.Arrival) int {
		return cmp.Or(cmp.Compare(b.CarriedBy, a.CarriedBy), b.Position.Compare(a.Position))
	})
	best := slices.MinFunc(arrivals, func(a, b store.Arrival) int {
		return slices.Index(ranks, a.Fate) - slices.Index(ranks, b.Fate)
	})
	answer := ReceiptAnswer{ID: best.EventID, ClientID: best.ClientID, App: best.App, Status: best.Fate.String(), Arrivals: []Arrival{}}
	for _, a := range arrivals[:min(len(arrivals), receiptArrivals)] {
		if a.Problems == nil {
			a.Problems = []event.Problem{}
		}
		line := Arrival{
			Position: Position{a.Position.Frame, a.Position.Index}, ReceivedAt: a.ReceivedAt.String(), Fate: a.Fate.String(), Problems: a.Problems,
		}
		if a.CarriedBy != a.Position.Frame {
			by := h.replayedBy(a.CarriedBy)
			line.Replay = &by
		}
		answer.Arrivals = append(answer.Arrivals, line)
	}
	return answer
}

// backlog searches the frames after a position for the query's ids. After backlogDeadline, it
// returns an error that says so.
func (h *Handlers) backlog(ctx context.Context, position uint64, q query.Query) ([]store.Arrival, error) {
	ctx, cancel := context.WithTimeout(ctx, backlogDeadline)
	defer cancel()
	state, err := h.opts.Queue.State(ctx)
	if err != nil {
		return nil, httpapi.Unavailable("the queue does not answer; try again")
	}
	ids := make(map[uuid.UUID]bool, len(q.IDs)) // a text has two in each application
	for _, id := range q.IDs {
		ids[id] = true
	}
	var found []store.Arrival
	err = h.opts.Queue.RawRange(ctx, max(position+1, state.First), state.Last, func(raw queue.Raw) error {
		f, err := raw.Frame()
		if err != nil {
			return nil //nolint:nilerr // the worker puts it into quarantine
		}
		records, err := event.DecodeRecords(f.Body, raw.Sequence)
		if err != nil {
			return nil //nolint:nilerr // the same
		}
		for _, r := range records {
			a := store.Arrival{
				App: r.App(), EventID: r.EventID(), ClientID: r.ClientID(), ReceivedAt: r.ReceivedAt(),
				Position: r.Position(), CarriedBy: raw.Sequence, Fate: event.Pending,
			}
			if ids[a.EventID] && (q.Apps == nil || slices.Contains(q.Apps, a.App)) {
				found = append(found, a)
			}
		}
		return nil
	})
	if err != nil {
		return nil, httpapi.Unavailable("many events are waiting to be stored, and searching them took too long; try again")
	}
	return found, nil
}
