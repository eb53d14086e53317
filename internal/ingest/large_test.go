package ingest_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"theeye/internal/event"
	"theeye/internal/ingest"
)

// noise is text that does not compress, and in which each character has two bytes.
func noise(seed byte, characters int) string {
	random := rand.New(rand.NewChaCha8([32]byte{seed}))
	var b strings.Builder
	for range characters {
		b.WriteRune(rune(0x400 + random.IntN(0x200)))
	}
	return b.String()
}

func TestLargeBodiesAreKeptWithinABudget(t *testing.T) {
	c, frames := start(t, ingest.Options{MaxEventBytes: 10 << 10, LargeBytes: 100 << 10})
	send := func(app string, at event.Micros, body string) *event.Rejection {
		t.Helper()
		r := request(body)
		r.App, r.ReceivedAt = app, at
		if _, err := c.Collect(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		records := frames.records(t)
		return records[len(records)-1].Rejection
	}
	large := func(seed byte) string { return fmt.Sprintf(`{"x":"%s","id":"large-%d"}`, noise(seed, 20<<10), seed) } // 40 KiB
	const day = event.Micros(86400 * 1e6)
	whole := func(what string, r *event.Rejection, body string, want bool) {
		t.Helper()
		id, client := event.ParseID(r.App, r.ClientID)
		if r.ID != event.RejectionID(r.App, r.EventID, []byte(body)) || id != r.EventID || client != r.ClientID {
			t.Errorf("%s: its ids are not those of the whole body", what)
		}
		if want {
			if string(r.Raw) != body || r.Truncated() {
				t.Errorf("%s: %d of %d bytes are kept", what, len(r.Raw), len(body))
			}
			return
		}
		if !strings.HasPrefix(body, string(r.Raw)) || len(r.Raw) < 4<<10-4 || len(r.Raw) > 4<<10 || string(r.Raw) != strings.ToValidUTF8(string(r.Raw), "") {
			t.Errorf("%s: the wrong %d bytes are kept", what, len(r.Raw))
		}
		if r.Whole.Bytes != int64(len(body)) || r.Whole.SHA256 != sha256.Sum256([]byte(body)) {
			t.Errorf("%s: the whole body is told as %+v", what, r.Whole)
		}
	}
	whole("the first", send("shop", day, large(1)), large(1), true)
	whole("the second", send("shop", day, large(2)), large(2), true)
	whole("the third", send("shop", 2*day-1, large(3)), large(3), false)
	easy := `{"id":"easy","x":"` + strings.Repeat("x", 1<<20) + `"}`
	whole("what compresses well", send("shop", day, easy), easy, true)
	whole("of another application", send("blog", day, large(3)), large(3), true)
	whole("of the next day", send("shop", 2*day, large(3)), large(3), true)
	whole("of the day before, by a clock that went back", send("shop", day, large(4)), large(4), true)
	whole("and then the day is full", send("shop", 2*day, large(5)), large(5), false)
	small := `{"id":"small","x":"` + noise(1, 4<<10) + `"}`
	whole("what is not too large is always kept", send("shop", 2*day, small), small, true)
}
