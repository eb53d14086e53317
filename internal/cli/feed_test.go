package cli

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theeye/internal/event"
	"theeye/internal/feed"
	"theeye/internal/store"
)

// signWebhook returns the signature of a request, as the specification describes it.
func signWebhook(secret []byte, id, timestamp string, body []byte) string {
	sum := hmac.New(sha256.New, secret)
	_, _ = sum.Write([]byte(id + "." + timestamp + "."))
	_, _ = sum.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(sum.Sum(nil))
}

// The example of https://github.com/standard-webhooks/standard-webhooks.
func TestSignWebhook(t *testing.T) {
	secret, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := signWebhook(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// feedPosition returns the nth position of a feed.
func feedPosition(n int) string {
	return feed.Position{Place: store.FeedPlace{CarriedBy: 1, Position: event.Position{Frame: 1, Index: uint32(n)}}, Timeline: "t"}.String()
}

// feedServer has a feed of some items, and answers with at most limit of them. It is closed at the
// end of the test.
func feedServer(t *testing.T, items, limit int) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		after := r.URL.Query().Get("after")
		if after == fromNow {
			after = feedPosition(items)
		}
		var list []string
		next := after
		for n := 1; n <= items && len(list) < limit; n++ {
			if p := feedPosition(n); p > after {
				next = p
				list = append(list, fmt.Sprintf(`{"position":%q,"app":"shop","kind":"event","event":{"id":"%d"}}`, p, n))
			}
		}
		_, _ = fmt.Fprintf(w, `{"items":[%s],"next":%q}`, strings.Join(list, ","), next)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// follow runs `eye feed --once` and returns what it printed.
func follow(t *testing.T, url, file string, flags ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(append([]string{"feed", "--once", "--url", url, "--key", "x", "--after", file}, flags...), nil, &o, &e)
	return code, o.String(), e.String()
}

// saved returns the content of a file, "" if there is none.
func saved(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func TestFeedToOutput(t *testing.T) {
	url, file := feedServer(t, 5, 2), filepath.Join(t.TempDir(), "position")
	code, out, errOut := follow(t, url, file)
	if code != 0 || strings.Count(out, "\n") != 5 || errOut != "" || saved(t, file) != feedPosition(5) {
		t.Errorf("%d, position %s: %s%s", code, saved(t, file), out, errOut)
	}
	if code, out, errOut = follow(t, url, file); code != 0 || out+errOut != "" {
		t.Errorf("again: %d %s%s", code, out, errOut)
	}
	now := file + "-now"
	if code, out, errOut = follow(t, url, now, "--from", "now"); code != 0 || out+errOut != "" || saved(t, now) != feedPosition(5) {
		t.Errorf("from now: %d %s%s", code, out, errOut)
	}
	if err := os.WriteFile(now, []byte(feedPosition(4)), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errOut = follow(t, url, now, "--from", "now"); code != 0 || strings.Count(out, "\n") != 1 || errOut != "" {
		t.Errorf("from now, with a position: %d %s%s", code, out, errOut)
	}
}

// A failing command leaves the position where it was.
func TestFeedExec(t *testing.T) {
	dir := t.TempDir()
	url, file := feedServer(t, 5, 2), filepath.Join(dir, "position")
	code, _, errOut := follow(t, url, file, "--exec", "cat >> "+dir+"/copy; test $(wc -l < "+dir+"/copy) -lt 4")
	if code != exitFailed || !strings.Contains(errOut, "was not saved") || saved(t, file) != feedPosition(2) {
		t.Errorf("%d, position %s: %s", code, saved(t, file), errOut)
	}
	code, out, errOut := follow(t, url, file, "--exec", "cat")
	if code != 0 || strings.Count(out, "\n") != 3 || errOut != "" || saved(t, file) != feedPosition(5) {
		t.Errorf("%d, position %s: %s%s", code, saved(t, file), out, errOut)
	}
}

func TestFeedRefuses(t *testing.T) {
	url, dir := feedServer(t, 1, 1), t.TempDir()
	file := filepath.Join(dir, "position")
	secret := filepath.Join(dir, "secret")
	wrong := filepath.Join(dir, "wrong")
	if err := os.WriteFile(wrong, []byte("whsec_c2hvcnQ=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(webhookSecretEnv, "")
	for _, tc := range []struct {
		name string
		line []string
		code int
		want string
	}{
		{"no file", nil, exitUsage, "--after is missing"},
		{"a position", []string{"--after", feedPosition(1)}, exitUsage, "takes a file"},
		{"a file that is not one", []string{"--after", wrong}, exitFailed, "does not hold a position"},
		{"no folder", []string{"--after", dir + "/none/position"}, exitFailed, "does not exist"},
		{"two targets", []string{"--after", file, "--exec", "cat", "--to", "http://a"}, exitUsage, "exclude each other"},
		{"a secret without a target", []string{"--after", file, "--secret-file", secret}, exitUsage, "applies to --to only"},
		{"a target that is not a URL", []string{"--after", file, "--to", "2026-01-01"}, exitUsage, "not the URL"},
		{"no secret", []string{"--after", file, "--to", "http://a"}, exitUsage, "openssl rand -base64 32"},
		{"no secret in the file", []string{"--after", file, "--to", "http://a", "--secret-file", secret}, exitFailed, "no such file"},
		{"a secret that is short", []string{"--after", file, "--to", "http://a", "--secret-file", wrong}, exitUsage, "24 to 64 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			code := run(append([]string{"feed", "--once", "--url", url, "--key", "x"}, tc.line...), nil, &out, &errOut)
			if got := errOut.String(); code != tc.code || !strings.Contains(got, tc.want) || strings.Contains(got, "c2hvcnQ") {
				t.Errorf("%d: %s", code, got)
			}
		})
	}
	lock, err := lockFile(file, "in use by another `eye feed`")
	if err != nil {
		t.Fatal(err)
	}
	if code, _, errOut := follow(t, url, file); code != exitFailed || !strings.Contains(errOut, "is in use by another") {
		t.Errorf("%d: %s", code, errOut)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if code, _, errOut := follow(t, url, file); code != 0 {
		t.Errorf("%d: %s", code, errOut)
	}
}

// A position that the server no longer has ends the feed, and says how to go on.
func TestFeedGone(t *testing.T) {
	common := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusGone)
		_, _ = fmt.Fprintf(w, `{"title":"Gone","status":410,"code":"position_gone","detail":"d","common":%q}`, common)
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "position")
	if err := os.WriteFile(file, []byte(feedPosition(3)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ common, want string }{
		{feedPosition(2), "whose position is greater, write common to the file with `echo " + feedPosition(2) + " > " + file + "`"},
		{"", "delete all of it, remove " + file},
	} {
		common = tc.common
		code, out, errOut := follow(t, server.URL, file)
		if code != exitFailed || out != "" || !strings.Contains(errOut, tc.want) || !strings.Contains(errOut, tc.common) || saved(t, file) != feedPosition(3) {
			t.Errorf("%d: %s", code, errOut)
		}
	}
}

// What a receiver does not accept is posted again with the same id; a redirect is not followed, and
// 410 ends the feed.
func TestFeedToReceiver(t *testing.T) {
	t.Setenv(webhookSecretEnv, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	secret, _ := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	url, file := feedServer(t, 250, 250), filepath.Join(t.TempDir(), "position")
	answers := []int{500, 307, 204, 429, 200, 410}
	var paths, ids []string
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		id := r.Header.Get("Webhook-Id")
		if got := r.Header.Get("Webhook-Signature"); got != signWebhook(secret, id, r.Header.Get("Webhook-Timestamp"), body) {
			t.Errorf("signature %s", got)
		}
		if n := strings.Count(string(body), `"position"`); n > maxWebhookItems {
			t.Errorf("%d items", n)
		}
		paths, ids = append(paths, r.Method+" "+r.URL.Path), append(ids, id)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(answers[len(ids)-1])
	}))
	defer receiver.Close()
	code, _, errOut := follow(t, url, file, "--to", receiver.URL+"/hook?token=hidden")
	if code != exitFailed || saved(t, file) != feedPosition(200) || strings.Contains(errOut, "hidden") || !strings.Contains(errOut, "answered 410 Gone: the receiver wants no more items, so the feed has ended before 50 items that it did not accept") ||
		!strings.Contains(errOut, "remove "+file) || strings.Count(errOut, "; trying again\n") != 3 || strings.Count(errOut, " accepts items again\n") != 2 || strings.Count(errOut, "\n") != 6 {
		t.Errorf("%d, position %s: %s", code, saved(t, file), errOut)
	}
	if len(ids) != 6 || ids[0] != ids[1] || ids[1] != ids[2] || ids[3] != ids[4] || ids[2] == ids[3] || ids[4] == ids[5] {
		t.Errorf("ids %q", ids)
	}
	if want := slices.Repeat([]string{"POST /hook"}, 6); !slices.Equal(paths, want) {
		t.Error(cmp.Diff(want, paths))
	}
}
