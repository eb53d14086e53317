package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An application that does not exist is told, and which may be meant, instead of an empty answer. A
// key of one application learns nothing of others.
func TestUnknownApplications(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.must(s.call("POST", "/v1/apps", s.admin, `{"app":"blog"}`), 201)
	for _, path := range []string{
		"/v1/count?app=", "/v1/events?app=shop&app=", "/v1/sessions?app=", "/v1/sessions/s?app=", "/v1/series?interval=day&app=", "/v1/values?field=name&app=", "/v1/rejections?app=",
		"/v1/rejections/summary?app=", "/v1/export?app=", "/v1/events/x?app=", "/v1/receipts/x?app=", "/v1/books?app=", "/v1/count?where=app=", "/v1/apps/", "/v1/sessions?exact=1&session_id=s&app=",
	} {
		a := s.call("GET", path+"shopp", s.admin, "")
		if a.status != 404 || !strings.Contains(a.text("detail"), `there is no application "shopp"; did you mean "shop"?`) {
			t.Errorf("GET %sshopp is answered %d %s", path, a.status, a.body)
		}
		if a := s.call("GET", path+"something", s.admin, ""); a.status != 404 || strings.Contains(a.text("detail"), "did you mean") {
			t.Errorf("GET %ssomething is answered %d %s", path, a.status, a.body)
		}
		if strings.HasPrefix(path, "/v1/apps") || strings.Contains(path, "app=shop&") {
			continue
		}
		there, not := s.call("GET", path+"blog", s.read, ""), s.call("GET", path+"shopp", s.read, "")
		if there.status != 403 || string(there.body) != string(not.body) {
			t.Errorf("with a key of shop GET %s is answered %d %s and %d %s", path, there.status, there.body, not.status, not.body)
		}
	}
	if a := s.call("GET", "/v1/unreadable?app=shopp", s.admin, ""); a.status != 404 {
		t.Errorf("what was unreadable is answered %d %s", a.status, a.body)
	}
	for _, request := range []string{"DELETE /v1/sessions/s?app=shopp", "DELETE /v1/sessions?session_id=s&exact=1&app=shopp", "DELETE /v1/apps/shopp"} {
		method, path, _ := strings.Cut(request, " ")
		if a := s.call(method, path, s.admin, ""); a.status != 404 || !strings.Contains(a.text("detail"), `did you mean "shop"?`) {
			t.Errorf("%s is answered %d %s", request, a.status, a.body)
		}
	}
	if a := s.call("POST", "/v1/rejections/replay", s.admin, `{"filter":{"app":"shopp"}}`); a.status != 404 {
		t.Errorf("a replay is answered %d %s", a.status, a.body)
	}
}

// What a schema has and does not judge by is told when it is put.
func TestWarningsOfASchema(t *testing.T) {
	t.Parallel()
	s := start(t)
	const odd = `{"type":"object","properties":{"a":{"type":"string","minlength":2,"format":"Date-Time"}}}`
	const warnings = `[{"pointer":"/properties/a/format","message":"the format \"Date-Time\" is unknown and is ignored; did you mean \"date-time\"?"},` +
		`{"pointer":"/properties/a/minlength","message":"\"minlength\" is not a JSON Schema keyword and is ignored; did you mean \"minLength\"?"}]`
	for _, query := range []string{"?dry_run=1", "", "", "?force=1"} { // also when nothing changes
		a := s.call("PUT", "/v1/types/c/n"+query, s.admin, odd)
		if a.status != 200 || !strings.Contains(string(a.body), `"warnings":`+warnings) {
			t.Errorf("PUT %s is answered %d %s", query, a.status, a.body)
		}
	}
	if a := s.call("POST", "/v1/types/c/n/try", s.admin, odd); a.status != 200 || !strings.Contains(string(a.body), `"warnings":`+warnings) {
		t.Errorf("try is answered %d %s", a.status, a.body)
	}
	if a := s.call("POST", "/v1/types/c/n/try", s.admin, `{}`); !strings.Contains(string(a.body), `"warnings":[]`) {
		t.Errorf("without any try is answered %s", a.body)
	}
	if a := s.call("PUT", "/v1/types/c/m", s.admin, `{"type":"object"}`); !strings.Contains(string(a.body), `"warnings":[]`) {
		t.Errorf("without any: %s", a.body)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "c", "k.json")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(odd), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"types", "put", "c", "l", file}, {"types", "try", "c", "l", file}, {"types", "apply", dir}} {
		cmd, out := s.eye(append(args, "--data", s.data)...)
		if err := cmd.Run(); err != nil || strings.Count(out.String(), `did you mean "minLength"?`) != 1 || !strings.Contains(out.String(), "eye: warning: ") {
			t.Errorf("eye %s: %v, %s", strings.Join(args, " "), err, out)
		}
	}
	if err := os.WriteFile(file, []byte(`{"not":{}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd, out := s.eye("types", "try", "c", "l", file, "--data", s.data)
	if err := cmd.Run(); err != nil || !strings.Contains(out.String(), "eye: warning: no event can pass: ") {
		t.Errorf("of a schema that nothing passes: %v, %s", err, out)
	}
}

// `eye rejections` shows a rejection by its id, or that of its event, which `eye send` tells.
func TestRejectionOfAnEvent(t *testing.T) {
	t.Parallel()
	s := start(t)
	bad := `{"id":"it's mine","session_id":"s","category":"c","name":"n","data":{},"timestamp":"%s"}`
	for _, at := range []string{"yesterday", "today"} {
		s.must(s.call("POST", "/v1/events?wait=stored", s.write, fmt.Sprintf(bad, at)), 422)
	}
	newest := s.rejections("limit=10")[0]
	for _, id := range []string{fmt.Sprint(newest["id"]), fmt.Sprint(newest["event_id"]), "it's mine"} {
		cmd, out := s.eye("rejections", id, "--app", "shop", "--data", s.data)
		if err := cmd.Run(); err != nil || !strings.Contains(out.String(), fmt.Sprintf(`"id": %q`, newest["id"])) || strings.Contains(out.String(), "more than once") != (id != newest["id"]) {
			t.Errorf("of %s: %v, %s", id, err, out)
		}
	}
	cmd, out := s.eye("rejections", "nothing", "--app", "shop", "--data", s.data)
	if err := cmd.Run(); err == nil || !strings.Contains(out.String(), "no rejected event with it") {
		t.Errorf("of nothing: %v, %s", err, out)
	}
}
