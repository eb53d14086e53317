package memory

import (
	"slices"
	"strings"

	"theeye/internal/event"
)

// The store shares no memory with the batches that are written, nor with the results of queries.

func copyRecord(r event.Record) event.Record {
	switch {
	case r.Event != nil:
		return event.Record{Event: copyEvent(r.Event)}
	case r.Rejection != nil:
		return event.Record{Rejection: copyRejection(r.Rejection)}
	default:
		c := *r.Erased
		c.App = strings.Clone(c.App)
		return event.Record{Erased: &c}
	}
}

func copyEvent(e *event.Event) *event.Event {
	c := *e
	for _, s := range []*string{&c.App, &c.ClientID, &c.SessionID, &c.Category, &c.Name, &c.Timestamp, &c.Sender} {
		*s = strings.Clone(*s)
	}
	c.Data = slices.Clone(e.Data)
	return &c
}

func copyRejection(r *event.Rejection) *event.Rejection {
	c := *r
	for _, s := range []*string{&c.App, &c.ClientID, &c.SessionID, &c.Category, &c.Name} {
		*s = strings.Clone(*s)
	}
	c.Problems = copyProblems(r.Problems)
	c.Raw = slices.Clone(r.Raw)
	return &c
}

func copyProblems(problems []event.Problem) []event.Problem {
	c := slices.Clone(problems)
	for i := range c {
		for _, s := range []*string{&c[i].Code, &c[i].Pointer, &c[i].Message} {
			*s = strings.Clone(*s)
		}
	}
	return c
}

func copyOutcomes(outcomes []event.Outcome) []event.Outcome {
	c := slices.Clone(outcomes)
	for i := range c {
		c[i].Problems = copyProblems(c[i].Problems)
	}
	return c
}
