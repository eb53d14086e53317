package test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// trail returns the entries of the audit log that a query selects, the last first.
func (s *server) trail(query string) []map[string]any {
	s.t.Helper()
	a := s.call("GET", "/v1/audit?limit=1000"+query, s.admin, "")
	s.must(a, 200)
	var entries []map[string]any
	for _, e := range a.json()["entries"].([]any) {
		entries = append(entries, e.(map[string]any))
	}
	return entries
}

func actsOf(entries []map[string]any) string {
	var acts []string
	for _, e := range entries {
		acts = append(acts, fmt.Sprint(e["act"], " ", e["outcome"]))
	}
	return strings.Join(acts, ", ")
}

// What is administered is written down with who, what and how it ended, is there
// after a kill, and goes with a backup.
func TestAudit(t *testing.T) {
	t.Parallel()
	s := start(t, "--trusted-proxies", "127.0.0.0/8")
	if got, want := actsOf(s.trail("")), "createAppKey done, createAppKey done, createApp done, keepAdminKey done, firstStart done, beginTrail done"; got != want {
		t.Fatalf("after a start and three acts the trail is %s, want %s", got, want)
	}
	s.must(s.call("PATCH", "/v1/apps/shop", s.admin, `{"rate":7}`, "X-Forwarded-For", "198.51.100.4"), 200)
	e := s.trail("")[0]
	if e["act"] != "updateApp" || e["app"] != "shop" || e["key_id"] != s.trail("&act=keepAdminKey")[0]["detail"].(map[string]any)["key_id"] || e["remote"] != "198.51.100.4" || fmt.Sprint(e["status"]) != "200" {
		t.Errorf("a change of settings is written down as %v", e)
	}
	detail := e["detail"].(map[string]any)
	if before, after := detail["before"].(map[string]any), detail["after"].(map[string]any); fmt.Sprint(before["rate"], after["rate"]) != "0 7" {
		t.Errorf("what was changed is told as %v", detail)
	}
	s.must(s.call("PUT", "/v1/types/page%20interaction/page%2Fview", s.admin, `{"type":"object"}`), 200)
	e = s.trail("")[0]
	if got := fmt.Sprint(e["act"], " ", e["subject"], " ", e["detail"]); got != "putType map[category:page interaction name:page/view] map[version:1]" {
		t.Errorf("a schema is written down as %s", got)
	}
	s.must(s.call("DELETE", "/v1/apps/shop/keys/none", s.admin, ""), 404)
	s.must(s.call("POST", "/v1/apps", s.admin, `{`), 400)
	if got := actsOf(s.trail("")[:2]); got != "createApp refused, revokeAppKey refused" {
		t.Errorf("what was refused is written down as %s", got)
	}

	// An erasure does not tell which session it was.
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, about(mary, "2021-01-01T00:00:00Z", 1)), 201)
	s.must(s.call("DELETE", "/v1/sessions/"+mary, s.admin, ""), 200)
	a := s.call("GET", "/v1/audit?act=eraseSession", s.admin, "")
	if strings.Contains(string(a.body), mary) || !strings.Contains(string(a.body), `"events":1`) {
		t.Errorf("an erasure is written down as %s", a.body)
	}

	// Refused attempts are counted and summed up; reading is neither.
	n := len(s.trail(""))
	s.must(s.call("POST", "/v1/apps", s.read, `{"app":"x"}`), 403)
	s.must(s.call("POST", "/v1/apps", "", `{"app":"x"}`), 401)
	s.must(s.call("GET", "/v1/audit", s.read, ""), 403)
	s.eventually("the sum to be written", func() bool { return len(s.trail("&act=refusedKeys")) == 1 })
	if got := len(s.trail("")); got != n+1 {
		t.Errorf("%d entries, want %d", got, n+1)
	}
	a = s.call("GET", "/metrics", s.admin, "")
	for _, status := range []string{"401", "403"} {
		if !strings.Contains(string(a.body), `eye_http_answers_total{route="POST /v1/apps",status="`+status+`"} 1`) {
			t.Errorf("/metrics does not count the %s", status)
		}
	}
	for _, query := range []string{"limit=0", "cursor=x", "from=never", "sort=at", "act=", "app=a&app=b"} {
		s.must(s.call("GET", "/v1/audit?"+query, s.admin, ""), 400)
	}

	// Page by page it is the same.
	all, paged, cursor := s.trail(""), []string{}, ""
	for {
		a := s.call("GET", "/v1/audit?limit=2"+cursor, s.admin, "")
		s.must(a, 200)
		for _, e := range a.json()["entries"].([]any) {
			paged = append(paged, fmt.Sprint(e.(map[string]any)["id"]))
		}
		if a.json()["next_cursor"] == nil {
			break
		}
		cursor = "&cursor=" + a.text("next_cursor")
	}
	var ids []string
	for _, e := range all {
		ids = append(ids, fmt.Sprint(e["id"]))
	}
	if !slices.Equal(ids, paged) {
		t.Errorf("paged it is %v, want %v", paged, ids)
	}

	backup := filepath.Join(t.TempDir(), "backup")
	if code, out := runEye(t, nil, "backup", backup, "--data", s.data); code != 0 {
		t.Fatal(out)
	}
	before := actsOf(all)
	s.kill()
	s.launch()
	if got, want := actsOf(s.trail("")), "backupManifest done, "+before; got != want {
		t.Errorf("after a kill the trail is %s, want %s", got, want)
	}
	s.shutDown()
	data := filepath.Join(t.TempDir(), "data")
	if code, out := runEye(t, nil, "restore", backup, "--data", data); code != 0 {
		t.Fatal(out)
	}
	other := &server{t: t, data: data}
	other.launch()
	if got, want := actsOf(other.trail("")), "keepAdminKey done, rebuildMetadata done, restore done, backupManifest begun, "+before; got != want {
		t.Errorf("restored it is %s, want %s", got, want)
	}
	code, out := runEye(t, nil, "audit", "--data", data, "--act", "updateApp")
	if code != 0 || !strings.Contains(out, "198.51.100.4") || strings.Count(out, "\n") != 2 {
		t.Errorf("eye audit printed %s", out)
	}
}

// A full queue keeps nobody from administering, and from finding it written down.
func TestAuditOfAFullQueue(t *testing.T) {
	t.Parallel()
	s := start(t, "--queue-max-bytes", "1MiB")
	for s.call("POST", "/v1/events", s.write, many("s", 2000)).status == 202 {
	}
	s.must(s.call("PATCH", "/v1/apps/shop", s.admin, `{"rate":7}`), 200)
	if got := actsOf(s.trail("&app=shop")[:1]); got != "updateApp done" {
		t.Errorf("the trail is %s", got)
	}
}

// The trail has no text that stands in the wrong place of a request: it may name what is erased
// later.
func TestTheTrailHasNoTextInTheWrongPlace(t *testing.T) {
	t.Parallel()
	s := start(t)
	sent := 0
	send := func(method, path, body string) {
		t.Helper()
		s.call(method, path, s.admin, body)
		sent++
	}
	for _, body := range []string{
		`{"filter":{"where":"session_id ` + mary + `"}}`, `{"filter":{"from":"` + mary + `"}}`,
		`{"filter":{"` + mary + `":"x"}}`, `{"filter":{},"time_zone":"` + mary + `"}`, `{"` + mary + `":1}`,
		`{"filter":{},"patch":[{"op":"replace","path":"session_id/` + mary + `","value":1}]}`,
	} {
		send("POST", "/v1/rejections/replay", body)
	}
	for _, query := range []string{"apps=" + mary, mary + "=1", "app=" + mary, "erase=" + mary + "&app=shop"} {
		send("DELETE", "/v1/sessions/s?"+query, "")
	}
	send("DELETE", "/v1/apps/shop?erase="+mary, "")
	send("POST", "/v1/store/rescue", `{"file":"`+mary+`"}`)
	for _, query := range []string{"app=" + mary, "session_id%20" + mary + "=1", "where=" + mary} {
		send("GET", "/v1/export?"+query, "")
	}
	list := s.trail("")[:sent]
	for _, e := range list {
		if strings.Contains(fmt.Sprint(e), mary) {
			t.Errorf("it is written down as %v", e)
		}
	}
	if e := list[len(list)-1]; fmt.Sprint(e["outcome"], " ", e["detail"]) != "refused map[problem:Bad Request]" {
		t.Errorf("a typing error is written down as %v", e)
	}
}

// An act that no trail can have is refused with the names of those that it may have. Those are all
// that the sources write down.
func TestActsOfTheTrail(t *testing.T) {
	t.Parallel()
	s := start(t)
	a := s.call("GET", "/v1/audit?act=nosuch", s.admin, "")
	s.must(a, 400)
	for _, act := range []string{"createApp", "eraseSession", "exportEvents", "firstStart", "refusedActs"} {
		if !strings.Contains(a.text("detail"), act) {
			t.Errorf("%s is not named: %s", act, a.body)
		}
	}
	if code, out := runEye(t, nil, "audit", "--act", "nosuch", "--data", s.data); code != 1 || !strings.Contains(out, "createApp") {
		t.Errorf("eye audit --act nosuch: exit code %d: %s", code, out)
	}
	known := 0
	written := regexp.MustCompile(`\bAct: "(\w+)"|\bID: "(\w+)"`)
	err := filepath.WalkDir("../internal", func(file string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, found := range written.FindAllStringSubmatch(string(text), -1) {
			status := s.call("GET", "/v1/audit?limit=1&act="+found[1]+found[2], s.admin, "").status
			if found[1] != "" && status != 200 {
				t.Errorf("%s writes down %q, which is answered %d", file, found[1], status)
			}
			if status == 200 {
				known++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if known < 20 {
		t.Errorf("%d acts are known", known)
	}
}
