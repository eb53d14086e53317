package httpapi

import (
	"slices"

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

// resolveEvents adds the ids that the texts of a query may stand for, once it is known
// whose applications it may see.
func (s *Server) resolveEvents(q *query.Query) {
	for _, text := range q.EventTexts {
		q.EventIDs = append(q.EventIDs, idsOf(s.candidates(q.Apps, text))...)
	}
}
