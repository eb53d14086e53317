package replay

import (
	"net/url"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/query"
)

// Request says what to replay and how.
type Request struct {
	Filter    url.Values     `json:"filter"`              // as the list of rejections takes it; empty for all
	Patch     jsontext.Value `json:"patch,omitzero"`      // RFC 6902; empty for none
	TimeZone  string         `json:"time_zone,omitzero"`  // of timestamps without one; empty for the application's
	SessionID string         `json:"session_id,omitzero"` // of bodies that have none; empty for none
	DryRun    bool           `json:"dry_run"`             // nothing is changed
}

// State is how far a replay is.
type State string

// The states of a replay.
const (
	Running   State = "running"
	Done      State = "done"
	Failed    State = "failed"
	Cancelled State = "cancelled"
)

// Status is what is known of a replay.
type Status struct {
	Request
	ID         uuid.UUID    `json:"replay_id"`
	State      State        `json:"state"`
	Error      string       `json:"error,omitzero"` // why it failed, or why it is waiting
	StartedAt  event.Micros `json:"started_at"`
	FinishedAt event.Micros `json:"finished_at"` // 0 while it is at work

	Matched   int64 `json:"matched"` // so far, while it is at work
	WouldPass int64 `json:"would_pass"`
	WouldFail int64 `json:"would_fail"`

	// The fates of those that passed. Conflicts stay rejected, because the id is stored with
	// another body.
	Stored     int64 `json:"stored"`
	Duplicates int64 `json:"duplicates"`
	Conflicts  int64 `json:"conflicts"`
	Erased     int64 `json:"erased"`
	Expired    int64 `json:"expired"`

	Remaining []Remaining `json:"-"` // what those that fail lack, most frequent first
	Examples  []Example   `json:"-"` // of a dry run

	// Where the replay continues after an interruption: after After, with what was rejected up to
	// the frame Horizon. Its own frames are later ones.
	Horizon    uint64       `json:"until"`
	After      *query.After `json:"after,omitzero"`
	FirstFrame uint64       `json:"first_frame"`
	LastFrame  uint64       `json:"last_frame"`
}

// Remaining is a problem that stays.
type Remaining struct {
	Code, Pointer string
	Count         int64
}

// maxRemaining is the maximum number of problems that are counted separately.
const maxRemaining = 100

// Example shows what a replay does to one rejection.
type Example struct {
	RejectionID, EventID uuid.UUID
	Passes               bool
	Before, After        []byte          // bodies; After is Before when nothing is changed
	Problems             []event.Problem // that are left
}

// Size returns the approximate size of the status in an answer, in bytes.
func (s *Status) Size() int {
	n := 1<<10 + len(s.Patch)
	for _, l := range s.Remaining {
		n += len(l.Code) + len(l.Pointer)
	}
	for _, x := range s.Examples {
		n += 2*(len(x.Before)+len(x.After)) + event.ProblemsSize(x.Problems) // the diff has both once more
	}
	return n
}

// parse reads a request. Errors: *InvalidError and *query.ParamError.
func (req Request) parse() (q query.Query, how repairs, err error) {
	if req.Filter.Has("replayed") {
		return q, how, invalidf("filter cannot have replayed: resolved rejections are not replayed again")
	}
	if q, err = query.Parse(req.Filter, query.Rejections, time.UTC); err != nil {
		return q, how, err
	}
	q.Descending = false // what came first is stored first
	if how.patch, err = parsePatch(req.Patch); err != nil {
		return q, how, err
	}
	if req.TimeZone != "" {
		if how.zone, err = event.LoadZone(req.TimeZone); err != nil {
			return q, how, invalidf("time_zone %.80q is %s", req.TimeZone, err)
		}
	}
	how.session = req.SessionID
	if n := len([]rune(how.session)); n > event.MaxTextCodePoints {
		return q, how, invalidf("session_id has %d characters; at most %d are allowed", n, event.MaxTextCodePoints)
	}
	return q, how, nil
}

// countProblems adds what stays of a rejection.
func (s *Status) countProblems(problems []event.Problem) {
	for _, p := range problems {
		i := slices.IndexFunc(s.Remaining, func(l Remaining) bool { return l.Code == p.Code && l.Pointer == p.Pointer })
		if i < 0 {
			if len(s.Remaining) == maxRemaining {
				continue
			}
			i = len(s.Remaining)
			s.Remaining = append(s.Remaining, Remaining{Code: p.Code, Pointer: p.Pointer})
		}
		s.Remaining[i].Count++
	}
}

// addExample keeps an example while there are few of its kind, unless its bodies are large.
func (s *Status) addExample(x Example) {
	if len(x.Before)+len(x.After) > MaxExampleBytes {
		return
	}
	alike := 0
	for _, other := range s.Examples {
		if other.Passes == x.Passes {
			alike++
		}
	}
	if alike < MaxExamples {
		s.Examples = append(s.Examples, x)
	}
}

// countFate counts the fate of a replay.
func (s *Status) countFate(fate event.Fate) {
	switch fate {
	case event.Stored:
		s.Stored++
	case event.Duplicate:
		s.Duplicates++
	case event.Rejected:
		s.Conflicts++
	case event.Erased:
		s.Erased++
	case event.Expired:
		s.Expired++
	case event.Pending: // no store decides so
	}
}
