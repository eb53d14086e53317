package test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// oldQuestions are what a server on a fixture is asked. Those that begin with
// "shop " are asked with a read key of shop, the others with an admin key.
func oldQuestions(replays []string) []string {
	questions := []string{
		"/v1/events?limit=1000", "/v1/events?limit=1000&order=desc&category=page%20interaction&where=data.n%3E%3D3", "shop /v1/events?limit=1000",
		"/v1/events/order-1?app=shop", "/v1/events/order-1?app=blog", "/v1/events/page-1", "/v1/events/" + formID(1), "shop /v1/events/article-1", "/v1/events/" + mary + "-1",
		"/v1/sessions?limit=1000", "shop /v1/sessions?limit=1000", "/v1/sessions/visitor-1?limit=1000", "shop /v1/sessions/visitor-1?limit=1000", "/v1/sessions/forms", "/v1/sessions/" + mary,
		"/v1/rejections?limit=1000", "/v1/rejections?limit=1000&code=event_too_large", "/v1/rejections?limit=1000&replayed=true", "/v1/rejections/summary",
		"/v1/receipts/order-1?app=shop", "/v1/receipts/order-5", "/v1/receipts/order-25", "/v1/receipts/page-1", "/v1/receipts/" + formID(2), "/v1/receipts/" + formID(4),
		"/v1/receipts/" + mary + "-1", "/v1/receipts/" + mary + "-3", "/v1/receipts/" + mary + "-100",
		"/v1/books", "shop /v1/books", "/v1/count", "/v1/count?app=blog", "/v1/series?interval=day&group_by=category&from=2021-01-01&to=2021-01-10", "/v1/values?field=data.path",
		"/v1/types", oldType + "/versions", "/v1/apps", "/v1/keys", "/v1/apps/shop/keys", "/v1/audit?limit=1000",
	}
	for _, id := range replays {
		questions = append(questions, "/v1/replays/"+id)
	}
	return questions
}

// answers asks questions, by question.
func (s *server) answers(questions []string) map[string]any {
	s.t.Helper()
	s.settled()
	all := map[string]any{}
	for _, q := range questions {
		path, key := q, s.admin
		if rest, ok := strings.CutPrefix(q, "shop "); ok {
			path, key = rest, s.read
		}
		a := s.call("GET", path, key, "")
		var body any
		if err := json.Unmarshal(a.body, &body); err != nil {
			s.t.Fatalf("%s: %v: %s", q, err, a.body)
		}
		if a.status != 200 { // the words of a problem may change
			body = map[string]any{}
		}
		all[q] = map[string]any{"status": float64(a.status), "body": stable(body)}
	}
	return all
}

// settled waits until everything that was received has its fate.
func (s *server) settled() {
	s.t.Helper()
	s.eventually("everything to be stored", func() bool {
		a := s.call("GET", "/v1/books", s.admin, "")
		for _, app := range a.json()["apps"].([]any) {
			if fmt.Sprint(app.(map[string]any)["pending"]) != "0" {
				return false
			}
		}
		return a.status == 200
	})
}

var dayOf = regexp.MustCompile(`\b\d{4}-\d\d-\d\d (\d\d:\d\d)`)

// stable leaves out of an answer what changes by itself, and writes a long raw body
// as its beginning, size and digest, by which it is also told when only its
// beginning is kept.
func stable(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = stable(v[i])
		}
	case map[string]any:
		delete(v, "last_event_at") // of an order that earlier programs did not tell
		delete(v, "last_used_at")
		delete(v, "next_cursor")
		if v["replay_id"] != nil && v["state"] != nil {
			delete(v, "filter") // a restart forgets what was asked for
			delete(v, "patch")
		}
		for name := range v {
			v[name] = stable(v[name])
		}
		if text, ok := v["text"].(string); ok { // a sentence leaves out the day when that is today
			v["text"] = dayOf.ReplaceAllString(text, "$1")
		}
		if raw, ok := v["raw"].(string); ok && v["truncated"] == true {
			v["raw"] = fmt.Sprintf("%.64s… (%v bytes, SHA-256 %v)", raw, v["bytes"], v["sha256"])
		} else if len(raw) > 4<<10 {
			v["raw"] = fmt.Sprintf("%.64s… (%v bytes, SHA-256 %x)", raw, len(raw), sha256.Sum256([]byte(raw)))
		}
	}
	return v
}

// withErased adds to answers events of shop that were erased.
func withErased(want map[string]any, events float64) {
	for _, q := range []string{"/v1/books", "shop /v1/books"} {
		for _, x := range want[q].(map[string]any)["body"].(map[string]any)["apps"].([]any) {
			if book := x.(map[string]any); book["app"] == "shop" {
				book["received"] = book["received"].(float64) + events
				book["erased"] = book["erased"].(float64) + events
			}
		}
	}
}

// withoutReplays leaves out of answers the replays, and which of them made an event
// and when: they are not in a backup.
func withoutReplays(v any) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			withoutReplays(x)
		}
	case map[string]any:
		maps.DeleteFunc(v, func(name string, _ any) bool { return strings.HasPrefix(name, "/v1/replays/") })
		for _, name := range []string{"became", "replay"} {
			if x, ok := v[name].(map[string]any); ok {
				delete(x, "replay_id")
				delete(x, "at")
			}
		}
		for _, x := range v {
			withoutReplays(x)
		}
	}
}

// differences tells where an answer lacks what is wanted. It may have fields besides.
// Among acts of the audit log, and keys, may be later ones.
func differences(place string, want, got any) (list []string) {
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s is %v, want an object", place, got)}
		}
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if found, ok := object[name]; ok {
				list = append(list, differences(place+"/"+name, want[name], found)...)
			} else {
				list = append(list, place+"/"+name+" is missing")
			}
		}
	case []any:
		items, _ := got.([]any)
		switch {
		case strings.HasSuffix(place, "/entries"):
			items = those(items, want, "id")
		case strings.HasSuffix(place, "/keys"):
			items = those(items, want, "key_id")
		}
		if len(items) != len(want) {
			return []string{fmt.Sprintf("%s has %d items, want %d: %v", place, len(items), len(want), got)}
		}
		for i := range want {
			list = append(list, differences(fmt.Sprint(place, "/", i), want[i], items[i])...)
		}
	default:
		if want != got {
			list = append(list, fmt.Sprintf("%s is %v, want %v", place, got, want))
		}
	}
	return list
}

// those leaves out of a list what is not in another, by a field.
func those(list, other []any, field string) (rest []any) {
	ids := map[any]bool{}
	for _, x := range other {
		ids[x.(map[string]any)[field]] = true
	}
	for _, x := range list {
		if ids[x.(map[string]any)[field]] {
			rest = append(rest, x)
		}
	}
	return rest
}

// Data directories and backups that earlier programs wrote are opened, answer as
// they did, are merged, backed up and restored. What the present program writes is
// held to the same, so that the test can make the next fixture: script/fixture.
func TestDataOfEarlierPrograms(t *testing.T) {
	t.Parallel()
	fixtures, err := filepath.Glob(filepath.Join("testdata", "old", "*", "golden.json"))
	if err != nil || len(fixtures) == 0 {
		t.Fatal("no fixtures", err)
	}
	made := filepath.Join(t.TempDir(), "present")
	if dir := os.Getenv("EYE_FIXTURE_DIR"); dir != "" {
		made = dir
	}
	if err := os.MkdirAll(made, 0o750); err != nil {
		t.Fatal(err)
	}
	makeOld(t, made, os.Getenv("EYE_FIXTURE_PROGRAM"))
	for _, file := range append(fixtures, filepath.Join(made, "golden.json")) {
		fixture := filepath.Dir(file)
		for _, name := range []string{"killed", "ended", "erasing", "backup"} {
			t.Run(filepath.Base(fixture)+"/"+name, func(t *testing.T) {
				t.Parallel()
				s := &server{t: t}
				var keys oldKeys
				s.data, keys = unpack(t, filepath.Join(fixture, name+".tar.zst"))
				if name == "backup" {
					s.data = restoreTo(t, s.data)
				}
				want := golden(t, file)
				switch name {
				case "backup":
					withoutReplays(want)
				case "erasing":
					withErased(want, betweenEvents)
				}
				s.staysAs(want, keys)
			})
		}
	}
}

// golden reads answers that are wanted.
func golden(t *testing.T, name string) (want map[string]any) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(want, func(path string, a any) bool { // a date alone was refused before
		answer, ok := a.(map[string]any)
		return ok && strings.HasPrefix(path, "/v1/series?") && fmt.Sprint(answer["status"]) == "400"
	})
	return want
}

// staysAs runs a server through all that rewrites its data.
func (s *server) staysAs(want map[string]any, keys oldKeys) {
	s.t.Helper()
	check := func(when string) {
		s.t.Helper()
		s.read = keys.Read
		s.eventually("erasures to be finished", func() bool { return s.call("GET", "/v1/sessions/"+between, s.admin, "").status == 404 })
		got := s.answers(slices.Sorted(maps.Keys(want)))
		for _, d := range differences("", want, got) {
			s.t.Errorf("%s: %s", when, d)
		}
		s.opens(keys, when)
	}
	s.launch()
	check("at once")
	s.kill()
	s.launch()
	check("after a kill")
	s.shutDown()
	for _, args := range [][]string{{"store", "verify"}, {"store", "compact"}, {"store", "verify"}} {
		if code, out := runEye(s.t, nil, append(args, "--data", s.data)...); code != 0 {
			s.t.Fatalf("%v ended with %d: %s", args, code, out)
		}
	}
	s.launch()
	check("merged")
	backup := filepath.Join(s.t.TempDir(), "backup")
	if code, out := runEye(s.t, nil, "backup", backup, "--data", s.data); code != 0 {
		s.t.Fatalf("backup ended with %d: %s", code, out)
	}
	s.shutDown()
	s.data = restoreTo(s.t, backup)
	withoutReplays(want)
	s.launch()
	check("backed up and restored")
	s.goesOn(keys)
	s.shutDown()
}

func restoreTo(t *testing.T, backup string) (data string) {
	t.Helper()
	data = filepath.Join(t.TempDir(), "restored")
	if code, out := runEye(t, nil, "backup", "verify", backup); code != 0 {
		t.Fatalf("verify ended with %d: %s", code, out)
	}
	if code, out := runEye(t, nil, "restore", backup, "--data", data); code != 0 {
		t.Fatalf("restore ended with %d: %s", code, out)
	}
	return data
}

// opens sees that keys may do what they might, with requests that change nothing.
func (s *server) opens(keys oldKeys, when string) {
	s.t.Helper()
	for _, c := range []struct {
		what, method, path, key, origin string
		want                            int
	}{
		{"the admin key", "GET", "/v1/apps", keys.Admin, "", 200},
		{"a write key", "POST", "/v1/events", keys.Shop, "", 202},
		{"a write key, reading", "GET", "/v1/events", keys.Shop, "", 403},
		{"a read key, sending", "POST", "/v1/events", keys.Read, "", 403},
		{"a read key, elsewhere", "GET", "/v1/events?app=blog", keys.Read, "", 403},
		{"a read key of everything", "GET", "/v1/events?app=blog", keys.Everyone, "", 200},
		{"a key with origins", "POST", "/v1/events", keys.Page, page, 202},
		{"a key with origins, without one", "POST", "/v1/events", keys.Page, "", 403},
		{"a key with origins, from another", "POST", "/v1/events", keys.Page, "https://evil.example", 403},
		{"a revoked key", "POST", "/v1/events", keys.Revoked, "", 401},
	} {
		header := []string{}
		if c.origin != "" {
			header = append(header, "Origin", c.origin)
		}
		if a := s.call(c.method, c.path, c.key, "[]", header...); a.status != c.want {
			s.t.Errorf("%s: %s is answered %d, want %d: %s", when, c.what, a.status, c.want, a.body)
		}
	}
}

// goesOn sends what came before once more, and something new.
func (s *server) goesOn(keys oldKeys) {
	s.t.Helper()
	s.read, s.write = keys.Read, keys.Shop
	before := s.ledger()
	s.sendAll(oldEvent("order-1", "visitor-1", 1), oldEvent("order-25", "visitor-1", 25), submit(2, "forms", ""), about(mary, "2021-01-01T00:00:00Z", 1), oldEvent("new", "visitor-1", 70))
	s.same("books", [5]int{before[0] + 5, before[1] + 1, before[2], before[3] + 3, before[4] + 1}, s.ledger())
	s.must(s.call("POST", "/v1/events?wait=stored", keys.Page, oldEvent("page-1", "visitor-2", 60), "Origin", page), 201)
	s.same("books", [5]int{before[0] + 6, before[1] + 1, before[2], before[3] + 4, before[4] + 1}, s.ledger())
	s.must(s.call("GET", "/v1/events/"+url.PathEscape("new"), s.read, ""), 200)
}

// The manifest of the present version is on disk before anything else changes at the
// first start, so that an earlier program, which refuses it, never meets what it would
// take for damage.
func TestTheManifestComesFirst(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"killed", "ended", "erasing"} {
		t.Run(name, func(t *testing.T) {
			fixture := filepath.Join("testdata", "old", "1454d48")
			s := &server{t: t, tags: "eyefault"}
			data, keys := unpack(t, filepath.Join(fixture, name+".tar.zst"))
			s.data = data
			before := s.files()
			for _, step := range []string{"before manifest:1", "manifest written:1"} {
				s.env = []string{"EYE_FAULT_KILL=" + step}
				if s.launched() {
					t.Fatalf("the server was not killed at %q", step)
				}
				after := s.files()
				for name := range before {
					manifest := name == filepath.Join("store", "MANIFEST.json") && step != "before manifest:1"
					if changed := after[name] != before[name]; changed != manifest {
						t.Errorf("killed at %q: %s changed: %v", step, name, changed)
					}
				}
				for name := range after {
					if _, there := before[name]; !there && strings.Contains(name, "jetstream") {
						t.Errorf("killed at %q: %s is new", step, name)
					}
				}
			}
			s.env = nil
			s.launch()
			s.read = keys.Read
			s.eventually("the erasure to be finished", func() bool { return s.call("GET", "/v1/sessions/"+between, s.admin, "").status == 404 })
			want := golden(t, filepath.Join(fixture, "golden.json"))
			if name == "erasing" {
				withErased(want, betweenEvents)
			}
			for _, d := range differences("", want, s.answers(slices.Sorted(maps.Keys(want)))) {
				t.Error(d)
			}
		})
	}
}

// files returns the digest of each file of the data directory but those that tell which
// process uses it.
func (s *server) files() map[string][sha256.Size]byte {
	s.t.Helper()
	list := map[string][sha256.Size]byte{}
	if err := filepath.WalkDir(s.data, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || d.Name() == "lock" || d.Name() == "address" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(s.data, path)
		list[name] = sha256.Sum256(b)
		return err
	}); err != nil {
		s.t.Fatal(err)
	}
	return list
}

// The queue of an earlier version has no confirmed record. What is damaged in it is
// copied before the embedded server cuts it off.
func TestDamagedQueueOfAnEarlierProgram(t *testing.T) {
	t.Parallel()
	s := &server{t: t}
	s.data, _ = unpack(t, filepath.Join("testdata", "old", "1454d48", "killed.tar.zst"))
	blocks := s.blocks()
	b, err := os.ReadFile(blocks[len(blocks)-1])
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, []byte("EYEF"))
	if at < 0 {
		t.Fatal("there is no frame in the last block")
	}
	flipBit(t, blocks[len(blocks)-1], int64(at+60))
	s.launch()
	if copies, err := filepath.Glob(filepath.Join(s.data, "queue", "quarantine", "*.blk")); err != nil || len(copies) != 1 {
		t.Errorf("copies: %v, %v", copies, err)
	}
	if got := s.reasons(); !strings.Contains(got, "acknowledged events may be lost") {
		t.Errorf("/readyz says %s", got)
	}
}
