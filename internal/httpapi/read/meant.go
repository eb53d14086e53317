package read

import (
	"cmp"
	"slices"
	"strings"

	"github.com/google/uuid"

	"theeye/internal/httpapi"
	"theeye/internal/query"
)

// meant returns which of the found ids a text means: in the first application by name, the id from
// keys without origins takes precedence. also is the other id in that application, or nil if there
// is none.
func meant(list, found []httpapi.Candidate) (one httpapi.Candidate, also *uuid.UUID) {
	rank := func(c httpapi.Candidate) int {
		return slices.IndexFunc(list, func(l httpapi.Candidate) bool { return l.ID == c.ID })
	}
	found = slices.SortedFunc(slices.Values(found), func(a, b httpapi.Candidate) int {
		return cmp.Or(strings.Compare(a.App, b.App), cmp.Compare(rank(a), rank(b)))
	})
	for _, c := range found[1:] {
		if c.App == found[0].App && c.ID != found[0].ID {
			also = &c.ID
		}
	}
	return found[0], also
}

// maxAlsoIn bounds the other applications that an answer names.
const maxAlsoIn = 100

// alsoIn returns the applications in found and others, except one, sorted by name.
func alsoIn(one string, found []httpapi.Candidate, others ...string) []string {
	names := others
	for _, c := range found {
		names = append(names, c.App)
	}
	slices.Sort(names)
	names = slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == one })
	return names[:min(len(names), maxAlsoIn)]
}

// usedIn returns the applications from which anything with the query's ids has arrived, as far as
// the store knows.
func (h *Handlers) usedIn(r *readRequest) ([]string, error) {
	arrivals, err := h.opts.Reader.Receipt(r.ctx, r.Query, receiptArrivals)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, a := range arrivals {
		names = append(names, a.App)
	}
	if mayBeCut(arrivals) {
		kept, err := h.keptIn(r)
		return append(names, kept...), err
	}
	return names, nil
}

// keptIn returns the applications with a stored event or a rejection of the query's ids.
func (h *Handlers) keptIn(r *readRequest) (names []string, err error) {
	stored, err := h.opts.Reader.Values(r.ctx, query.Query{Apps: r.Apps, IDs: r.IDs, Limit: query.MaxLimit}, query.Field{Name: query.App})
	if err != nil {
		return nil, err
	}
	for i := range stored.Top {
		names = append(names, stored.Top[i].Value)
	}
	rejected, err := h.opts.Reader.RejectionSummary(r.ctx, query.Query{Apps: r.Apps, EventIDs: r.IDs, Limit: query.MaxLimit}, 0)
	for i := range rejected {
		names = append(names, rejected[i].App)
	}
	return names, err
}
