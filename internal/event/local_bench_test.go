package event_test

import (
	"testing"
	"time"

	"theeye/internal/event"
)

// BenchmarkParseTimeWithoutZone measures a timestamp that is read in the application's zone.
func BenchmarkParseTimeWithoutZone(b *testing.B) {
	for _, name := range []string{"UTC", "Europe/Berlin", "America/New_York"} {
		loc, err := time.LoadLocation(name)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := event.ParseTime("2026-06-29 15:04:05.123456", loc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("with a zone", func(b *testing.B) {
		for b.Loop() {
			if _, err := event.ParseTime("2026-06-29T15:04:05.123456Z", time.UTC); err != nil {
				b.Fatal(err)
			}
		}
	})
}
