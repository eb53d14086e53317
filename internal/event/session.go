package event

import (
	"cmp"
	"slices"

	"github.com/google/uuid"
)

// LateAfter is how long after an event that occurred later one must be received to
// be late.
const LateAfter Micros = 60e6

// Step is what Examine needs of an event of a session.
type Step struct {
	ID         uuid.UUID
	Sender     string
	Seq        int64 // NoSeq when absent
	OccurredAt Micros
	ReceivedAt Micros
}

// StepOf returns the step of an event.
func StepOf(e *Event) Step { return Step{e.ID, e.Sender, e.Seq, e.OccurredAt, e.ReceivedAt} }

// Gap is a run of sequence numbers of one sender that are missing in a session.
type Gap struct {
	Sender string
	From   int64 // the first that is missing
	To     int64 // the last one
	// After is the event before the gap, Before that behind it.
	After, Before uuid.UUID
}

// Count returns how many are missing.
func (g Gap) Count() int64 { return g.To - g.From + 1 }

// Examine looks at all events of a session in the total order R1. late tells of each
// whether it was received more than LateAfter after one that occurred later. Gaps are
// those in the sequence numbers of each sender, which may begin anywhere and repeat;
// they are sorted by sender and number. It takes n log n time.
func Examine(steps []Step) (late []bool, gaps []Gap) {
	return lateness(steps), missing(steps)
}

func lateness(steps []Step) []bool {
	late := make([]bool, len(steps))
	// earliest is when the first of those that occurred later than all of the
	// present time was received; pending that of the present time.
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
	// Those that repeat a number keep their order.
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
