package event_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"theeye/internal/event"
)

func TestCorrectedBy(t *testing.T) {
	micros := func(d time.Duration) event.Micros { return event.Micros(d / time.Microsecond) }
	rapid.Check(t, func(t *rapid.T) {
		offset := time.Duration(rapid.IntRange(-56, 56).Draw(t, "zone")) * 15 * time.Minute
		skew := time.Duration(rapid.Int64Range(-1e12, 1e12).Draw(t, "skew")) * time.Microsecond
		sent := event.Micros(rapid.Int64Range(0, 4e15).Draw(t, "sent"))
		corrected := skew%(15*time.Minute) != 0 && rapid.Bool().Draw(t, "corrected")
		e := event.Event{SentTime: sent, SentAt: sent + 1000, OccurredAt: sent + micros(offset)}
		e.ReceivedAt = e.SentAt + micros(skew)
		want := time.Duration(0)
		if corrected {
			e.OccurredAt += micros(skew)
			want = skew
		}
		if got := e.CorrectedBy(); got != want {
			t.Fatalf("corrected by %v, want %v", got, want)
		}
	})
	if got := (&event.Event{SentTime: 5, OccurredAt: 5, ReceivedAt: 1e15}).CorrectedBy(); got != 0 {
		t.Errorf("without sent_at it is corrected by %v", got)
	}
}
