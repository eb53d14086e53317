package event

// Match is the relation of an arriving event to the event that is stored under its id.
type Match uint8

// The matches of an event.
const (
	Unseen      Match = iota // no event is stored under the id
	Repeated                 // an event with the same body is; see SameBody
	Conflicting              // an event with another body is
)

// MatchOf compares an event with the one that is stored under its id, or nil if there is none.
func MatchOf(stored, e *Event) Match {
	switch {
	case stored == nil:
		return Unseen
	case SameBody(stored, e):
		return Repeated
	}
	return Conflicting
}

// Decide returns the outcome of an arriving event: the first arrival of an id is stored, the same
// body again is a duplicate, and another body is rejected. The intake and every store use it. If
// the event becomes a rejection, Decide also returns that rejection, except for a replay, whose
// rejection already exists; the outcome is then that of DecideRejection.
func Decide(e *Event, m Match) (Outcome, *Rejection) {
	switch m {
	case Unseen:
		return Outcome{Fate: Stored}, nil
	case Repeated:
		return Outcome{Fate: Duplicate}, nil
	case Conflicting:
	}
	conflict := Conflict(e)
	outcome := DecideRejection(conflict, false)
	if e.IsReplay() {
		return outcome, nil
	}
	return outcome, conflict
}

// DecideRejection returns the outcome of an arriving rejection; kept reports whether a rejection
// with its id is already kept.
func DecideRejection(r *Rejection, kept bool) Outcome {
	if kept {
		return Outcome{Fate: Duplicate, Problems: r.Problems}
	}
	return Outcome{Fate: Rejected, Problems: r.Problems}
}
