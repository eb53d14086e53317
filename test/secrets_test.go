package test

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Keys of every kind, in every place where one may be given or put by mistake, are
// afterwards neither in the log, nor in an answer, nor in a metric, nor in a
// backup, nor on disk but for admin.key.
func TestSecretsAreNowhere(t *testing.T) {
	t.Parallel()
	s := &asked{server: start(t, "--log-level", "debug", "--flush-age", "1s")}
	signing := s.call("POST", "/v1/apps/shop/keys", s.admin, `{"kind":"write","signing":true}`)
	made := s.call("POST", "/v1/apps/shop/keys", s.admin, `{"kind":"write"}`)
	revoked := made.text("key")
	s.must(s.call("DELETE", "/v1/apps/shop/keys/"+made.text("key_id"), s.admin, ""), 204)
	planted := map[string]string{
		"a signer's":    signing.text("key"),
		"a signature's": signing.text("signing_secret"),
		"write":         s.write, "read": s.read, "admin": s.admin, "revoked": revoked,
		"everyone's":      s.call("POST", "/v1/keys", s.admin, `{"kind":"read"}`).text("key"),
		"another admin's": s.call("POST", "/v1/keys", s.admin, `{"kind":"admin"}`).text("key"),
		"wrong":           "eye_w_" + strings.Repeat("wr0Ng", 8) + "abc_abcdef",
	}
	event := fine
	for _, key := range planted {
		s.ask("POST", "/v1/events", key, event)
		s.ask("POST", "/v1/events?wait=stored&key="+key, "", event)
		s.ask("POST", "/v1/events", "", event, "Authorization", "Basic "+basic(key))
		s.ask("POST", "/v1/events", "", "no JSON", "Authorization", "Bearer  "+key)
		s.ask("POST", "/v1/events?token="+key, key, event)
		s.ask("POST", "/v1/events", "", event, "Authorization", "Token "+key, "Cookie", "key="+key, "User-Agent", key, "X-Forwarded-For", key)
		s.ask("POST", "/v1/events", "", event, "Content-Type", "application/"+key, "Content-Encoding", key, "Origin", "https://"+key)
		s.ask("POST", "/v1/events?wait=stored", s.write, "x", "Content-Type", "application/"+key)
		s.ask("POST", "/v1/events?wait=stored", s.write, "x", "Content-Encoding", key)
		for _, path := range []string{"/v1/events", "/v1/apps", "/v1/books", "/v1/audit", "/metrics", "/v1/export?format=" + key, "/" + key, "/v1/events?key=" + key, "/v1/audit?act=" + key, "/v1/unreadable?" + key + "=1"} {
			s.ask("GET", path, key, "")
			s.ask("GET", path, "", "", "Authorization", "Basic "+basic(key))
		}
		s.ask("DELETE", "/v1/apps/shop/keys/"+key, s.admin, "")
		s.ask("DELETE", "/v1/keys/"+key, key, "")
		s.ask("GET", "/v1/apps/"+key, s.admin, "")
		s.ask("POST", "/v1/apps", s.admin, `{"app":"`+key+`"}`)
		s.ask("POST", "/v1/apps/shop/keys", s.admin, `{"kind":"`+key+`"}`)
	}
	for _, path := range []string{"/v1/unreadable?limit=1000", "/v1/audit?limit=1000", "/v1/keys", "/v1/apps/shop/keys", "/metrics", "/v1/rejections?limit=1000", "/v1/books"} {
		s.ask("GET", path, s.admin, "")
	}
	backup := filepath.Join(t.TempDir(), "backup")
	if code, out := runEye(t, nil, "backup", backup, "--data", s.data); code != 0 {
		t.Fatal(out)
	}
	s.eventually("a segment to be written", func() bool {
		found, _ := filepath.Glob(filepath.Join(s.data, "store", "segments", "*.duckdb"))
		return len(found) > 0
	})
	s.kill() // what is in files then has to be enough for a start, and must not be more
	s.look(planted, backup)
	s.launch()
	s.shutDown()
	s.look(planted, backup)
}

// asked keeps every answer.
type asked struct {
	*server
	answers bytes.Buffer
}

func (s *asked) ask(method, path, key, body string, header ...string) {
	s.t.Helper()
	a, err := s.try(method, path, key, []byte(body), header...)
	if err != nil {
		s.t.Fatal(err)
	}
	fmt.Fprintf(&s.answers, "%s %s: %d %v\n%s\n", method, "…", a.status, a.header, a.body)
}

func (s *asked) look(planted map[string]string, backup string) {
	s.t.Helper()
	for name, key := range planted {
		parts := strings.Split(key, "_")
		random := []byte(parts[min(2, len(parts)-1)]) // without what all keys have
		where := func(what string, content []byte) {
			if i := bytes.Index(content, random); i >= 0 {
				s.t.Errorf("the %s key is in %s: …%q…", name, what, content[max(0, i-200):min(len(content), i+60)])
			}
		}
		where("an answer", s.answers.Bytes())
		for line := range strings.Lines(s.output.String()) {
			if strings.HasPrefix(line, "{") { // the rest is the standard output, which shows keys once
				where("the log", []byte(line))
			}
		}
		for _, dir := range []string{s.data, backup} {
			_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.Type().IsRegular() && path != filepath.Join(s.data, "admin.key") {
					f, err := os.Open(path)
					if err != nil {
						return nil // it was replaced meanwhile
					}
					defer f.Close()
					content, _ := io.ReadAll(f)
					where(path, content)
				}
				return nil
			})
		}
	}
}
