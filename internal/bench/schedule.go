package bench

import (
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// MinRateRatio is the part of the rate asked for below which a bench says that it
// measured another one.
const MinRateRatio = 0.98

// schedule is the open model: request n has its time, whatever became of those
// before it. The zero value is no schedule.
type schedule struct {
	began    time.Time
	interval time.Duration
}

// shift counts a result from the time that its request had in the schedule, and
// returns how late it was sent. Vegeta counts from the sending, which leaves out
// what a request waits behind others (coordinated omission).
func (s schedule) shift(r *vegeta.Result) (late time.Duration) {
	if s.interval == 0 {
		return 0
	}
	// The first request has its time one interval after the beginning.
	due := s.began.Add(s.interval * time.Duration(r.Seq+1))
	if late = r.Timestamp.Sub(due); late <= 0 {
		return 0
	}
	r.Timestamp, r.Latency = due, r.Latency+late
	return late
}
