package event

import "time"

// zoneStep divides the present offset of every zone, and maxZone bounds it.
const (
	zoneStep = Micros(15 * time.Minute / time.Microsecond)
	maxZone  = Micros(14 * time.Hour / time.Microsecond)
)

// CorrectedBy returns the correction of the timestamp for a wrong clock of the sender, or 0 if it
// was not corrected. The correction is not stored but recomputed: OccurredAt differs from SentTime
// by the offset of the application's zone and by the correction.
func (e *Event) CorrectedBy() time.Duration {
	moved, skew := e.OccurredAt-e.SentTime, e.ReceivedAt-e.SentAt
	if e.SentAt == 0 || isZone(moved) || !isZone(moved-skew) {
		return 0
	}
	return e.ReceivedAt.Sub(e.SentAt)
}

// isZone reports whether a zone may have this offset.
func isZone(m Micros) bool { return m%zoneStep == 0 && m >= -maxZone && m <= maxZone }
