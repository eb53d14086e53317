package event_test

import (
	"cmp"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"theeye/internal/event"
)

const none = event.NoSeq

func stepID(n int) uuid.UUID { return uuid.UUID{15: byte(n)} }

// step is the nth event of a session. The times are in seconds.
func step(n int, sender string, seq, occurred, received int64) event.Step {
	return event.Step{ID: stepID(n), Sender: sender, Seq: seq, OccurredAt: event.Micros(occurred * 1e6), ReceivedAt: event.Micros(received * 1e6)}
}

func TestExamine(t *testing.T) {
	gap := func(sender string, from, to int64, after, before int) event.Gap {
		return event.Gap{Sender: sender, From: from, To: to, After: stepID(after), Before: stepID(before)}
	}
	for name, c := range map[string]struct {
		steps []event.Step
		late  []bool
		gaps  []event.Gap
	}{
		"none": {},
		"in time": {
			steps: []event.Step{step(1, "web", 0, 10, 11), step(2, "web", 1, 20, 21)},
			late:  []bool{false, false},
		},
		"a slow network is not late": {
			steps: []event.Step{step(1, "", none, 10, 81), step(2, "", none, 20, 21)},
			late:  []bool{false, false},
		},
		"late by a second more": {
			steps: []event.Step{step(1, "", none, 10, 82), step(2, "", none, 20, 21), step(3, "", none, 30, 300)},
			late:  []bool{true, false, false},
		},
		"all of a session sent late together": {
			steps: []event.Step{step(1, "", none, 10, 1000), step(2, "", none, 20, 1000)},
			late:  []bool{false, false},
		},
		"at one time none is later": {
			steps: []event.Step{step(1, "", none, 10, 10), step(2, "", none, 10, 1000), step(3, "", none, 10, 20)},
			late:  []bool{false, false, false},
		},
		"of one time and a later one": {
			steps: []event.Step{step(1, "", none, 10, 10), step(2, "", none, 10, 1000), step(3, "", none, 11, 20)},
			late:  []bool{false, true, false},
		},
		"begins anywhere": {
			steps: []event.Step{step(1, "web", 7, 1, 1), step(2, "web", 8, 2, 2)},
			late:  []bool{false, false},
		},
		"two are missing": {
			steps: []event.Step{step(1, "web", 3, 1, 1), step(2, "web", 6, 2, 2), step(3, "web", 8, 3, 3)},
			late:  []bool{false, false, false},
			gaps:  []event.Gap{gap("web", 4, 5, 1, 2), gap("web", 7, 7, 2, 3)},
		},
		"each sender by itself, and without a number none is missing": {
			steps: []event.Step{step(1, "web", 1, 1, 1), step(2, "app", 5, 2, 2), step(3, "web", none, 3, 3), step(4, "web", 2, 4, 4), step(5, "app", 7, 5, 5), step(6, "", 1, 6, 6), step(7, "", 3, 7, 7)},
			late:  make([]bool, 7),
			gaps:  []event.Gap{gap("", 2, 2, 6, 7), gap("app", 6, 6, 2, 5)},
		},
		"repeated numbers": {
			steps: []event.Step{step(1, "web", 1, 1, 1), step(2, "web", 1, 2, 2), step(3, "web", 3, 3, 3), step(4, "web", 3, 4, 4)},
			late:  make([]bool, 4),
			gaps:  []event.Gap{gap("web", 2, 2, 2, 3)},
		},
		"numbers against the order of time": {
			steps: []event.Step{step(1, "web", 4, 1, 1), step(2, "web", 1, 2, 2), step(3, "web", 2, 3, 3)},
			late:  make([]bool, 3),
			gaps:  []event.Gap{gap("web", 3, 3, 3, 1)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			late, gaps := event.Examine(c.steps)
			if diff := gocmp.Diff(c.late, late, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("late (-want +got):\n%s", diff)
			}
			if diff := gocmp.Diff(c.gaps, gaps, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("gaps (-want +got):\n%s", diff)
			}
		})
	}
}

// For any input, late agrees with its definition for each pair, and the present and the missing
// numbers together form a sequence without holes.
func TestExamineByItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var steps []event.Step
		for i := range rapid.IntRange(0, 30).Draw(t, "events") {
			seq := rapid.Int64Range(0, 12).Draw(t, "seq")
			if seq == 12 {
				seq = none
			}
			steps = append(steps, step(i, rapid.SampledFrom([]string{"", "web", "app"}).Draw(t, "sender"), seq,
				rapid.Int64Range(0, 5).Draw(t, "occurred"), rapid.Int64Range(0, 200).Draw(t, "received")))
		}
		slices.SortStableFunc(steps, func(a, b event.Step) int {
			return cmp.Or(cmp.Compare(a.OccurredAt, b.OccurredAt), cmp.Compare(a.Seq, b.Seq))
		})
		late, gaps := event.Examine(steps)
		for i, a := range steps {
			want := slices.ContainsFunc(steps, func(b event.Step) bool {
				return b.OccurredAt > a.OccurredAt && a.ReceivedAt-b.ReceivedAt > event.LateAfter
			})
			if late[i] != want {
				t.Fatalf("event %d of %+v: late %v, want %v", i, steps, late[i], want)
			}
		}
		for _, sender := range []string{"", "web", "app"} {
			there := map[int64]bool{}
			least, most := none, int64(-1)
			for _, s := range steps {
				if s.Sender == sender && s.Seq != none {
					there[s.Seq] = true
					least, most = min(least, s.Seq), max(most, s.Seq)
				}
			}
			reported := map[int64]bool{}
			for _, g := range gaps {
				for n := g.From; g.Sender == sender && n <= g.To; n++ {
					if there[n] || reported[n] {
						t.Fatalf("%d of %q is reported missing: %+v", n, sender, gaps)
					}
					reported[n] = true
				}
			}
			for n := least; n <= most; n++ {
				if there[n] == reported[n] {
					t.Fatalf("%d of %q: there %v, reported missing %v", n, sender, there[n], reported[n])
				}
			}
		}
	})
}
