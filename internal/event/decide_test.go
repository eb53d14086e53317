package event_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"theeye/internal/event"
)

func TestDecide(t *testing.T) {
	arrives := func(change func(*event.Event)) *event.Event {
		e := &event.Event{App: "shop", ID: uuid.UUID{1}, SessionID: "s", Category: "c", Name: "n", Data: []byte(`{"a":1,"b":2}`), Seq: event.NoSeq}
		if change != nil {
			change(e)
		}
		return e
	}
	another := arrives(func(e *event.Event) { e.Name = "other" })
	problems := event.Conflict(another).Problems
	for name, c := range map[string]struct {
		stored, e *event.Event
		want      event.Outcome
		conflict  *event.Rejection
	}{
		"first":     {nil, arrives(nil), event.Outcome{Fate: event.Stored}, nil},
		"again":     {arrives(nil), arrives(func(e *event.Event) { e.SentAt = 7 }), event.Outcome{Fate: event.Duplicate}, nil},
		"other":     {arrives(nil), another, event.Outcome{Fate: event.Rejected, Problems: problems}, event.Conflict(another)},
		"key order": {arrives(nil), arrives(func(e *event.Event) { e.Data = []byte(`{"b":2,"a":1}`) }), event.Outcome{Fate: event.Duplicate}, nil},
		"replay": {
			arrives(nil), arrives(func(e *event.Event) { e.Name, e.Position.Frame, e.CarriedBy = "other", 1, 2 }),
			event.Outcome{Fate: event.Rejected, Problems: problems}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, conflict := event.Decide(c.e, event.MatchOf(c.stored, c.e))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.conflict, conflict); diff != "" {
				t.Error(diff)
			}
		})
	}
	r := event.Conflict(another)
	for kept, want := range map[bool]event.Fate{false: event.Rejected, true: event.Duplicate} {
		if got := event.DecideRejection(r, kept); got.Fate != want || !cmp.Equal(got.Problems, problems) {
			t.Errorf("kept %v: %+v", kept, got)
		}
	}
}
