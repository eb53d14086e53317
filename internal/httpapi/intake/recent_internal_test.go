package intake

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func refused(reason string, bytes int) UnreadableRequest {
	body := strings.Repeat("x", bytes)
	return UnreadableRequest{Reason: reason, Body: &body, at: time.Now()}
}

// For any sequence of requests, the buffer keeps the newest of each group within its limits and
// counts all of them.
func TestRecentRequests(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s recent
		counts := map[recentKey]int64{}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			of := recentKey{fmt.Sprint("app", rapid.IntRange(0, 3).Draw(t, "app")), fmt.Sprint("reason", rapid.IntRange(0, 2).Draw(t, "reason"))}
			if rapid.IntRange(0, 9).Draw(t, "forget") == 0 {
				s.forget(of.app)
				for other := range counts {
					if other.app == of.app {
						delete(counts, other)
					}
				}
				continue
			}
			n, bytes := rapid.IntRange(1, 300).Draw(t, "requests"), rapid.IntRange(0, 60_000).Draw(t, "bytes")
			for range n {
				s.add(of.app, refused(of.reason, bytes))
			}
			counts[of] += int64(n)
		}
		sum := 0
		s.each(func(of recentKey, r *recentGroup) {
			bytes := 0
			for i, x := range r.requests {
				bytes += x.size()
				if i > 0 && x.serial <= r.requests[i-1].serial {
					t.Fatal("not in order")
				}
			}
			if bytes != r.bytes || len(r.requests) > recentRequests || r.count != counts[of] {
				t.Fatalf("%v: %d requests of %d bytes (counted %d), count %d, want %d", of, len(r.requests), bytes, r.bytes, r.count, counts[of])
			}
			sum += bytes
			delete(counts, of)
		})
		if sum != s.bytes || sum > recentBytes || len(counts) > 0 {
			t.Fatalf("%d bytes are kept, counted %d; missing %v", sum, s.bytes, counts)
		}
	})
}

func TestRecentGroupsAreBounded(t *testing.T) {
	var s recent
	for i := range 3 * maxRecentGroups {
		s.add(fmt.Sprint("app", i), refused("no_key", 10))
	}
	if len(s.of) != maxRecentGroups || s.of[recentKey{fmt.Sprint("app", 3*maxRecentGroups-1), "no_key"}] == nil {
		t.Errorf("%d groups are kept", len(s.of))
	}
}

func TestBodyIsShownWithoutKeys(t *testing.T) {
	key := "eye_w_" + strings.Repeat("aB3", 14) + "x_abc123"
	for _, c := range []struct{ name, body, want string }{
		{"a key", `{"key":"` + key + `"}`, `{"key":"[key]"}`},
		{"a key that is cut", "x" + key[:40], "x[key]"},
		{"cut in a character", "aé"[:2], "a"},
		{"text", "eye_w_short", "eye_w_short"},
	} {
		var x UnreadableRequest
		if x.setBody([]byte(c.body)); x.Body == nil || *x.Body != c.want {
			t.Errorf("%s: %v", c.name, x.Body)
		}
	}
	var x UnreadableRequest
	if x.setBody([]byte{0x1f, 0x8b, 0xff}); x.Body != nil || len(x.BodyBase64) != 3 {
		t.Errorf("a body that is not text is shown as %+v", x)
	}
}
