package test

import (
	"fmt"
	"testing"
	"time"
)

// What is older on arrival than it would be kept is accepted and not stored; an
// application may keep longer than the server.
func TestRetention(t *testing.T) {
	s := start(t, "--retain", "30d")
	old := fmt.Sprintf(`{"session_id":"s","category":"c","name":"n","data":{},"timestamp":%q}`, time.Now().UTC().AddDate(0, -2, 0).Format(time.RFC3339))
	a := s.call("POST", "/v1/events?wait=stored", s.write, old)
	s.must(a, 201)
	if a.text("accepted") != "1" {
		t.Errorf("answered %s", a.body)
	}
	book := func() map[string]any {
		return s.call("GET", "/v1/books", s.read, "").json()["apps"].([]any)[0].(map[string]any)
	}
	if b := book(); fmt.Sprint(b["expired"]) != "1" || b["balanced"] != true {
		t.Errorf("the books say %v", b)
	}
	s.must(s.call("PATCH", "/v1/apps/shop", s.admin, `{"retain":"soon"}`), 422)
	s.must(s.call("PATCH", "/v1/apps/shop", s.admin, `{"retain":"1s"}`), 422)
	s.must(s.call("PATCH", "/v1/apps/shop", s.admin, `{"retain":"365d"}`), 200)
	if got := s.call("GET", "/v1/apps/shop", s.admin, "").text("retain"); got != "365d" {
		t.Errorf("retain is %q", got)
	}
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, old), 201)
	if b := book(); fmt.Sprint(b["expired"]) != "1" || fmt.Sprint(b["stored"]) != "1" || b["balanced"] != true {
		t.Errorf("the books say %v", b)
	}
}
