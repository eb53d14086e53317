package test

import (
	"strings"
	"testing"
)

// What cannot be undone is shown and asked for first: on a terminal by a question, elsewhere by
// --yes.
func TestErasuresAreConfirmed(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.must(s.call("POST", "/v1/apps", s.admin, `{"app":"blog"}`), 201)
	blog := s.key("blog", "write")
	for _, key := range []string{s.write, s.write, blog} {
		s.must(s.call("POST", "/v1/events?wait=stored", key, fine), 201)
	}
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, strings.Replace(fine, "2021-01-01", "noon", 1)), 422)
	count := func(app string) string { return s.call("GET", "/v1/count?app="+app, s.admin, "").text("count") }
	for _, tc := range []struct {
		args   []string
		shown  []string
		before string // events of shop
		asked  string
		gone   string // where nothing is afterwards
	}{
		{[]string{"erase", "--session", "s"}, []string{"blog  1       0", "shop  2       1"}, "2", "Erase session s?", "/v1/sessions/s"},
		{[]string{"apps", "delete", "blog", "--erase"}, []string{"blog  1       0"}, "0", "Delete application blog and erase everything it sent?", "/v1/apps/blog"},
	} {
		t.Run(strings.Join(tc.args, " "), func(t *testing.T) {
			if tc.args[0] == "apps" {
				s.must(s.call("POST", "/v1/events?wait=stored", blog, strings.Replace(fine, `"s"`, `"t"`, 1)), 201)
			}
			args := append(tc.args, "--data", s.data)
			shows := func(out string, more ...string) {
				t.Helper()
				for _, want := range append(tc.shown, more...) {
					if !strings.Contains(out, want) {
						t.Errorf("it does not show %q: %s", want, out)
					}
				}
				if shop, blog := count("shop"), count("blog"); shop != tc.before || blog != "1" {
					t.Errorf("%s and %s events are left", shop, blog)
				}
			}
			code, out := runEye(t, nil, args...)
			if code != 2 {
				t.Errorf("without a terminal: exit code %d: %s", code, out)
			}
			shows(out, "nothing was erased: standard input is not a terminal", "--yes")
			code, out = runEye(t, nil, append(args, "--dry-run", "--yes")...)
			if code != 0 {
				t.Errorf("a dry run: exit code %d: %s", code, out)
			}
			shows(out, "nothing was erased\n")
			for _, typed := range []string{"n\n", "\n", "yes, no\n", "\x04"} {
				code, out = s.asked(typed, args...)
				if code != 2 {
					t.Errorf("%q: exit code %d: %s", typed, code, out)
				}
				shows(out, tc.asked, "nothing was erased; answer y")
			}
			code, out = s.asked("\x03", args...) // Ctrl-C
			if code != 2 {
				t.Errorf("Ctrl-C: exit code %d: %s", code, out)
			}
			shows(out, tc.asked)
			if code, out := s.asked("Yes\n", args...); code != 0 || !strings.Contains(out, "erased") {
				t.Errorf("exit code %d: %s", code, out)
			}
			if got := s.call("GET", tc.gone, s.admin, ""); got.status != 404 {
				t.Errorf("it is still there: %s", got.body)
			}
		})
	}
}

// asked runs a command on a terminal where something is typed when it asks.
func (s *server) asked(typed string, args ...string) (code int, shown string) {
	s.t.Helper()
	cmd, _ := s.eye(args...)
	screen := onTerminal(s.t, cmd)
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.eventually("a question", func() bool { return strings.Contains(screen.text.String(), "[y/N]") })
	if _, err := screen.keyboard.WriteString(typed); err != nil {
		s.t.Fatal(err)
	}
	_ = cmd.Wait()
	return cmd.ProcessState.ExitCode(), screen.shown()
}
