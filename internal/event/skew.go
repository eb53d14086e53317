package event

import "time"

// zoneStep divides the offset of every zone of today, and maxZone bounds it.
const (
	zoneStep = Micros(15 * time.Minute / time.Microsecond)
	maxZone  = Micros(14 * time.Hour / time.Microsecond)
)

// CorrectedBy returns what was added to the timestamp because the sender's clock
// was wrong; 0 when it was left alone. It is not kept but found again: OccurredAt
// differs from SentTime by the offset of the application's zone, and by what is
// asked for.
func (e *Event) CorrectedBy() time.Duration {
	moved := e.OccurredAt - e.SentTime
	if e.SentAt == 0 || moved%zoneStep == 0 && moved >= -maxZone && moved <= maxZone {
		return 0
	}
	return e.ReceivedAt.Sub(e.SentAt)
}
