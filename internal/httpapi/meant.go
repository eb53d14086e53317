package httpapi

import (
	"cmp"
	"slices"
	"strings"

	"github.com/google/uuid"

	"theeye/internal/query"
)

// meant returns which of the ids that were found a text means: of the application that
// comes first by name, that of clients without origins first. also is the other one of
// the same application, nil when there is none.
func meant(list, found []candidate) (one candidate, also *uuid.UUID) {
	rank := func(c candidate) int { return slices.IndexFunc(list, func(l candidate) bool { return l.id == c.id }) }
	found = slices.SortedFunc(slices.Values(found), func(a, b candidate) int {
		return cmp.Or(strings.Compare(a.app, b.app), cmp.Compare(rank(a), rank(b)))
	})
	for _, c := range found[1:] {
		if c.app == found[0].app && c.id != found[0].id {
			also = &c.id
		}
	}
	return found[0], also
}

// maxAlsoIn is how many other applications an answer names.
const maxAlsoIn = 100

// alsoIn returns the applications of what was found, and others, but one, by name.
func alsoIn(one string, found []candidate, others ...string) []string {
	names := others
	for _, c := range found {
		names = append(names, c.app)
	}
	slices.Sort(names)
	names = slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == one })
	return names[:min(len(names), maxAlsoIn)]
}

// usedIn returns the applications of which something with the query's ids has arrived, as far as the
// store has it.
func (s *Server) usedIn(r *reading) ([]string, error) {
	arrivals, err := s.opts.Reader.Receipt(r.ctx, r.Query, receiptArrivals)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, a := range arrivals {
		names = append(names, a.App)
	}
	if mayBeCut(arrivals) {
		kept, err := s.keptIn(r)
		return append(names, kept...), err
	}
	return names, nil
}

// keptIn returns the applications with a stored event or a rejection of the query's ids.
func (s *Server) keptIn(r *reading) (names []string, err error) {
	stored, err := s.opts.Reader.Values(r.ctx, query.Query{Apps: r.Apps, IDs: r.IDs, Limit: query.MaxLimit}, query.Field{Name: query.App})
	if err != nil {
		return nil, err
	}
	for i := range stored.Top {
		names = append(names, stored.Top[i].Value)
	}
	rejected, err := s.opts.Reader.RejectionSummary(r.ctx, query.Query{Apps: r.Apps, EventIDs: r.IDs, Limit: query.MaxLimit})
	for i := range rejected {
		names = append(names, rejected[i].App)
	}
	return names, err
}
