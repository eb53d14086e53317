package httpapi

import (
	"time"

	"theeye/internal/event"
)

// Milliseconds returns a duration in milliseconds, rounded to microseconds.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// MicrosOrNull returns a time as text, or nil for zero.
func MicrosOrNull(m event.Micros) *string {
	if m == 0 {
		return nil
	}
	s := m.String()
	return &s
}

// MapSlice returns the results of f for all items.
func MapSlice[T, V any](items []T, f func(*T) V) []V {
	mapped := make([]V, len(items))
	for i := range items {
		mapped[i] = f(&items[i])
	}
	return mapped
}

// FormatTime returns a time in UTC with microseconds, the form of all times in responses.
func FormatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// TextOrNull returns nil for an empty text.
func TextOrNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// TimeOrNull returns a time in the format of FormatTime, or nil for nil.
func TimeOrNull(at *time.Time) *string {
	if at == nil {
		return nil
	}
	text := FormatTime(*at)
	return &text
}
