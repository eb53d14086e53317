package httpapi

import (
	"slices"

	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/registry"
)

// Candidate is an id that a text may mean in one application.
type Candidate struct {
	App string // empty for a UUID, which may be that of any
	ID  uuid.UUID
}

// Candidates returns what a text may mean: a UUID, or in each application the ids that keys with
// and without origins yield for the text. The first one that exists is meant.
func Candidates(r *registry.Registry, apps []string, text string) []Candidate {
	if id, ok := event.ParseUUID(text); ok {
		return []Candidate{{ID: id}}
	}
	if apps == nil {
		for _, app := range r.Apps() {
			apps = append(apps, app.Name)
		}
	}
	apps = slices.Sorted(slices.Values(apps))
	list := make([]Candidate, 0, 2*len(apps))
	for _, app := range apps {
		id, _ := event.ParseID(app, text)
		ofPages, _ := event.ParseOriginID(app, text)
		list = append(list, Candidate{app, id}, Candidate{app, ofPages})
	}
	if len(list) == 0 { // no application: an id of nothing, because no ids would select all
		return []Candidate{{}}
	}
	return list
}

// IDsOf returns the ids of candidates.
func IDsOf(list []Candidate) []uuid.UUID {
	ids := make([]uuid.UUID, len(list))
	for i, c := range list {
		ids[i] = c.ID
	}
	return ids
}

// ResolveEvents adds the ids that the texts of a query may mean. The applications of the query must
// be final.
func ResolveEvents(r *registry.Registry, q *query.Query) {
	for _, text := range q.EventTexts {
		q.EventIDs = append(q.EventIDs, IDsOf(Candidates(r, q.Apps, text))...)
	}
}
