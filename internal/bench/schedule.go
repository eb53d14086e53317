package bench

import (
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// MinRateRatio is the fraction of the requested rate below which a bench reports that the rate was
// not reached.
const MinRateRatio = 0.98

// schedule is the open model: request n has a fixed time, whatever happened to earlier requests.
// The zero value means no schedule.
type schedule struct {
	began    time.Time
	interval time.Duration
}

// shift changes a result so that its latency begins at the scheduled time of the request, and
// returns how late the request was sent. Vegeta measures from the time of sending, which omits the
// time that a request waits for others (coordinated omission).
func (s schedule) shift(r *vegeta.Result) (late time.Duration) {
	if s.interval == 0 {
		return 0
	}
	// The first request is scheduled one interval after the beginning.
	due := s.began.Add(s.interval * time.Duration(r.Seq+1))
	if late = r.Timestamp.Sub(due); late <= 0 {
		return 0
	}
	r.Timestamp, r.Latency = due, r.Latency+late
	return late
}
