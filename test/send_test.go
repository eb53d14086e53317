package test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// A line that comes through a pipe is sent while the pipe is open, and an interruption sends what
// was read. The key for it would expire by itself.
func TestSendFromAnOpenPipe(t *testing.T) {
	t.Parallel()
	s := start(t)
	cmd, output := s.eye("send", "--app", "shop", "--data", s.data)
	pipe, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := pipe.Write([]byte(fine + "\n")); err != nil {
		t.Fatal(err)
	}
	s.eventually("the line to be stored", func() bool {
		return s.call("GET", "/v1/count", s.read, "").text("count") == "1"
	})
	borrowed := s.keys("shop")
	last := borrowed[len(borrowed)-1]
	if last["expires_at"] == nil {
		t.Errorf("the key of eye send does not expire: %v", last)
	}
	if _, err := pipe.Write([]byte(fine[:10])); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	text := output.String()
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(text, "1 accepted") || !strings.Contains(text, "events after line 1 were not sent") {
		t.Errorf("exit code %d: %s", code, text)
	}
	after := s.keys("shop")
	if last := after[len(after)-1]; last["revoked_at"] == nil {
		t.Errorf("the key of eye send is valid: %v", last)
	}
}

// The first Ctrl-C ends every command that reads the standard input.
func TestInterruptedInput(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, args := range [][]string{{"types", "put", "c", "n"}, {"types", "try", "c", "n"}, {"rejections", "replay", "--patch", "-", "--yes"}} {
		cmd, output := s.eye(append(args, "--data", s.data)...)
		pipe, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		// It has begun to read when it takes more than a pipe holds.
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := pipe.Write(bytes.Repeat([]byte(" "), 1<<20)); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 1 || output.String() != "eye: interrupted\n" {
			t.Errorf("eye %q: exit code %d: %s", args, code, output)
		}
	}
}

// keys lists the keys of an application, oldest first.
func (s *server) keys(app string) (list []map[string]any) {
	s.t.Helper()
	found, _ := s.call("GET", "/v1/apps/"+app+"/keys", s.admin, "").json()["keys"].([]any)
	for _, each := range found {
		k, _ := each.(map[string]any)
		list = append(list, k)
	}
	return list
}

// A file that is sent twice is stored once, whatever equal events are in it and however it is cut
// into requests. What comes through a pipe is new each time, unless asked otherwise.
func TestSendTwice(t *testing.T) {
	t.Parallel()
	s := start(t)
	const same = `{"session_id":"s","category":"c","name":"n","data":{},"timestamp":"2026-01-01T00:00:00Z"}`
	lines := strings.Join([]string{same, strings.Replace(same, `"c"`, `"d"`, 1), same, `{"broken`, same}, "\n") + "\n"
	for _, tc := range []struct {
		name, text    string
		first, second string
	}{
		{"lines.ndjson", lines, "4 accepted, 1 rejected, 0 duplicates", "0 accepted, 1 rejected, 4 duplicates"},
		{"array.json", "[" + same + ",\n" + same + "]", "2 accepted, 0 rejected, 0 duplicates", "0 accepted, 0 rejected, 2 duplicates"},
		{"envelope.json", `{"events":[` + same + "," + same + `],"sent_at":"2026-01-01T00:00:00Z"}`, "2 accepted, 0 rejected, 0 duplicates", "0 accepted, 0 rejected, 2 duplicates"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			app := strings.TrimSuffix(tc.name, filepath.Ext(tc.name))
			s.must(s.call("POST", "/v1/apps", s.admin, `{"app":"`+app+`"}`), 201)
			write := s.key(app, "write")
			name := filepath.Join(t.TempDir(), tc.name)
			if err := os.WriteFile(name, []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			send := func(key, stdin string, want string, args ...string) {
				t.Helper()
				cmd, output := s.eye(append([]string{"send", "--wait", "--data", s.data}, args...)...)
				cmd.Stdin = strings.NewReader(stdin)
				if key != "" {
					cmd.Args = append(cmd.Args, "--key", key)
				}
				_ = cmd.Run()
				if text := output.String(); !strings.Contains(text, want) {
					t.Errorf("eye %q: %s", cmd.Args[1:], text)
				}
			}
			send("", "", tc.first, "--app", app, name)
			send("", "", tc.second, "--app", app, name)
			send("", tc.text, tc.second, "--app", app, "--ids-from-content")
			send("", tc.text, tc.first, "--app", app)
			send("", tc.text, tc.first, "--app", app)
			send("", "", tc.first, "--app", app, "--ids-from-content=false", name)
			send(write, "", tc.first, name)
			send(write, "", tc.second, name)
		})
	}
	if a := s.call("GET", "/v1/rejections?app=lines", s.admin, ""); strings.Count(string(a.body), `"invalid_json"`) != 5 {
		t.Errorf("a broken line is kept each time it is sent: %s", a.body)
	}
}

// An import that is killed at random points and started again stores each event once, and does not
// begin anew.
func TestSendResumes(t *testing.T) {
	t.Parallel()
	const events, batch = 3000, 20
	s := start(t)
	dir := t.TempDir()
	input, place := filepath.Join(dir, "input.ndjson"), filepath.Join(dir, "place")
	var lines strings.Builder
	for i := range events {
		// Each line stands there three times, and each is an event.
		_, _ = fmt.Fprintf(&lines, `{"session_id":"s","category":"c","name":"n","data":{"n":%d},"timestamp":"2021-01-01T00:00:00Z"}`+"\n", i%1000)
	}
	if err := os.WriteFile(input, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"send", "--resume", place, "--url", s.url, "--key", s.write, "--batch", strconv.Itoa(batch), "--json", input}
	var kills, sent int
	for {
		cmd, output := s.eye(args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// A slow machine gets more time with each kill, so that a run sends something in the end.
		kill := time.AfterFunc(time.Duration(kills+1)*20*time.Millisecond+rand.N(150*time.Millisecond), func() { _ = cmd.Process.Kill() })
		err := cmd.Wait()
		kill.Stop()
		if err == nil {
			var totals struct {
				Received int `json:"received"`
			}
			text := output.String()
			if err := json.Unmarshal([]byte(text[strings.Index(text, "{"):]), &totals); err != nil {
				t.Fatal(err, output)
			}
			sent = totals.Received
			break
		}
		kills++
		if text := output.String(); text != "" && !strings.HasPrefix(text, "eye: already sent: ") {
			t.Errorf("a run that was killed says %s", text)
		}
	}
	if kills == 0 || sent >= events {
		t.Errorf("after %d kills the last run sent %d events", kills, sent)
	}
	s.eventually("everything is stored", func() bool { return fmt.Sprint(s.account()["pending"]) == "0" })
	if stored := s.account()["stored"]; fmt.Sprint(stored) != strconv.Itoa(events) {
		t.Errorf("%v events are stored, want %d", stored, events)
	}
	code, out := runEye(t, nil, args...)
	if want := `{"received":0,"accepted":0,"rejected":0,"duplicates":0}`; code != 0 || !strings.HasSuffix(strings.TrimSpace(out), want) || !strings.Contains(out, "already sent: 3000 events, up to line 3000") {
		t.Errorf("code %d: %s", code, out)
	}
	t.Logf("%d kills; the last run sent %d events", kills, sent)
}
