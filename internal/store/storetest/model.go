package storetest

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
	"theeye/internal/store/memory"
)

// history is a random life of a store and of the model beside it.
type history struct {
	t       *rapid.T
	ctx     context.Context //nolint:containedctx // of one test
	store   Store
	model   *memory.Store
	frames  []store.Batch  // what is written, one frame each
	last    uint64         // the last frame
	refused []event.Record // what may be replayed
}

func testModel(t *testing.T, open func(t *testing.T) Store) {
	rapid.Check(t, func(rt *rapid.T) {
		h := &history{t: rt, ctx: t.Context(), store: open(t), model: memory.New()}
		defer func() {
			if err := h.store.Close(); err != nil {
				rt.Error("close:", err)
			}
		}()
		h.write()
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			rapid.SampledFrom([]func(){
				h.write, h.write, h.writeAgain, h.writeOverlap, h.writeCancelled,
				h.pageEvents, h.pageEvents, h.walkFeed, h.pageSessions, h.pageRejections, h.exportEvents, h.aggregates, h.aggregates,
			}).Draw(rt, "step")()
			h.balance()
		}
	})
}

func (h *history) equal(what string, want, got any) {
	if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		h.t.Fatalf("%s (-model +store):\n%s", what, diff)
	}
}

// put writes a batch to both.
func (h *history) put(what string, b store.Batch) {
	want, err := h.model.Write(h.ctx, b)
	if err != nil {
		h.t.Fatal("the model:", err)
	}
	got, err := h.store.Write(h.ctx, b)
	if err != nil {
		h.t.Fatal(what, err)
	}
	h.equal(what, want, got)
}

// next draws a batch of one or more frames, possibly after a gap.
func (h *history) next() []store.Batch {
	frame := h.last + uint64(rapid.IntRange(0, 2).Draw(h.t, "gap"))
	var frames []store.Batch
	for range rapid.IntRange(1, 3).Draw(h.t, "frames") {
		frame++
		frames = append(frames, drawFrame(h.t, frame, &h.refused))
	}
	return frames
}

func (h *history) write() {
	frames := h.next()
	h.put("write", join(frames...))
	h.frames = append(h.frames, frames...)
	h.last = frames[len(frames)-1].Last
}

// writeAgain repeats frames that were written, cut into any batch.
func (h *history) writeAgain() {
	from := rapid.IntRange(0, len(h.frames)-1).Draw(h.t, "from")
	to := rapid.IntRange(from, len(h.frames)-1).Draw(h.t, "to")
	h.put("write again", join(h.frames[from:to+1]...))
}

// writeOverlap sends a batch of old and new frames.
func (h *history) writeOverlap() {
	from := rapid.IntRange(0, len(h.frames)-1).Draw(h.t, "from")
	refused := slices.Clone(h.refused)
	b := join(slices.Concat(h.frames[from:], h.next())...)
	if _, err := h.store.Write(h.ctx, b); !errors.Is(err, store.ErrOutOfOrder) {
		h.t.Fatalf("frames %d to %d behind %d: %v", b.First, b.Last, h.last, err)
	}
	h.refused = refused
}

// writeCancelled fails; what it would have written may be written later, or not.
func (h *history) writeCancelled() {
	ctx, cancel := context.WithCancel(h.ctx)
	cancel()
	refused := slices.Clone(h.refused)
	if _, err := h.store.Write(ctx, join(h.next()...)); !errors.Is(err, context.Canceled) {
		h.t.Fatal("cancelled write:", err)
	}
	h.refused = refused
}

// balance holds at every moment.
func (h *history) balance() {
	position, err := h.store.Position(h.ctx)
	if err != nil || position != h.last {
		h.t.Fatalf("position %d, %v; want %d", position, err, h.last)
	}
	books, err := h.store.Books(h.ctx, nil)
	if err != nil || books.Position != h.last {
		h.t.Fatalf("books at %d, %v; want %d", books.Position, err, h.last)
	}
	for _, a := range books.Accounts {
		if a.Received != a.Stored+a.Rejected+a.Duplicate+a.Erased+a.Expired+a.Lost {
			h.t.Fatalf("the account does not balance: %+v", a)
		}
	}
}

// replayed reports whether anything was carried a second time.
func (h *history) replayed() bool {
	return slices.ContainsFunc(h.frames, func(b store.Batch) bool {
		return slices.ContainsFunc(b.Records, func(r event.Record) bool { return r.Position().Frame != b.First })
	})
}

// list is a kind of list with the place after an item.
type list[T any] struct {
	read  func(store.Reader, context.Context, query.Query) (store.Page[T], error)
	after func(*T) query.After
}

// page walks through a list while batches are written. Its pages together are
// what the model had when the first was read: nothing is skipped or repeated.
func page[T any](h *history, q query.Query, l list[T]) []T {
	whole := q
	whole.Limit, whole.MaxBytes = query.MaxLimit, math.MaxInt
	want, err := l.read(h.model, h.ctx, whole)
	if err != nil {
		h.t.Fatal("the model:", err)
	}
	var all []T
	for {
		p, err := l.read(h.store, h.ctx, q)
		if err != nil {
			h.t.Fatal(err)
		}
		if p.Horizon != want.Horizon || len(p.Items) > q.Limit || p.More && len(p.Items) == 0 {
			h.t.Fatalf("a page of %d, limit %d, more %v, horizon %d, want %d", len(p.Items), q.Limit, p.More, p.Horizon, want.Horizon)
		}
		all = append(all, p.Items...)
		if !p.More {
			break
		}
		place := l.after(&p.Items[len(p.Items)-1])
		q.After, q.Horizon = &place, p.Horizon
		q.Limit = rapid.IntRange(1, 7).Draw(h.t, "limit")
		q.MaxBytes = draw(h.t, "bytes", 0, 1, 700, 1500)
		if chance(h.t, "write between pages", 3) {
			h.write()
		}
	}
	h.equal("all pages", want.Items, all)
	if len(all) < len(want.Items) || want.More {
		h.t.Fatal("the model's list is longer than a page")
	}
	return all
}

// pageEvents compares with R1 as it is written here once more, too.
func (h *history) pageEvents() {
	q := drawQuery(h.t, query.Events, h.last)
	all := page(h, q, list[event.Event]{store.Reader.Events, query.AfterEvent})
	if q.Descending {
		slices.Reverse(all)
	}
	absent := func(e event.Event) int {
		if e.Seq == event.NoSeq {
			return 1
		}
		return 0
	}
	if !slices.IsSortedFunc(all, func(a, b event.Event) int {
		return cmp.Or(cmp.Compare(a.OccurredAt, b.OccurredAt), cmp.Compare(absent(a), absent(b)), cmp.Compare(a.Seq, b.Seq),
			cmp.Compare(a.Position.Frame, b.Position.Frame), cmp.Compare(a.Position.Index, b.Position.Index))
	}) {
		h.t.Fatalf("not in order: %+v", all)
	}
}

func (h *history) pageSessions() {
	page(h, drawQuery(h.t, query.Sessions, h.last), list[store.Session]{
		store.Reader.Sessions,
		func(x *store.Session) query.After { return query.AfterSession(x.StartedAt, x.ID) },
	})
}

func (h *history) pageRejections() {
	page(h, drawRejectionQuery(h), list[event.Rejection]{store.Reader.Rejections, query.AfterRejection})
}

func drawRejectionQuery(h *history) query.Query {
	q := drawQuery(h.t, query.Rejections, h.last)
	if chance(h.t, "by code", 4) {
		q.Codes = draw(h.t, "codes", []string{event.IDConflict}, []string{event.TimestampInFuture, "none"})
	}
	if chance(h.t, "by pointer", 4) {
		q.Pointers = draw(h.t, "pointers", []string{"/name"}, []string{"/id", "/timestamp"})
	}
	if chance(h.t, "by event", 4) {
		q.EventIDs = []uuid.UUID{id(1), id(2), id(3)}
	}
	if chance(h.t, "by replay", 4) {
		yes := rapid.Bool().Draw(h.t, "replayed")
		q.Replayed = &yes
	}
	return q
}
