package test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"testing"
)

// A full queue answers 503 and keeps nothing of the request; a key can still be
// revoked, and that is in force.
func TestFullQueue(t *testing.T) {
	t.Parallel()
	s := start(t, "--queue-max-bytes", "2MiB")
	noise := rand.NewChaCha8([32]byte{7})
	accepted := 0
	for {
		random := make([]byte, 90<<10)
		_, _ = noise.Read(random)
		a := s.call("POST", "/v1/events", s.write, fmt.Sprintf(`{"session_id":"s","category":"c","name":"n","data":{"x":%q},"timestamp":1609492527}`, base64.StdEncoding.EncodeToString(random)))
		if a.status == 202 {
			accepted++
			continue
		}
		if a.status != 503 || a.header.Get("Retry-After") == "" {
			t.Fatalf("a full queue answered %d %v %s", a.status, a.header, a.body)
		}
		break
	}
	if accepted < 5 || accepted > 40 {
		t.Errorf("%d events of 120 KiB were taken into 2 MiB", accepted)
	}
	s.eventually("all to be stored", func() bool { return s.call("GET", "/v1/count", s.read, "").text("count") == fmt.Sprint(accepted) })
	s.balanced(accepted)
	keys := s.call("GET", "/v1/apps/shop/keys", s.admin, "").json()["keys"].([]any)
	for _, k := range keys {
		if key := k.(map[string]any); key["kind"] == "write" {
			s.must(s.call("DELETE", "/v1/apps/shop/keys/"+key["key_id"].(string), s.admin, ""), 204)
		}
	}
	s.must(s.call("POST", "/v1/events", s.write, fine), 401)
	s.kill()
	s.launch()
	s.must(s.call("POST", "/v1/events", s.write, fine), 401)
}
