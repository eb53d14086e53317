package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/httpapi"
	"theeye/internal/ingest"
	"theeye/internal/query"
	"theeye/internal/registry"
	"theeye/internal/schema"
	"theeye/internal/store"
)

// Limits of trying a draft and of proposing a schema.
const (
	defaultLast   = 10_000
	maxLast       = 100_000
	maxDrafting   = 2   // requests at a time
	draftPage     = 200 // records that are in memory at a time, for each
	draftDeadline = 30 * time.Second
	maxExamples   = 10
	maxPlaces     = 100   // in an answer
	maxCounted    = 1_000 // different places that are counted
)

func lastParam() httpapi.Param {
	return httpapi.Param{Name: "last", Text: "how many of the newest to check, 1 to " + strconv.Itoa(maxLast) + ", default " + strconv.Itoa(defaultLast), Number: true}
}

// TryAnswer says what a draft would do.
type TryAnswer struct {
	Category string          `json:"category"`
	Name     string          `json:"name"`
	Stored   TriedStored     `json:"stored"`
	Rejected TriedRejected   `json:"rejected"`
	Reasons  []schema.Reason `json:"reasons" doc:"why the draft is not compatible with the version in force; PUT would require force=1"`

	Warnings []schema.Warning `json:"warnings" doc:"as for PUT: unknown keywords and formats, which are not checked, and schemas that no event can pass"`
}

// TriedStored is what a draft would do to events like the stored ones.
type TriedStored struct {
	Checked   int          `json:"checked"`
	WouldFail int          `json:"would_fail"`
	Pointers  []PlaceCount `json:"pointers" doc:"where they would fail, most frequent first"`
	Examples  []Tried      `json:"examples" doc:"up to 10 events that would fail, newest first"`
}

// TriedRejected is what a draft would do to rejections if they were sent again.
type TriedRejected struct {
	Checked   int          `json:"checked"`
	Truncated int          `json:"truncated,omitzero" doc:"how many were not tried because only the beginning of their body is kept"`
	WouldPass int          `json:"would_pass"`
	Pointers  []PlaceCount `json:"pointers" doc:"where the others would still fail, most frequent first"`
	Examples  []Tried      `json:"examples" doc:"up to 10 rejections that would pass, newest first, with the problems they were rejected for"`
}

// PlaceCount counts the events with a problem at a place.
type PlaceCount struct {
	Pointer string `json:"pointer" doc:"JSON Pointer into the event"`
	Count   int    `json:"count"`
}

// Tried is an event or a rejection whose verdict the draft would change.
type Tried struct {
	ID       uuid.UUID       `json:"id" doc:"of the event, or of the rejection"`
	EventID  uuid.UUID       `json:"event_id"`
	App      string          `json:"app"`
	Problems []event.Problem `json:"problems"`
}

// drafting is a request about a type that examines its newest records.
type drafting struct {
	category, name string
	last           int
	ctx            context.Context //nolint:containedctx // lives as long as its request
	end            func()
}

// drafting reads the request. The caller must call its end.
func (h *Handlers) drafting(c *httpapi.Call) (drafting, error) {
	d := drafting{category: c.PathValue("category"), name: c.PathValue("name"), last: defaultLast}
	if text := c.URL.Query().Get("last"); text != "" {
		var err error
		if d.last, err = strconv.Atoi(text); err != nil || d.last < 1 || d.last > maxLast {
			return d, httpapi.Problemf(http.StatusBadRequest, "last must be a whole number from 1 to %d", maxLast)
		}
	}
	if err := h.opts.CaughtUp(); err != nil {
		return d, httpapi.Unavailable(err.Error())
	}
	memory, err := c.ReserveRead()
	if err != nil {
		return d, err
	}
	if !h.draftings.TryAcquire(1) {
		memory.Release()
		return d, httpapi.Unavailable("other drafts are being tried or proposed; try again later")
	}
	ctx, cancel := context.WithTimeout(c.Context(), draftDeadline)
	d.ctx, d.end = ctx, func() { cancel(); h.draftings.Release(1); memory.Release() }
	return d, nil
}

// newest calls each with the newest records of the type, at most d.last. It skips rejections that a
// replay has resolved.
func newest[T any](d *drafting, list func(context.Context, query.Query) (store.Page[T], error), after func(*T) query.After, each func(*T)) error {
	q := query.Query{Categories: []string{d.category}, Names: []string{d.name}, Descending: true, Replayed: new(bool)}
	for left := d.last; left > 0; {
		q.Limit = min(left, draftPage)
		page, err := list(d.ctx, q)
		if errors.Is(err, context.DeadlineExceeded) || d.ctx.Err() != nil && err == nil {
			return httpapi.Unavailable("reading the newest events takes longer than " + draftDeadline.String() + ": ask for fewer with last")
		}
		if err != nil {
			return err
		}
		for i := range page.Items {
			each(&page.Items[i])
		}
		left -= len(page.Items)
		if !page.More {
			return nil
		}
		behind := httpapi.CursorAfter(page, after, true)
		q.After, q.Horizon = &behind, page.Horizon
	}
	return nil
}

func (h *Handlers) tryType(c *httpapi.Call) error {
	d, err := h.drafting(c)
	if err != nil {
		return err
	}
	defer d.end()
	document, err := readSchema(c)
	if err != nil {
		return err
	}
	draft, err := h.opts.Registry.Compile(d.ctx, d.category, d.name, document)
	if err != nil {
		return err
	}
	answer := TryAnswer{Category: d.category, Name: d.name, Reasons: []schema.Reason{}, Warnings: append([]schema.Warning{}, draft.Warnings()...)}
	if inForce := h.opts.Registry.Type(d.category, d.name); inForce != nil {
		answer.Reasons = append(answer.Reasons, draft.Breaks(inForce)...)
	}
	if err := d.stored(h.opts.Reader, draft, &answer.Stored); err != nil {
		return err
	}
	if err := h.tryRejected(&d, draft, &answer.Rejected); err != nil {
		return err
	}
	return c.WriteJSON(http.StatusOK, answer)
}

// stored checks the newest stored events of the type.
func (d *drafting) stored(reader store.Reader, draft *schema.Type, into *TriedStored) error {
	places := placeCounts{}
	into.Examples = []Tried{}
	err := newest(d, reader.Events, query.AfterEvent, func(e *event.Event) {
		into.Checked++
		problems := draft.Check(schema.Decode(e.Data))
		if problems == nil {
			return
		}
		into.WouldFail++
		places.add(problems)
		if len(into.Examples) < maxExamples {
			into.Examples = append(into.Examples, Tried{e.ID, e.ID, e.App, problems})
		}
	})
	into.Pointers = places.most()
	return err
}

// tryRejected validates the newest rejections of the type as the intake would.
func (h *Handlers) tryRejected(d *drafting, draft *schema.Type, into *TriedRejected) error {
	types := func(category, name string) *schema.Type {
		if category == d.category && name == d.name {
			return draft
		}
		return h.opts.Registry.Type(category, name)
	}
	places := placeCounts{}
	into.Examples = []Tried{}
	err := newest(d, h.opts.Reader.Rejections, query.AfterRejection, func(r *event.Rejection) {
		into.Checked++
		if r.Truncated() {
			into.Truncated++
			places.add(r.Problems)
			return
		}
		how := ingest.Revalidation{Types: types}
		if app, ok := h.opts.Registry.App(r.App); ok {
			how.Zone, how.RefuseUnknownTypes = app.Location(), app.UnknownTypes == registry.RejectUnknown
		}
		again := h.opts.Collector.Revalidate(r, r.Raw, how).Rejection
		conflict := slices.ContainsFunc(r.Problems, func(p event.Problem) bool { return p.Code == event.IDConflict })
		switch {
		case again != nil:
			places.add(again.Problems)
		case conflict: // with any schema: another body is stored under its id
			places.add(r.Problems)
		default:
			into.WouldPass++
			if len(into.Examples) < maxExamples {
				into.Examples = append(into.Examples, Tried{r.ID, r.EventID, r.App, r.Problems})
			}
		}
	})
	into.Pointers = places.most()
	return err
}

// placeCounts counts events by the places of their problems.
type placeCounts map[string]int

func (p placeCounts) add(problems []event.Problem) {
	seen := map[string]bool{}
	for _, problem := range problems {
		if seen[problem.Pointer] {
			continue
		}
		seen[problem.Pointer] = true
		if _, known := p[problem.Pointer]; known || len(p) < maxCounted {
			p[problem.Pointer]++
		}
	}
}

func (p placeCounts) most() []PlaceCount {
	list := make([]PlaceCount, 0, len(p))
	for pointer, count := range p {
		list = append(list, PlaceCount{pointer, count})
	}
	slices.SortFunc(list, func(a, b PlaceCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Pointer, b.Pointer))
	})
	return list[:min(len(list), maxPlaces)]
}

// Proposal is a schema that was derived from events.
type Proposal struct {
	Category string            `json:"category"`
	Name     string            `json:"name"`
	Events   int               `json:"events" doc:"how many the schema is based on"`
	Source   string            `json:"source" enum:"stored,rejected" doc:"rejected if no event of the type is stored"`
	Schema   jsontext.Value    `json:"schema"`
	Evidence []schema.Evidence `json:"evidence"`
}

func (h *Handlers) proposeType(c *httpapi.Call) error {
	d, err := h.drafting(c)
	if err != nil {
		return err
	}
	defer d.end()
	p, err := schema.NewProposer()
	if err != nil {
		return err
	}
	source := "stored"
	if err := newest(&d, h.opts.Reader.Events, query.AfterEvent, func(e *event.Event) { p.Add(schema.Decode(e.Data)) }); err != nil {
		return err
	}
	proposal, err := p.Propose()
	if err != nil {
		return err
	}
	if proposal.Events == 0 { // a type whose events are all rejected needs a schema most
		source = "rejected"
		if err := newest(&d, h.opts.Reader.Rejections, query.AfterRejection, func(r *event.Rejection) {
			if data := r.Data(); data != nil {
				p.Add(schema.Decode(data))
			}
		}); err != nil {
			return err
		}
		if proposal, err = p.Propose(); err != nil {
			return err
		}
	}
	if proposal.Events == 0 {
		advice := "send some and try again; GET /v1/values?field=name lists existing ones"
		if category, name, ok := h.opts.Registry.NearestType(d.category, d.name); ok && (category != d.category || name != d.name) {
			advice = fmt.Sprintf("did you mean %q / %q?", category, name)
		}
		return httpapi.Problemf(http.StatusNotFound, "no event of the type %.80q / %.80q is stored, and no rejection of it has data that can be read: %s", d.category, d.name, advice)
	}
	return c.WriteJSON(http.StatusOK, Proposal{d.category, d.name, proposal.Events, source, proposal.Schema, proposal.Evidence})
}
