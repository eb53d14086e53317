package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var anyKey = regexp.MustCompile(`eye_[awrlo]_\w{20,}`)

// If the standard output may be a log, no key is printed, and the text instead says how to get keys.
func TestNoKeyGoesToALog(t *testing.T) {
	t.Parallel()
	s := &server{t: t, data: filepath.Join(t.TempDir(), "da ta")}
	s.launch()
	output := s.output.String()
	if found := anyKey.FindString(output); found != "" {
		t.Errorf("the output has %s", found)
	}
	for _, want := range []string{filepath.Join(s.data, "admin.key"), "application default"} {
		if !strings.Contains(output, want) {
			t.Errorf("the output does not name %q:\n%s", want, output)
		}
	}
	if a := s.call("GET", "/v1/apps/default/keys", s.admin, ""); strings.TrimSpace(string(a.body)) != `{"keys":[]}` {
		t.Errorf("the first application has keys: %s", a.body)
	}
	var kinds []string
	for _, line := range regexp.MustCompile(`(?m)^ *eye (keys create .*)$`).FindAllStringSubmatch(output, -1) {
		sh := exec.CommandContext(t.Context(), "sh", "-c", binary(t, "")+" "+line[1]+" --json")
		out, err := sh.CombinedOutput()
		key := anyKey.FindString(string(out))
		if err != nil || key == "" {
			t.Fatalf("%s: %v: %s", line[0], err, out)
		}
		kinds = append(kinds, key[:6])
		switch key[:6] {
		case "eye_w_":
			s.must(s.call("POST", "/v1/events?wait=stored", key, fine), 201)
		case "eye_r_":
			s.must(s.call("GET", "/v1/events", key, ""), 200)
		}
	}
	if strings.Join(kinds, " ") != "eye_w_ eye_r_" {
		t.Errorf("the commands that are printed make %v:\n%s", kinds, output)
	}

	backup, restored := filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "restored")
	if code, out := runEye(t, nil, "backup", backup, "--data", s.data); code != 0 {
		t.Fatal(out)
	}
	code, out := runEye(t, nil, "restore", backup, "--data", restored)
	if code != 0 || anyKey.MatchString(out) || !strings.Contains(out, filepath.Join(restored, "admin.key")) {
		t.Errorf("eye restore: exit code %d: %s", code, out)
	}
	if code, out := runEye(t, nil, "restore", backup, "--data", restored+"2", "--print-keys"); code != 0 || !anyKey.MatchString(out) {
		t.Errorf("eye restore --print-keys: exit code %d: %s", code, out)
	}

	// A later start without the file makes another key, and does not print it either.
	s.shutDown()
	if err := os.Remove(filepath.Join(s.data, "admin.key")); err != nil {
		t.Fatal(err)
	}
	s.launch()
	if output := s.output.String(); anyKey.MatchString(output) || !strings.Contains(output, "admin.key") || strings.Contains(output, "keys create") {
		t.Errorf("with another admin key:\n%s", output)
	}
}

// Keys are printed to who asks for it, and to a terminal, which nobody keeps.
func TestKeysArePrinted(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "eye.yaml")
	if err := os.WriteFile(config, []byte("print-keys: true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		env  []string
	}{
		{"flag", []string{"--print-keys"}, nil},
		{"environment", nil, []string{"EYE_PRINT_KEYS=true"}},
		{"file", []string{"--config", config}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &server{t: t, data: t.TempDir(), args: c.args, env: c.env}
			s.launch()
			s.shutDown()
			s.printsKeys(s.output.String())
			s.launch()
			if output := s.output.String(); anyKey.MatchString(output) {
				t.Errorf("the second start prints keys:\n%s", output)
			}
		})
	}
	t.Run("terminal", func(t *testing.T) {
		s := &server{t: t, data: t.TempDir()}
		cmd := exec.CommandContext(t.Context(), binary(t, ""), "serve", "--data", s.data, "--listen", "127.0.0.1:0")
		screen := onTerminal(t, cmd)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		s.cmd, s.output = cmd, &safeBuffer{}
		s.eventually("the server to write its address", func() bool {
			_, err := os.Stat(filepath.Join(s.data, "address"))
			return err == nil
		})
		if code, out := runEye(t, nil, "health", "--data", s.data); code != 0 {
			t.Error(out)
		}
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		s.printsKeys(screen.shown())
	})
}

// Keys that a first start made and could not show, because it was killed or nothing could be
// written, are no use to anyone: the next start revokes them, and makes and shows others.
func TestKeysThatWereNotShown(t *testing.T) {
	t.Parallel()
	for name, stdout := range map[string]func() *os.File{
		"killed": func() *os.File { // while it waits to write into a pipe
			from, into, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = from.Close() })
			if _, err := into.Write(make([]byte, 64<<10)); err != nil { // as much as a pipe holds
				t.Fatal(err)
			}
			return into
		},
		"nothing can be written": func() *os.File {
			full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			return full
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &server{t: t, data: t.TempDir()}
			cmd := exec.CommandContext(t.Context(), binary(t, ""), "serve", "--data", s.data, "--listen", "127.0.0.1:0", "--print-keys")
			into := stdout()
			defer func() { _ = into.Close() }()
			cmd.Stdout = into
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			s.cmd, s.output = cmd, &safeBuffer{}
			s.eventually("the server to answer", func() bool {
				code, _ := runEye(t, nil, "health", "--data", s.data)
				return code == 0
			})
			admin, err := os.ReadFile(filepath.Join(s.data, "admin.key"))
			if err != nil {
				t.Fatal(err)
			}
			if out := s.beside(0, "keys", "list", "--app", "default"); strings.Count(out, "key_") != 2 {
				t.Errorf("a first start makes %s", out)
			}
			_ = cmd.Process.Kill()
			_ = cmd.Wait()

			s.args = []string{"--print-keys"}
			s.launch()
			s.eventually("the keys to be printed", func() bool { return len(anyKey.FindAllString(s.output.String(), -1)) >= 2 })
			for _, want := range []string{`write key +eye_w_`, `read key +eye_r_`} {
				if !regexp.MustCompile(want).MatchString(s.output.String()) {
					t.Errorf("the next start does not show %q:\n%s", want, s.output)
				}
			}
			var valid, revoked int
			for _, k := range s.keys("default") {
				if k["revoked_at"] == nil {
					valid++
				} else {
					revoked++
				}
			}
			if valid != 2 || revoked != 2 || s.admin != strings.TrimSpace(string(admin)) {
				t.Errorf("%d keys are valid and %d revoked; the admin key was %s and is %s", valid, revoked, admin, s.admin)
			}
			s.shutDown()
			s.launch()
			if found := anyKey.FindString(s.output.String()); found != "" || len(s.keys("default")) != 4 {
				t.Errorf("a third start makes keys: %v\n%s", s.keys("default"), s.output)
			}
		})
	}
}

// printsKeys looks for the three keys of a first start.
func (s *server) printsKeys(output string) {
	s.t.Helper()
	admin, err := os.ReadFile(filepath.Join(s.data, "admin.key"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, want := range []string{`admin key +` + strings.TrimSpace(string(admin)), `write key +eye_w_\w{20,}`, `read key +eye_r_\w{20,}`, `curl -s 'http://127`} {
		if !regexp.MustCompile(want).MatchString(output) {
			s.t.Errorf("%s is not in the output:\n%s", want, output)
		}
	}
}

// A setting that cannot be used is refused before anything is made: the keys that a first start
// shows are shown once.
func TestBadSettingMakesNothing(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	code, out := runEye(t, nil, "serve", "--data", data, "--print-keys", "--legacy-app", "Shop")
	if _, err := os.Stat(data); code == 0 || !strings.Contains(out, `--legacy-app "Shop" is not a valid name`) || !os.IsNotExist(err) {
		t.Errorf("it ends with %d and says %s; the directory: %v", code, out, err)
	}
}
