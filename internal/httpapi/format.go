package httpapi

import (
	"time"

	"theeye/internal/event"
)

// Milliseconds is a duration for people, to the microsecond.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func MicrosOrNull(m event.Micros) *string {
	if m == 0 {
		return nil
	}
	s := m.String()
	return &s
}

func MapSlice[T, V any](items []T, view func(*T) V) []V {
	views := make([]V, len(items))
	for i := range items {
		views[i] = view(&items[i])
	}
	return views
}

func FormatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

func TextOrNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func TimeOrNull(at *time.Time) *string {
	if at == nil {
		return nil
	}
	text := FormatTime(*at)
	return &text
}
