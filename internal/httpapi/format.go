package httpapi

import (
	"time"

	"theeye/internal/event"
)

// milliseconds is a duration for people, to the microsecond.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func optionalTime(m event.Micros) *string {
	if m == 0 {
		return nil
	}
	s := m.String()
	return &s
}

func viewAll[T, V any](items []T, view func(*T) V) []V {
	views := make([]V, len(items))
	for i := range items {
		views[i] = view(&items[i])
	}
	return views
}

func rfc3339(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

func textOrNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func timeOrNull(at *time.Time) *string {
	if at == nil {
		return nil
	}
	text := rfc3339(*at)
	return &text
}
