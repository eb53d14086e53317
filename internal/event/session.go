package event

import (
	"cmp"
	"slices"

	"github.com/google/uuid"
)

// LateAfter is the time after which an event is late: it is received more than LateAfter after an
// event that occurred later.
const LateAfter Micros = 60e6

// Step holds the parts of an event that Examine needs.
type Step struct {
	ID         uuid.UUID
	Sender     string
	Seq        int64 // NoSeq when absent
	OccurredAt Micros
	ReceivedAt Micros
}

// StepOf returns the step for an event.
func StepOf(e *Event) Step { return Step{e.ID, e.Sender, e.Seq, e.OccurredAt, e.ReceivedAt} }

// Gap is a range of sequence numbers of one sender that are missing in a session.
type Gap struct {
	Sender string
	From   int64 // the first missing number
	To     int64 // the last one
	// After is the event before the gap, Before the event after it.
	After, Before uuid.UUID
}

// Count returns the number of missing events.
func (g Gap) Count() int64 { return g.To - g.From + 1 }

// Examine examines all events of a session, which must be in the total order of Key. late says of
// each event whether it was received more than LateAfter after one that occurred later. gaps are
// the gaps in the sequence numbers of each sender, sorted by sender and number; the numbers of a
// sender may begin anywhere and repeat. Examine takes n log n time.
func Examine(steps []Step) (late []bool, gaps []Gap) {
	return lateness(steps), missing(steps)
}

func lateness(steps []Step) []bool {
	late := make([]bool, len(steps))
	// earliest is the earliest time of receipt among the events that occurred later than the
	// current time; pending is the same for the events at the current time.
	var earliest, pending Micros
	none := true
	for i := len(steps) - 1; i >= 0; {
		begin := i
		for begin > 0 && steps[begin-1].OccurredAt == steps[i].OccurredAt {
			begin--
		}
		pending = steps[i].ReceivedAt
		for k := begin; k <= i; k++ {
			late[k] = !none && steps[k].ReceivedAt-earliest > LateAfter
			pending = min(pending, steps[k].ReceivedAt)
		}
		if none || pending < earliest {
			earliest, none = pending, false
		}
		i = begin - 1
	}
	return late
}

func missing(steps []Step) []Gap {
	numbered := slices.DeleteFunc(slices.Clone(steps), func(s Step) bool { return s.Seq == NoSeq })
	// Events with the same number keep their order.
	slices.SortStableFunc(numbered, func(a, b Step) int { return cmp.Or(cmp.Compare(a.Sender, b.Sender), cmp.Compare(a.Seq, b.Seq)) })
	var gaps []Gap
	for i := 1; i < len(numbered); i++ {
		a, b := numbered[i-1], numbered[i]
		if a.Sender == b.Sender && b.Seq > a.Seq+1 {
			gaps = append(gaps, Gap{Sender: a.Sender, From: a.Seq + 1, To: b.Seq - 1, After: a.ID, Before: b.ID})
		}
	}
	return gaps
}
