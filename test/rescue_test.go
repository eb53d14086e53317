package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// damagedBlock has six acknowledged frames, a bit of one of which is flipped in the queue of a
// server that was killed, and returns the copy that the next start made of the block.
func damagedBlock(t *testing.T, s *server) (copied string) {
	t.Helper()
	s.framesOf(6)
	s.kill()
	block := s.blocks()[0]
	flipBit(t, block, marked(t, block, 3))
	want, err := os.ReadFile(block)
	if err != nil {
		t.Fatal(err)
	}
	s.launch()
	list, err := filepath.Glob(filepath.Join(s.data, "queue", "quarantine", "block-EYE_FRAMES-*.blk"))
	if err != nil || len(list) != 1 {
		t.Fatalf("in quarantine: %v, %v", list, err)
	}
	if got, err := os.ReadFile(list[0]); err != nil || string(got) != string(want) {
		t.Fatal("the copy is not the block as it was", err)
	}
	s.sums(6, 2, 4)
	return list[0]
}

// C2: what is whole in the copy of a damaged block comes back, once, and lost in the books is
// lowered by that.
func TestRescue(t *testing.T) {
	t.Parallel()
	s := start(t)
	name := filepath.Base(damagedBlock(t, s))
	a := s.call("POST", "/v1/store/rescue", s.admin, `{"file":"`+name+`"}`)
	s.must(a, 200)
	want := `"frames":5,"damaged":1,"there":2,"erased":0,"expired":0,"sent":3,"stored":3,"rejected":0,"duplicate":0`
	if !strings.Contains(string(a.body), want) {
		t.Errorf("the answer is %s", a.body)
	}
	s.sums(6, 5, 1)
	for _, id := range []string{"e4", "e5", "e6"} {
		s.must(s.call("GET", "/v1/events/"+id, s.read, ""), 200)
	}
	code, out := runEye(t, nil, "store", "rescue", name, "--data", s.data)
	if code != 0 || !strings.Contains(out, "already there: 5; sent: 0 (") {
		t.Errorf("again: %d: %s", code, out)
	}
	s.sums(6, 5, 1)
	if a := s.call("GET", "/v1/audit?act=rescue", s.admin, ""); strings.Count(string(a.body), name) < 2 || !strings.Contains(string(a.body), `"sent":3`) {
		t.Errorf("the audit log says %s", a.body)
	}
	for key, want := range map[string]int{s.write: 403, s.read: 403, "": 401} {
		s.must(s.call("POST", "/v1/store/rescue", key, `{"file":"`+name+`"}`), want)
	}
	if err := os.Mkdir(filepath.Join(s.data, "queue", "quarantine", "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{"../../lock", "nothing", "", ".", "/", "folder", `\u0000`, name + `\u0000`, strings.Repeat("n", 5000)} {
		a := s.call("POST", "/v1/store/rescue", s.admin, `{"file":"`+other+`"}`)
		if a.status != 404 || !strings.Contains(a.text("detail"), "there is no file") {
			t.Errorf("%.40s: %d %s", other, a.status, a.body)
		}
	}
	s.post(`{"id":"e3","session_id":"s","category":"c","name":"n","data":{},"timestamp":"2021-01-01T00:00:00Z"}`)
	s.sums(7, 6, 1)
	for range 2 {
		s.kill()
		s.launch()
		s.sums(7, 6, 1)
	}
}

// What was erased since it was lost does not come back.
func TestRescueAfterAnErasure(t *testing.T) {
	t.Parallel()
	s := start(t)
	name := filepath.Base(damagedBlock(t, s))
	s.must(s.call("DELETE", "/v1/sessions/s", s.admin, ""), 200)
	a := s.call("POST", "/v1/store/rescue", s.admin, `{"file":"`+name+`"}`)
	s.must(a, 200)
	if !strings.Contains(string(a.body), `"there":2,"erased":3,"expired":0,"sent":0`) {
		t.Errorf("the answer is %s", a.body)
	}
	s.must(s.call("GET", "/v1/events/e5", s.read, ""), 404)
	if got := s.reasons(); !strings.Contains(got, "are lost: files of") || !strings.Contains(got, "eye store rescue FILE") {
		t.Errorf("with a file in quarantine /readyz tells %s", got)
	}
	s.beside(0, "erase", "--session", "s", "--quarantine", "--yes")
	if got := s.reasons(); !strings.Contains(got, "are lost: files of") || strings.Contains(got, "rescue") {
		t.Errorf("without a file in quarantine /readyz tells %s", got)
	}
}

// Without a server the command does the same under the lock.
func TestRescueWithoutAServer(t *testing.T) {
	t.Parallel()
	s := start(t)
	path := damagedBlock(t, s)
	s.kill()
	code, out := runEye(t, nil, "store", "rescue", path, "--data", s.data)
	if code != 0 || !strings.Contains(out, "sent: 3 (3 stored, 0 rejected, 0 duplicates)") {
		t.Errorf("%d: %s", code, out)
	}
	elsewhere := filepath.Join(t.TempDir(), filepath.Base(path))
	if err := os.WriteFile(elsewhere, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out := runEye(t, nil, "store", "rescue", elsewhere, "--data", s.data); code != 2 || !strings.Contains(out, "copy it there first") {
		t.Errorf("a file elsewhere: %d: %s", code, out)
	}
	s.launch()
	s.sums(6, 5, 1)
	if got := s.reasons(); !strings.Contains(got, "are lost") { // nobody has seen it yet
		t.Errorf("readyz tells %s", got)
	}
}

// A rejection that was lost comes back as one, and is counted as such; what has expired since, and
// what an erased application sent, does not come back.
func TestRescueOfRejectionsAndOfWhatMayNotComeBack(t *testing.T) {
	t.Parallel()
	s := start(t)
	for i := range 3 {
		s.must(s.call("POST", "/v1/events", s.write, fmt.Sprintf(`{"id":"bad%d","session_id":"s","category":"c","name":"n","data":{},"timestamp":"never"}`, i)), 422)
		s.post(fmt.Sprintf(`{"id":"good%d","session_id":"s","category":"c","name":"n","data":{},"timestamp":"2021-01-01T00:00:00Z"}`, i))
	}
	s.must(s.call("POST", "/v1/apps", s.admin, `{"app":"doomed"}`), 201)
	doomed := s.key("doomed", "write")
	for i := range 2 {
		s.must(s.call("POST", "/v1/events?wait=stored", doomed, fmt.Sprintf(`{"id":"d%d","session_id":"s","category":"c","name":"n","data":{},"timestamp":"2021-01-01T00:00:00Z"}`, i)), 201)
	}
	s.kill()
	flipBit(t, s.blocks()[0], marked(t, s.blocks()[0], 1)) // nothing is left of the queue
	s.launch()
	list, err := filepath.Glob(filepath.Join(s.data, "queue", "quarantine", "block-EYE_FRAMES-*.blk"))
	if err != nil || len(list) != 1 {
		t.Fatalf("in quarantine: %v, %v", list, err)
	}
	s.sums(6, 0, 6)
	s.must(s.call("DELETE", "/v1/apps/doomed?erase=1", s.admin, ""), 200)
	s.must(s.call("PATCH", "/v1/apps/shop", s.admin, `{"retain":"720h"}`), 200)
	a := s.call("POST", "/v1/store/rescue", s.admin, `{"file":"`+filepath.Base(list[0])+`"}`)
	s.must(a, 200)
	// The first frame, a rejection, is the damaged one. Rejections are as old as their receipt.
	want := `"frames":7,"damaged":1,"there":0,"erased":2,"expired":3,"sent":2,"stored":0,"rejected":2,"duplicate":0`
	if !strings.Contains(string(a.body), want) {
		t.Errorf("want %s; the answer is %s", want, a.body)
	}
	if got := s.account(); got["received"] != 6.0 || got["rejected"] != 2.0 || got["lost"] != 4.0 || got["balanced"] != true {
		t.Errorf("the books say %v", got)
	}
	if a := s.call("GET", "/v1/rejections", s.read, ""); strings.Count(string(a.body), `"raw":`) != 2 || !strings.Contains(string(a.body), "bad2") {
		t.Errorf("rejections: %s", a.body)
	}
	s.must(s.call("GET", "/v1/events/good1", s.read, ""), 404)
	s.must(s.call("GET", "/v1/events/d1", s.admin, ""), 404)
	s.kill()
	s.launch()
	if got := s.account(); got["received"] != 6.0 || got["rejected"] != 2.0 || got["lost"] != 4.0 || got["balanced"] != true {
		t.Errorf("after a kill the books say %v", got)
	}
}

// What was received before the erasure of an application is not brought back, also when its
// frames are of before a restore, with greater numbers than that of the erasure.
func TestRescueAfterARestoreAndAnErasure(t *testing.T) {
	t.Parallel()
	s := start(t)
	send := func(s *server, n int) {
		t.Helper()
		for range n {
			s.post(`{"session_id":"s","category":"c","name":"n","data":{},"timestamp":"2021-01-01T00:00:00Z"}`)
		}
	}
	send(s, 2)
	dir := filepath.Join(t.TempDir(), "backup")
	s.backup(dir)
	send(s, 12)
	s.kill()
	block, err := os.ReadFile(s.blocks()[len(s.blocks())-1])
	if err != nil {
		t.Fatal(err)
	}
	r := s.restored(dir)
	send(r, 1)
	r.must(r.call("DELETE", "/v1/apps/shop?erase=1", r.admin, ""), 200)
	r.prepare()
	send(r, 1)
	const name = "block-EYE_FRAMES-2-found.blk"
	if err := os.WriteFile(filepath.Join(r.data, "queue", "quarantine", name), block, 0o600); err != nil {
		t.Fatal(err)
	}
	a := r.call("POST", "/v1/store/rescue", r.admin, `{"file":"`+name+`"}`)
	r.must(a, 200)
	if !strings.Contains(string(a.body), `"erased":12,"expired":0,"sent":0,`) {
		t.Errorf("the answer is %s", a.body)
	}
	if got := r.call("GET", "/v1/count", r.read, "").text("count"); got != "1" {
		t.Errorf("%s events are there", got)
	}
}
