package httpapi

import (
	"time"

	"theeye/internal/event"
)

// Milliseconds is a duration for people, to the microsecond.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// MicrosOrNull is a time as text, nil for none.
func MicrosOrNull(m event.Micros) *string {
	if m == 0 {
		return nil
	}
	s := m.String()
	return &s
}

// MapSlice returns what f makes of each item.
func MapSlice[T, V any](items []T, f func(*T) V) []V {
	mapped := make([]V, len(items))
	for i := range items {
		mapped[i] = f(&items[i])
	}
	return mapped
}

// FormatTime writes a time in UTC with microseconds, as all times are answered.
func FormatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// TextOrNull is a text, nil for an empty one.
func TextOrNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// TimeOrNull is a time as FormatTime writes it, nil for none.
func TimeOrNull(at *time.Time) *string {
	if at == nil {
		return nil
	}
	text := FormatTime(*at)
	return &text
}
