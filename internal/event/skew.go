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
	moved, skew := e.OccurredAt-e.SentTime, e.ReceivedAt-e.SentAt
	if e.SentAt == 0 || isZone(moved) || !isZone(moved-skew) {
		return 0
	}
	return e.ReceivedAt.Sub(e.SentAt)
}

// isZone reports whether a zone may have this offset.
func isZone(m Micros) bool { return m%zoneStep == 0 && m >= -maxZone && m <= maxZone }
