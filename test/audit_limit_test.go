package test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// Refused requests beyond the first entries of a day are summed up.
func TestRefusedActsAreSummedUp(t *testing.T) {
	t.Parallel()
	s := start(t)
	for range 300 {
		s.must(s.call("DELETE", "/v1/apps/shop/keys/none", s.admin, ""), 404)
	}
	s.must(s.call("PATCH", "/v1/apps/shop", s.admin, `{"rate":7}`), 200)
	if got := actsOf(s.trail("&act=updateApp")); got != "updateApp done" {
		t.Errorf("what was changed is written down as %s", got)
	}
	s.shutDown() // writes the sums
	s.launch()
	single, summed := s.trail("&act=revokeAppKey"), s.trail("&act=refusedActs")
	if len(summed) != 1 {
		t.Fatalf("the sums are %v", summed)
	}
	detail := summed[0]["detail"].(map[string]any)
	count := int(detail["count"].(float64))
	if len(single) != 100 || len(single)+count != 300 || fmt.Sprint(detail["acts"]) != fmt.Sprintf("map[revokeAppKey:%d]", count) || summed[0]["key_id"] != single[0]["key_id"] {
		t.Errorf("%d entries and the sum %v, want 100 and 200", len(single), summed[0])
	}
}

// Keys that are refused are counted, logged and summed up, whoever tries how often.
func TestRefusedKeysAreSummedUp(t *testing.T) {
	t.Parallel()
	s := start(t)
	unknown := "eye_a_" + strings.Repeat("a", 43) + "_abcdef"
	revoked := s.call("POST", "/v1/keys", s.admin, `{"kind":"admin"}`)
	s.must(s.call("DELETE", "/v1/keys/"+revoked.text("key_id"), s.admin, ""), 204)
	before := len(s.trail(""))
	for range 100 {
		s.must(s.call("GET", "/v1/apps", unknown, ""), 401)
		s.must(s.call("POST", "/v1/apps", s.read, `{"app":"x"}`), 403)
		s.must(s.call("GET", "/v1/events", s.write, ""), 403)
		s.must(s.call("GET", "/metrics", revoked.text("key"), ""), 401)
		s.must(s.call("GET", "/v1/events", "", ""), 401)
		s.must(s.call("POST", "/v1/events", unknown, fine), 401) // GET /v1/unreadable tells of these
	}
	metrics := string(s.call("GET", "/metrics", s.admin, "").body)
	for _, want := range []string{
		`eye_http_keys_refused_total{reason="unknown_key"} 100`, `eye_http_keys_refused_total{reason="wrong_kind"} 200`,
		`eye_http_keys_refused_total{reason="revoked_key"} 100`, `eye_http_keys_refused_total{reason="no_key"} 100`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	if n := strings.Count(s.output.String(), `"msg":"keys were refused"`); n < 1 || n > 3 {
		t.Errorf("it was logged %d times", n)
	}
	s.eventually("the trail to tell of it", func() bool { return len(s.trail("&act=refusedKeys")) == 1 })
	if got := len(s.trail("")); got != before+1 {
		t.Errorf("%d entries, want one more than %d", got, before)
	}
	s.shutDown()
	s.launch()
	e := s.trail("&act=refusedKeys")
	if len(e) != 1 {
		t.Fatalf("the sums are %v", e)
	}
	detail := e[0]["detail"].(map[string]any)
	if e[0]["key_id"] != "server" || e[0]["outcome"] != "refused" || fmt.Sprint(detail["count"]) != "400" ||
		fmt.Sprint(detail["reasons"]) != "map[revoked_key:100 unknown_key:100 wrong_kind:200]" || fmt.Sprint(detail["remotes"]) != "[127.0.0.1]" ||
		!strings.Contains(fmt.Sprint(detail["key_ids"]), revoked.text("key_id")) {
		t.Errorf("the sum is %v", e[0])
	}
}

// Who takes all data with an admin key is written down, once for each backup, and
// not what was asked for: a session that is erased later must not be named.
func TestBackupsAndExportsAreWrittenDown(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, about(mary, "2021-01-01T00:00:00Z", 1)), 201)
	before := len(s.trail(""))
	if code, out := runEye(t, nil, "backup", filepath.Join(t.TempDir(), "backup"), "--data", s.data); code != 0 {
		t.Fatal(out)
	}
	if got := actsOf(s.trail("")[:len(s.trail(""))-before]); got != "backupManifest done" {
		t.Errorf("a backup is written down as %s", got)
	}
	if e := s.trail("")[0]; e["remote"] != "local" || e["detail"].(map[string]any)["files"] == nil {
		t.Errorf("a backup is written down as %v", e)
	}
	// Files that another key takes under the lease of the first are another act.
	manifest := s.call("GET", "/v1/backup/manifest", s.admin, "")
	other := s.call("POST", "/v1/keys", s.admin, `{"kind":"admin"}`)
	before = len(s.trail(""))
	for range 3 {
		s.must(s.call("GET", "/v1/backup/files/metadata.json?lease="+manifest.text("lease"), s.admin, ""), 200)
		s.must(s.call("GET", "/v1/backup/files/metadata.json?lease="+manifest.text("lease"), other.text("key"), ""), 200)
	}
	if e := s.trail(""); len(e) != before+1 || e[0]["act"] != "backupFile" || e[0]["key_id"] != other.text("key_id") {
		t.Errorf("files taken with another key are written down as %v", e[0])
	}

	before = len(s.trail(""))
	s.must(s.call("GET", "/v1/export?format=csv&session_id="+mary+"&app=shop", s.admin, ""), 200)
	s.must(s.call("GET", "/v1/export", s.read, ""), 200)
	s.must(s.call("GET", "/v1/export?format=xml", s.admin, ""), 400)
	e := s.trail("")
	if got := actsOf(e[:len(e)-before]); got != "exportEvents refused, exportEvents done" {
		t.Errorf("exports are written down as %s", got)
	}
	if e := e[1]; e["app"] != "shop" || strings.Contains(fmt.Sprint(e), mary) || fmt.Sprint(e["detail"].(map[string]any)["parameters"]) != "[app format session_id]" {
		t.Errorf("an export is written down as %v", e)
	}
	// However often it is done, what was changed stays.
	for range 150 {
		s.must(s.call("GET", "/v1/export?session_id=x", s.admin, ""), 200)
	}
	if n := len(s.trail("&act=exportEvents")); n > 100 {
		t.Errorf("%d exports have an entry of their own", n)
	}
	s.shutDown()
	s.launch()
	if e := s.trail("&act=repeatedActs"); len(e) != 1 || !strings.Contains(fmt.Sprint(e[0]["detail"]), "exportEvents:") {
		t.Errorf("the sums are %v", e)
	}
}
