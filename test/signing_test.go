package test

import (
	"bytes"
	"compress/gzip"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"
)

// signature is what the Standard Webhooks specification says, written anew here.
func signature(t *testing.T, secret, id string, at int64, body []byte) string {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || !strings.HasPrefix(secret, "whsec_") || len(key) != sha256.Size {
		t.Fatalf("%q is no secret of a key: %v", secret, err)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.", id, at)
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// signer sends signed requests with a key of shop.
type signer struct {
	*server
	key, secret string
}

func (s *server) signer() signer {
	s.t.Helper()
	a := s.keyWith("write", map[string]any{"signing": true})
	return signer{s, a.text("key"), a.text("signing_secret")}
}

// send sends a body signed now; header pairs are set last.
func (s signer) send(id string, body []byte, header ...string) reply {
	s.t.Helper()
	now := time.Now().Unix()
	a, err := s.try("POST", "/v1/events?wait=stored", s.key, body, append([]string{
		"webhook-id", id, "webhook-timestamp", fmt.Sprint(now), "webhook-signature", signature(s.t, s.secret, id, now, body),
	}, header...)...)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// What is not signed as it should be is refused, and leaves nothing behind.
func TestSignedRequests(t *testing.T) {
	t.Parallel()
	s := start(t, "--max-request-bytes", "2000", "--max-event-bytes", "1000")
	k := s.signer()
	other := s.signer()
	body, now := []byte(fine), time.Now().Unix()
	sign := func(at int64) string { return signature(t, k.secret, "m1", at, body) }
	for name, header := range map[string][]string{
		"another body":       {"webhook-signature", signature(t, k.secret, "m1", now, []byte(fine+" "))},
		"another id":         {"webhook-id", "m2"},
		"another time":       {"webhook-timestamp", fmt.Sprint(now - 1)},
		"another key":        {"webhook-signature", signature(t, other.secret, "m1", now, body)},
		"too old":            {"webhook-timestamp", fmt.Sprint(now - 310), "webhook-signature", sign(now - 310)},
		"too new":            {"webhook-timestamp", fmt.Sprint(now + 310), "webhook-signature", sign(now + 310)},
		"no id":              {"webhook-id", ""},
		"no time":            {"webhook-timestamp", ""},
		"no signature":       {"webhook-signature", ""},
		"no number":          {"webhook-timestamp", "now"},
		"milliseconds":       {"webhook-timestamp", fmt.Sprint(now * 1000)},
		"another version":    {"webhook-signature", "v2," + strings.TrimPrefix(sign(now), "v1,")},
		"cut":                {"webhook-signature", sign(now)[:20]},
		"nothing but commas": {"webhook-signature", "v1, ,v1 v1"},
		"id too long":        {"webhook-id", strings.Repeat("x", 201)},
	} {
		a := k.sendSigned(now, "m1", body, header...)
		if a.status != 401 || !strings.Contains(a.text("detail"), "must be signed") || a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	s.must(s.call("POST", "/v1/events", k.key, fine), 401)                       // not signed at all
	s.must(s.call("POST", "/v1/events", k.key, "{", "Content-Type", "x/y"), 401) // and not kept as unreadable
	s.must(s.call("POST", "/v1/events", k.key, strings.Repeat("x", 3000)), 413)
	s.must(k.send("m1", body, "Idempotency-Key", "m2"), 400)

	// Near its bound a time is taken, and one right signature among several is enough.
	old := now - 280
	a := k.sendSigned(now, "m1", body, "webhook-timestamp", fmt.Sprint(old), "webhook-signature", "v1a,xyz v1,AAAA "+sign(old)+" v1,BBBB")
	s.must(a, 201)
	s.balanced(1)
	// With a right signature, what cannot be read is kept as for any other key.
	s.must(k.send("m3", []byte("{")), 400)
	s.eventually("it to be kept", func() bool { return len(s.rejections("code=invalid_json")) == 1 })
	s.balanced(2)
}

// sendSigned sends with headers that replace the right ones.
func (s signer) sendSigned(at int64, id string, body []byte, header ...string) reply {
	s.t.Helper()
	return s.send(id, body, append([]string{
		"webhook-timestamp", fmt.Sprint(at), "webhook-signature", signature(s.t, s.secret, id, at, body),
	}, header...)...)
}

// The body is signed as it is sent: packed, and before it is read as events.
func TestSignedAsSent(t *testing.T) {
	t.Parallel()
	s := start(t)
	k := s.signer()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte("[" + fine + "," + fine + "]"))
	_ = z.Close()
	a := k.send("m1", packed.Bytes(), "Content-Encoding", "gzip")
	s.must(a, 201)
	s.must(k.sendSigned(time.Now().Unix(), "m2", packed.Bytes(), "Content-Encoding", "gzip", "webhook-signature",
		signature(t, k.secret, "m2", time.Now().Unix(), []byte("["+fine+","+fine+"]"))), 401)
	s.balanced(2)
}

// Sending again is always safe (P3): the id of a signed request is the
// idempotency key, so that whoever sends it again, its sender after a time-out or
// someone who saw it pass, stores nothing twice, also across a restart. What was
// refused is taken when it is sent again.
func TestSendingASignedRequestAgainStoresNothingTwice(t *testing.T) {
	t.Parallel()
	s := start(t)
	k := s.signer()
	body := []byte("[" + fine + "," + strings.Replace(fine, `"n"`, `"m"`, 1) + "]")
	now := time.Now().Unix()
	wrong := k.sendSigned(now, "m1", body, "webhook-signature", "v1,wrong")
	s.must(wrong, 401)
	first := k.sendSigned(now, "m1", body)
	s.must(first, 201)
	if first.text("accepted") != "2" {
		t.Errorf("%s", first.body)
	}
	again := k.sendSigned(now, "m1", body) // byte for byte
	s.must(again, 201)
	later := k.sendSigned(now+1, "m1", body) // signed anew
	s.must(later, 201)
	s.kill()
	s.launch()
	k.server = s
	restarted := k.sendSigned(now, "m1", body)
	for _, a := range []reply{again, later, restarted} {
		if a.text("duplicates") != "2" || a.text("accepted") != "0" {
			t.Errorf("sent again: %s", a.body)
		}
	}
	other := k.send("m1", []byte(strings.Replace(fine, `"n"`, `"k"`, 1))) // another body under the same id
	s.must(other, 422)
	if !strings.Contains(string(other.body), "id_conflict") {
		t.Errorf("%s", other.body)
	}
	if a := k.send("m2", body); a.text("accepted") != "2" { // the same body under another id is other events
		t.Errorf("%s", a.body)
	}
	a := s.call("GET", "/v1/count", s.read, "")
	if a.text("count") != "4" {
		t.Errorf("%s events, want 4", a.text("count"))
	}
}
