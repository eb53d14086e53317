package test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// hostileKeys are texts that are no keys: some of them made of keys.
func hostileKeys(keys ...string) []string {
	list := []string{
		"", "\x00", "-", "*", "%", "%00", "%0a", "null", "undefined", "true", "0", "-1", "NaN", "[]", "{}", `""`, "admin", "root", "server", "password",
		"../../admin.key", "/etc/passwd", "' OR 1=1 --", `"; DROP TABLE keys; --`, "${jndi:ldap://example.com/a}", "{{7*7}}", "$(id)", "`id`", "<script>alert(1)</script>", "\x1b[31mred\x1b[0m",
		"eye", "eye_", "eye_a", "eye_a_", "eye_a__", "eye_w_" + strings.Repeat("0", 43) + "_000000", "eye_r_" + strings.Repeat("z", 43) + "_zzzzzz", "eye_a_" + strings.Repeat("A", 50),
		"eye_a_" + strings.Repeat("é", 43) + "_123456", strings.Repeat("eye_a_", 1000), strings.Repeat("_", 500), strings.Repeat("a", 20<<10), strings.Repeat("é", 10<<10), strings.Repeat("\x00", 300),
		"\xff\xfe", "\xc0\x80", "\xed\xa0\x80", "\u0085", "\u009b31m", "\u200b", "\u202e", "\ufeff", "\U0001f511", "a\rb", "a\nb", "a\r\nX-Key: b", "a\tb", "a:b", "a,b", "a;b", "a=b",
		"Bearer", "Bearer Bearer", "Basic YTpi", base64.StdEncoding.EncodeToString([]byte("a:b")),
	}
	for _, key := range keys {
		digest := sha256.Sum256([]byte(key))
		other := func(at int) string { // the key with another character
			c := "0"
			if key[at:at+1] == c {
				c = "1"
			}
			return key[:at] + c + key[at+1:]
		}
		for _, n := range []int{7, 20, 48, 49, 50, len(key) - 1} {
			list = append(list, key[:n])
		}
		list = append(list,
			key[1:], other(len(key)-1), other(10), key+key, key+" "+key, key+", "+key, key+","+key, key+";"+key, key+"x", "x"+key, key+"_000000",
			key+"\x00", "\x00"+key, key[:20]+"\x00"+key[20:], key[:20]+"\x00"+key[21:], key+"\r", key+"\n", key+"\nX", key+"\xff", "\xc0\x80"+key, key+"\u00a0", "\u2003"+key, key+"\u0085", key+"\u202e",
			"\ufeff"+key, key[:9]+"\u200d"+key[9:], strings.Replace(key, "e", "\u0435", 1), strings.Replace(key, "eye", "\uff45\uff59\uff45", 1), key+"\u0301",
			strings.ToUpper(key), strings.ToLower(key), strings.Replace(key, "eye", "Eye", 1), strings.ReplaceAll(key, "_", "-"), strings.ReplaceAll(key, "_", "__"), "eye_x"+key[5:], "eye_A"+key[5:],
			"%65"+key[1:], url.QueryEscape("%65"+key[1:]), `"`+key+`"`, "<"+key+">", "'"+key+"'", "Bearer "+key, "key="+key, key+"/..", key+"?", key+"#", key+strings.Repeat("0", 1000),
			hex.EncodeToString(digest[:]), base64.StdEncoding.EncodeToString([]byte(key)), hex.EncodeToString([]byte(key)), string(digest[:]),
		)
	}
	return list
}

// Texts that are no keys, wherever a key may be given or looked for, open nothing, break
// nothing and are not written down.
func TestHostileKeys(t *testing.T) {
	t.Parallel()
	s := start(t, "--log-level", "debug")
	revoked := s.call("POST", "/v1/apps/shop/keys", s.admin, `{"kind":"write"}`)
	s.must(s.call("DELETE", "/v1/apps/shop/keys/"+revoked.text("key_id"), s.admin, ""), 204)
	expired := s.keyWith("write", map[string]any{"expires_at": time.Now().Add(5 * time.Second).Format(time.RFC3339Nano)}).text("key")
	s.eventually("the key to expire", func() bool { return s.call("POST", "/v1/events", expired, "[]").status == 401 })
	acts := len(s.trail(""))
	keys := []string{s.write, s.read, s.admin}
	hostile := append(hostileKeys(keys...), revoked.text("key"), expired)
	slices.Sort(hostile)
	if hostile = slices.Compact(hostile); len(hostile) < 200 {
		t.Errorf("only %d texts", len(hostile))
	}
	address := strings.TrimPrefix(s.url, "http://")
	requests := 0
	for _, x := range hostile {
		basic := base64.StdEncoding.EncodeToString([]byte(strings.ReplaceAll(x, ":", "") + ":"))
		for _, place := range []struct{ name, query, header string }{
			{"Bearer", "", "Authorization: Bearer " + x + "\r\n"},
			{"Basic", "", "Authorization: Basic " + basic + "\r\n"},
			{"another scheme", "", "Authorization: Token " + x + "\r\n"},
			{"no scheme", "", "Authorization: " + x + "\r\n"},
			{"a parameter", "?key=" + url.QueryEscape(x), ""},
			{"a cookie", "", "Cookie: key=" + x + "; session=" + x + "\r\n"},
			{"two headers", "", "Authorization: Bearer " + x + "\r\nAuthorization: Basic " + basic + "\r\n"},
			{"before a key", "", "Authorization: Bearer " + x + "\r\nAuthorization: Bearer " + s.admin + "\r\n"},
			{"behind a key", "", "Authorization: Bearer " + s.admin + "\r\nAuthorization: Bearer " + x + "\r\n"},
		} {
			switch {
			case strings.Contains(x, "\n") && strings.Contains(place.header, x):
				continue // no part of a header
			case place.name == "no scheme" && strings.HasPrefix(x, "Bearer "):
				continue // a key as it should be given
			}
			for _, line := range []string{"POST /v1/events", "GET /v1/apps"} {
				requests++
				text := fmt.Sprintf("%s%s HTTP/1.1\r\nHost: eye\r\n%sConnection: close\r\nContent-Length: %d\r\n\r\n%s", line, place.query, place.header, len(fine), fine)
				if got := exchange(t, "tcp", address, text); got != "400" && got != "401" && got != "403" {
					t.Errorf("%s, %.80q as %s: answered %q", line, x, place.name, got)
				}
			}
		}
	}
	t.Logf("%d texts, %d requests", len(hostile), requests)

	entries := slices.DeleteFunc(s.trail(""), func(e map[string]any) bool { return e["act"] == "refusedKeys" }) // a sum, now and then
	if len(entries) != acts {
		t.Errorf("the audit log has %d entries, want %d", len(entries), acts)
	}
	s.counts(0)
	shown := s.output.String() + string(s.call("GET", "/v1/unreadable?limit=1000", s.admin, "").body) + string(s.call("GET", "/metrics", s.admin, "").body)
	for _, x := range hostile {
		if len(x) < 16 {
			continue
		}
		escaped, err := json.Marshal(strings.ToValidUTF8(x, "\ufffd"))
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range []string{x, strings.Trim(string(escaped), `"`), url.QueryEscape(x)} {
			if i := strings.Index(shown, form); i >= 0 {
				t.Errorf("%.80q is written down: …%.200q", x, shown[max(0, i-80):])
			}
		}
	}
	for _, key := range keys {
		if strings.Contains(shown, key[6:49]) {
			t.Errorf("the secret of %s… is written down", key[:6])
		}
	}
}
