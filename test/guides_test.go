package test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Each guide in docs/guides begins where README ends, and its commands work as they are written.
// Where it shows what a command prints, that is what it prints, except for times, sizes, ids and
// keys. A block is run unless it has a language other than sh, or begins with something else than a
// command. The blocks of damage.md are run beside the damage that they are about.
func TestGuides(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("../docs/guides/*.md")
	if err != nil || len(names) < 6 {
		t.Fatalf("there are %d guides: %v", len(names), err)
	}
	for _, path := range names {
		name := strings.TrimSuffix(filepath.Base(path), ".md")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if name == "damage" {
				besideDamage(t, string(text))
				return
			}
			if readmeState(t).run(string(text)) == 0 {
				t.Error("the guide has no commands")
			}
		})
	}
}

// guide runs the commands of one guide.
type guide struct {
	*server
	dir string // the folder of the repository, as far as the guides know
	// ids are those that the guide shows, and what they are in this run.
	ids map[string]string
}

// run runs the blocks of a guide in their order, the nth after before[n], and returns how many.
func (g *guide) run(text string, before ...func(*guide)) (ran int) {
	g.t.Helper()
	for _, block := range regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		language, commands := block[1], block[2]
		first, _, _ := strings.Cut(commands, " ")
		session := language == "" && first == "$"
		if !session && language != "sh" && (language != "" || first != "eye" && first != "curl" && first != "export") {
			continue
		}
		if ran < len(before) {
			before[ran](g)
		}
		ran++
		if session {
			g.session(commands)
		} else {
			g.script(commands)
		}
	}
	return ran
}

// newGuide makes the folder of the repository. Its data directory is not there yet.
func newGuide(t *testing.T) *guide {
	t.Helper()
	dir := t.TempDir()
	examples, err := filepath.Abs("../examples")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(examples, filepath.Join(dir, "examples")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(binary(t, ""), filepath.Join(dir, "bin", "eye")); err != nil {
		t.Fatal(err)
	}
	return &guide{server: &server{t: t, data: filepath.Join(dir, "eye-data")}, dir: dir, ids: map[string]string{}}
}

// readmeState runs what README says before it names the guides.
func readmeState(t *testing.T) *guide {
	t.Helper()
	g := newGuide(t)
	g.args = []string{"--print-keys"}
	g.launch()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	printed := g.output.String()
	for _, block := range regexp.MustCompile("(?ms)^```\n(.*?)^```$").FindAllStringSubmatch(string(readme), -1) {
		script := block[1]
		for _, made := range []string{"eye_w_", "eye_r_"} {
			script = strings.ReplaceAll(script, made+"…", regexp.MustCompile(made+`\w+`).FindString(printed))
		}
		if first, _, _ := strings.Cut(script, " "); first == "export" || first == "curl" {
			g.script(script)
		}
	}
	return g
}

// script runs a block of commands, none of which may fail.
func (g *guide) script(text string) {
	g.t.Helper()
	code, out := g.bash("set -e\n" + text)
	if code != 0 {
		g.t.Errorf("code %d of\n%s\n%s", code, text, out)
	}
	if strings.Contains(text, "curl") && regexp.MustCompile(`"status":[45]\d\d,"detail"`).MatchString(out) && !strings.Contains(text, "yesterday") {
		g.t.Errorf("an error answers\n%s\n%s", text, out)
	}
}

// session runs commands that stand behind "$ " and compares what they print with what follows. `cat
// FILE` makes the file.
func (g *guide) session(text string) {
	g.t.Helper()
	for _, part := range strings.Split("\n"+text, "\n$ ")[1:] {
		command, want, _ := strings.Cut(part, "\n")
		for strings.HasSuffix(command, "\\") {
			var more string
			more, want, _ = strings.Cut(want, "\n")
			command += "\n" + more
		}
		if file, ok := strings.CutPrefix(command, "cat "); ok {
			if err := os.WriteFile(filepath.Join(g.dir, file), []byte(strings.TrimSuffix(want, "\n")+"\n"), 0o600); err != nil {
				g.t.Fatal(err)
			}
			continue
		}
		code, got := g.bash(command)
		if code != 0 && !regexp.MustCompile("eye: |rejected|damaged|checksum").MatchString(want) {
			g.t.Errorf("code %d of %s\n%s", code, command, got)
		}
		g.learn(want, got)
		if diff := firstOther(want, got); diff != "" && strings.TrimSpace(want) != "" {
			g.t.Errorf("%s\n%s\n--- prints\n%s", command, diff, got)
		}
	}
}

// bash runs commands in the folder of the repository. What they export is there for the next. `eye
// serve` is shown where it refuses to start: it takes no port that others may have, and is ended
// after a minute if it starts after all.
func (g *guide) bash(commands string) (code int, out string) {
	g.t.Helper()
	for shown, id := range g.ids {
		commands = strings.ReplaceAll(commands, shown, id)
	}
	commands = strings.ReplaceAll(commands, "127.0.0.1:8080", strings.TrimPrefix(g.url, "http://"))
	ctx, cancel := context.WithTimeout(g.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", "[ ! -f .exported ] || . ./.exported\nset -a\ntrap 'export -p > .exported' EXIT\n"+commands)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Dir = g.dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(g.dir, "bin")+":"+os.Getenv("PATH"), "EYE_LISTEN=127.0.0.1:0")
	b, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		g.t.Fatal(err)
	}
	out = strings.ReplaceAll(string(b), g.dir+"/", "")
	return cmd.ProcessState.ExitCode(), strings.ReplaceAll(out, strings.TrimPrefix(g.url, "http://"), "127.0.0.1:8080")
}

const (
	uuidPattern = `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`
	idPattern   = uuidPattern + `|key_\w+|[0-9a-f]{16}\.blk`
)

// learn remembers which ids of this run stand for those that the guide shows.
func (g *guide) learn(want, got string) {
	ids := regexp.MustCompile(idPattern)
	shown, made := ids.FindAllString(want, -1), ids.FindAllString(got, -1)
	for i := range min(len(shown), len(made)) {
		g.ids[shown[i]] = made[i]
	}
}

// firstOther shows the first line of a shown output that was not printed; a line "…" stands for any
// lines, and "…" at the end of a line for any text.
func firstOther(want, got string) string {
	wants, gots := strings.Split(strings.TrimSpace(want), "\n"), strings.Split(strings.TrimSpace(got), "\n")
	for len(wants) > 0 {
		line := wants[0]
		wants = wants[1:]
		if line == "…" {
			if len(wants) == 0 {
				return ""
			}
			for len(gots) > 0 && !alike(wants[0], gots[0]) {
				gots = gots[1:]
			}
			continue
		}
		if len(gots) == 0 {
			return fmt.Sprintf("does not print\n%s", line)
		}
		if !alike(line, gots[0]) {
			return fmt.Sprintf("prints\n%s\nbut the guide shows\n%s", gots[0], line)
		}
		gots = gots[1:]
	}
	if len(gots) > 0 {
		return fmt.Sprintf("prints also\n%s", gots[0])
	}
	return ""
}

// alike compares two lines but for what differs from run to run.
func alike(want, got string) bool {
	steady := func(line string) string {
		for _, r := range []struct{ pattern, with string }{
			{`eye_[wralo]_\w+`, "KEY"},
			{idPattern, "ID"},
			{`whsec_[\w+/=]+`, "SECRET"},
			{`\d{4}-\d\d-\d\dT[\d:.]+Z`, "TIME"},
			{`\b\d\d:\d\d UTC`, "TIME"},
			{`\d+ files?, [\d.]+ \w+ were copied`, "FILES were copied"}, // a key's last use may be among them
			{`\b\d+(\.\d+)? (B|KiB|MiB|GiB)\b`, "SIZE"},
			{`\.[0-9a-f]{12}\b`, ".SUM"},
			{`\s+`, " "},
		} {
			line = regexp.MustCompile(r.pattern).ReplaceAllString(line, r.with)
		}
		return strings.TrimSpace(line)
	}
	if begins, ok := strings.CutSuffix(strings.TrimSpace(want), "…"); ok {
		return strings.HasPrefix(steady(got), steady(begins))
	}
	return steady(want) == steady(got)
}
