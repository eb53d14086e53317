package httpapi

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/query"
)

// candidate is an id that a text may stand for in one application.
type candidate struct {
	app string // empty for a UUID, which may be that of any
	id  uuid.UUID
}

// candidates returns what a text may stand for: a UUID, or in each application what a
// client without origins, and what a page, called an event. The first that exists is meant.
func (s *Server) candidates(apps []string, text string) []candidate {
	if id, ok := event.ParseUUID(text); ok {
		return []candidate{{id: id}}
	}
	if apps == nil {
		for _, app := range s.opts.Registry.Apps() {
			apps = append(apps, app.Name)
		}
	}
	apps = slices.Sorted(slices.Values(apps))
	list := make([]candidate, 0, 2*len(apps))
	for _, app := range apps {
		id, _ := event.ParseID(app, text)
		ofPages, _ := event.ParseOriginID(app, text)
		list = append(list, candidate{app, id}, candidate{app, ofPages})
	}
	if len(list) == 0 { // no application: the id of nothing, because no ids would be all
		return []candidate{{}}
	}
	return list
}

func idsOf(list []candidate) []uuid.UUID {
	ids := make([]uuid.UUID, len(list))
	for i, c := range list {
		ids[i] = c.id
	}
	return ids
}

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

// resolveEvents adds the ids that the texts of a query may stand for, once it is known
// whose applications it may see.
func (s *Server) resolveEvents(q *query.Query) {
	for _, text := range q.EventTexts {
		q.EventIDs = append(q.EventIDs, idsOf(s.candidates(q.Apps, text))...)
	}
}

// resolveFilter does so for a filter that is kept, and has UUIDs for the texts then.
func (s *Server) resolveFilter(values url.Values) error {
	q, err := query.Parse(values, query.Rejections, time.UTC)
	if err != nil || q.EventTexts == nil {
		return err
	}
	s.resolveEvents(&q)
	if len(q.EventIDs) > query.MaxValues {
		return problem(http.StatusBadRequest, "event_id: an id that is not a UUID belongs to one application; name it with app")
	}
	values.Del(query.EventID)
	for _, id := range q.EventIDs {
		values.Add(query.EventID, id.String())
	}
	return nil
}
