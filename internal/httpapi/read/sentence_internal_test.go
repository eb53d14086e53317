package read

import (
	"testing"
	"time"

	"theeye/internal/event"
	"theeye/internal/store"
)

func TestSentence(t *testing.T) {
	now := event.Micros(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC).UnixMicro())
	at := func(hour int) event.Micros { return now + event.Micros(hour-12)*3600e6 + 2*60e6 }
	for want, g := range map[string]store.RejectionGroup{
		"314 times since 10:02 UTC: 'form interaction/submit' from shop lacks /data/form/last_name": {
			App: "shop", Category: "form interaction", Name: "submit", Code: event.SchemaViolation, Pointer: "/data/form/last_name", Count: 314,
			FirstSeen: at(10), Message: "missing property 'last_name'",
		},
		"once, at 2026-04-30 23:02 UTC: an event of unknown type from shop lacks /name": {
			App: "shop", Code: event.MissingField, Pointer: "/name", Count: 1, FirstSeen: at(-1), Message: "missing field 'name'",
		},
		"2 times since 10:02 UTC: 'c/n' from shop is wrong at /data/n: must be a number, not a string": {
			App: "shop", Category: "c", Name: "n", Code: event.SchemaViolation, Pointer: "/data/n", Count: 2, FirstSeen: at(10), Message: "must be a number, not a string",
		},
		"2 times since 10:02 UTC: 'c/n' from shop reuses an id with another body": {
			App: "shop", Category: "c", Name: "n", Code: event.IDConflict, Pointer: "/id", Count: 2, FirstSeen: at(10), Message: "m",
		},
		"2 times since 10:02 UTC: 'c/n' from shop has no event type, which this application asks for": {
			App: "shop", Category: "c", Name: "n", Code: event.UnknownEventType, Count: 2, FirstSeen: at(10), Message: "m",
		},
		"2 times since 10:02 UTC: an event of unknown type from shop was not accepted: not JSON": {
			App: "shop", Code: event.InvalidJSON, Count: 2, FirstSeen: at(10), Message: "not JSON",
		},
	} {
		if got := sentence(&g, now); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
