package test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// The first place to look when nothing arrives tells why, and never shows a key.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	s := start(t)
	made := s.call("POST", "/v1/apps/shop/keys", s.admin, `{"kind":"write"}`)
	revoked := made.text("key")
	s.must(s.call("DELETE", "/v1/apps/shop/keys/"+made.text("key_id"), s.admin, ""), 204)
	everyone := s.call("POST", "/v1/keys", s.admin, `{"kind":"read"}`).text("key")
	unknown := strings.ToLower(s.write)

	body := `{"hello":"` + s.write + `"}`
	secret := []string{"Cookie", "secret-cookie", "Webhook-Signature", "secret-signature", "Webhook-Id", "msg_1", "User-Agent", "tester " + s.write}
	s.must(s.call("POST", "/v1/events", "", body, append(secret, "Authorization", "Token abc")...), 401)
	s.must(s.call("POST", "/v1/events", "", body), 401)
	s.must(s.call("POST", "/v1/events", unknown, body, secret...), 401)
	s.must(s.call("POST", "/v1/events?key="+unknown, "", body), 401)
	s.must(s.call("POST", "/v1/events", "", body, "Authorization", "Basic "+basic(unknown)), 401)
	s.must(s.call("POST", "/v1/events", revoked, body), 401)
	s.must(s.call("POST", "/v1/events", s.read, body), 403)
	s.must(s.call("POST", "/v1/events", everyone, body), 403)
	s.must(s.call("POST", "/v1/events", s.admin, body), 403)
	s.must(s.call("POST", "/v1/events?wait=yes", s.write, body), 400)
	browser := s.call("POST", "/v1/apps/shop/keys", s.admin, `{"kind":"write","origins":["https://shop.example.com"]}`).text("key")
	s.must(s.call("POST", "/v1/events", browser, body, "Origin", "https://shop.example.com.evil.com"), 403)
	signed := s.call("POST", "/v1/apps/shop/keys", s.admin, `{"kind":"write","signing":true}`).text("key")
	s.must(s.call("POST", "/v1/events", signed, body, secret...), 401)
	end := time.Now().Add(5 * time.Second)
	brief := s.call("POST", "/v1/apps/shop/keys", s.admin, fmt.Sprintf(`{"kind":"write","expires_at":%q}`, end.UTC().Format(time.RFC3339Nano))).text("key")
	s.eventually("the key to expire", func() bool { return time.Now().After(end) })
	s.must(s.call("POST", "/v1/events", brief, body), 401)
	s.must(s.call("PATCH", "/v1/apps/shop", s.admin, `{"rate":1}`), 200)
	s.must(s.call("POST", "/v1/events", s.write, many("s", 100)), 202)
	s.must(s.call("POST", "/v1/events", s.write, body), 429)
	s.must(s.call("PATCH", "/v1/apps/shop", s.admin, `{"rate":0}`), 200)

	a := s.call("GET", "/v1/unreadable", s.admin, "")
	s.must(a, 200)
	counts := map[string]string{}
	for _, g := range a.json()["groups"].([]any) {
		group := g.(map[string]any)
		counts[fmt.Sprint(group["app"], " ", group["reason"])] = fmt.Sprint(group["count"])
	}
	want := map[string]string{
		"<nil> no_key": "2", "<nil> unknown_key": "3", "shop revoked_key": "1", "shop wrong_kind": "1",
		"<nil> wrong_kind": "2", "shop bad_request": "1", "shop over_rate": "1",
		"shop wrong_origin": "1", "shop bad_signature": "1", "shop expired_key": "1",
	}
	if fmt.Sprint(counts) != fmt.Sprint(want) {
		t.Errorf("counted are %v, want %v", counts, want)
	}
	for _, secret := range []string{"secret-", s.write[6:30], unknown[6:30], revoked[6:30], s.read[6:30], s.admin[6:30], browser[6:30], signed[6:30], brief[6:30]} {
		if strings.Contains(string(a.body), secret) {
			t.Errorf("%s is shown in %s", secret, a.body)
		}
	}
	requests := a.json()["requests"].([]any)
	newest, oldest := requests[0].(map[string]any), requests[len(requests)-1].(map[string]any)
	if newest["reason"] != "over_rate" || newest["body"] != nil || fmt.Sprint(newest["status"]) != "429" {
		t.Errorf("the newest is %v", newest)
	}
	if oldest["key_in"] != "other" || oldest["body"] != `{"hello":"[key]"}` || oldest["remote"] != "127.0.0.1" || oldest["path"] != "/v1/events" {
		t.Errorf("the oldest is %v", oldest)
	}
	if headers := oldest["headers"].(map[string]any); headers["User-Agent"] != "tester [key]" || headers["Webhook-Id"] != "msg_1" || headers["Cookie"] != nil {
		t.Errorf("of the headers are shown %v", headers)
	}

	// It is paged, filtered and counted.
	seen := 0
	for cursor := ""; ; {
		a := s.call("GET", "/v1/unreadable?limit=4"+cursor, s.admin, "")
		s.must(a, 200)
		seen += len(a.json()["requests"].([]any))
		if a.json()["next_cursor"] == nil {
			break
		}
		cursor = "&cursor=" + a.text("next_cursor")
	}
	if seen != len(requests) || seen != 14 {
		t.Errorf("%d requests are seen page by page, %d at once", seen, len(requests))
	}
	if got := s.call("GET", "/v1/unreadable?app=shop&reason=wrong_kind", s.admin, "").json()["requests"].([]any); len(got) != 1 || got[0].(map[string]any)["key_id"] == nil {
		t.Errorf("a read key that was sent to the intake is shown as %v", got)
	}
	if a := s.call("GET", "/metrics", s.admin, ""); !strings.Contains(string(a.body), `eye_intake_unreadable_total{app="shop",reason="revoked_key"} 1`) {
		t.Error("/metrics does not count it")
	}
	s.must(s.call("GET", "/v1/unreadable", s.read, ""), 403)
	if code, out := runEye(t, nil, "unreadable", "--data", s.data, "--reason", "revoked_key"); code != 0 || strings.Count(out, "revoked_key") != 2 {
		t.Errorf("eye unreadable printed %s", out)
	}

	// What cannot be read and came with a valid key is a rejection instead.
	s.must(s.call("POST", "/v1/events", s.write, "no JSON"), 400)
	s.must(s.call("POST", "/v1/events", s.write, "x", "Content-Type", "image/png"), 415)
	if got := len(s.call("GET", "/v1/unreadable", s.admin, "").json()["requests"].([]any)); got != seen {
		t.Errorf("%d are in the rings, want %d", got, seen)
	}
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, fine), 201)
	if got := len(s.call("GET", "/v1/rejections", s.read, "").json()["rejections"].([]any)); got != 2 {
		t.Errorf("%d are rejections, want 2", got)
	}
	s.balanced(103)
}

// Who has no key is answered soon, whatever of the body comes, and cannot hold a
// connection, nor memory.
func TestUnreadableCannotHold(t *testing.T) {
	t.Parallel()
	s := start(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Minute))
	control, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	const begun = "Content-Length: 100000\r\n\r\n[beginning"
	fmt.Fprintf(control, "POST /v1/events HTTP/1.1\r\nHost: eye\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\n"+begun, s.write)
	fmt.Fprintf(conn, "POST /v1/events HTTP/1.1\r\nHost: eye\r\n"+begun)
	b := make([]byte, 12)
	if _, err := io.ReadFull(conn, b); err != nil || string(b) != "HTTP/1.1 401" {
		t.Fatalf("answered %q, %v", b, err)
	}
	if _, err := io.ReadAll(conn); err != nil {
		t.Errorf("the connection was held: %v", err)
	}
	_ = control.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) // one with a key waits 60 s for its body, thirty times as long
	if n, err := control.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the one with a key was answered before: %q, %v", b[:n], err)
	}
	requests := s.call("GET", "/v1/unreadable", s.admin, "").json()["requests"].([]any)
	if len(requests) != 1 || requests[0].(map[string]any)["body"] != "[beginning" {
		t.Errorf("kept are %v", requests)
	}

	before := s.memory()
	body := strings.Repeat("x", 5000)
	for range 3000 {
		s.must(s.call("POST", "/v1/events", "", body), 401)
	}
	if grown := s.memory() - before; grown > 24<<20 {
		t.Errorf("the memory grew by %d MiB", grown>>20)
	}
	if got := len(s.call("GET", "/v1/unreadable?limit=1000", s.admin, "").json()["requests"].([]any)); got != 100 {
		t.Errorf("%d requests are kept", got)
	}
}
