package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The files in testdata/messages list what a user is told, as it is told: a line that begins with
// "> " provokes a message, and the lines up to the next empty one are the message. `make messages`
// writes them anew. Lines that begin with "#" are comments. What provokes is one of
//
//	> METHOD PATH KEY [HEADER:VALUE…] [BODY]   a request with a key (none, write, read, read-all, admin); a BODY q"…" is a Go string
//	> event MEMBERS                            an event with these members besides or instead of the usual ones; null removes one
//	> data SCHEMA DATA                         an event with these data, of a type with this schema
//	> schema SCHEMA                            a schema that is put
//	> eye …, or > bash … eye …                  a command beside a server
//	> start …                                  flags of a server on a new data directory, or VARIABLE=value before them
//
// What differs from run to run is replaced: TIME, UUID, KEY, DIR, PORT.
func TestMessages(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("testdata/messages/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatal("there are no messages", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := provokeAll(t, string(text))
			if os.Getenv("EYE_TEST_UPDATE") != "" {
				if err := os.WriteFile(name, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := firstDifference(string(text), got); diff != "" {
				t.Errorf("%s: %s\nRun make messages, and read what changed.", name, diff)
			}
		})
	}
}

// firstDifference shows where two texts differ, with the line that provoked it.
func firstDifference(want, got string) string {
	wants, gots := strings.Split(want, "\n"), strings.Split(got, "\n")
	provoked := ""
	for i, line := range gots {
		if strings.HasPrefix(line, "> ") {
			provoked = line
		}
		if i >= len(wants) || wants[i] != line {
			return fmt.Sprintf("%s\ngot  %s\nwant %s", provoked, line, strings.Join(wants[min(i, len(wants)):min(i+1, len(wants))], ""))
		}
	}
	if len(wants) != len(gots) {
		return "it has lines that nothing provokes"
	}
	return ""
}

// provoker provokes messages of one server, or of many that do not start.
type provoker struct {
	*server
	dir  string // where commands run
	keys map[string]string
	n    int // types made so far
}

func provokeAll(t *testing.T, text string) string {
	t.Helper()
	p := &provoker{server: start(t, "--max-batch-events", "5"), dir: t.TempDir()}
	p.keys = map[string]string{"none": "", "write": p.write, "read": p.read, "admin": p.admin}
	a := p.call("POST", "/v1/keys", p.admin, `{"kind":"read"}`)
	p.must(a, 201)
	p.keys["read-all"] = a.text("key")
	var out strings.Builder
	said := true // the lines after a provocation are written anew
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		provocation, provokes := strings.CutPrefix(line, "> ")
		switch {
		case provokes:
			fmt.Fprintf(&out, "%s\n%s\n", line, p.steady(p.provoke(provocation)))
			said = false
		case line == "":
			out.WriteString("\n")
			said = true
		case said || strings.HasPrefix(line, "#"):
			fmt.Fprintln(&out, line)
		}
	}
	return out.String()
}

func (p *provoker) provoke(line string) string {
	p.t.Helper()
	what, rest, _ := strings.Cut(line, " ")
	switch what {
	case "event":
		const event = `"session_id":"s","category":"c","name":"n","data":{},"timestamp":"2026-01-01T00:00:00Z"`
		members := map[string]string{}
		var order []string
		for _, m := range append(splitMembers(event), splitMembers(rest)...) {
			name, value, _ := strings.Cut(m, ":")
			if _, known := members[name]; !known {
				order = append(order, name)
			}
			members[name] = value
		}
		var body []string
		for _, name := range order {
			if members[name] != "null" {
				body = append(body, name+":"+members[name])
			}
		}
		return shown(p.request("POST", "/v1/events", p.write, "{"+strings.Join(body, ",")+"}"))
	case "schema":
		p.n++
		return shown(p.request("PUT", fmt.Sprintf("/v1/types/c/t%d", p.n), p.admin, p.body(rest)))
	case "data":
		schema, data, ok := strings.Cut(rest, " ")
		if !ok {
			p.t.Fatalf("%q has no data", line)
		}
		p.n++
		if a := p.request("PUT", fmt.Sprintf("/v1/types/c/t%d", p.n), p.admin, schema); a.status != 200 {
			p.t.Fatalf("the schema %s: %s", schema, a.body)
		}
		return shown(p.request("POST", "/v1/events", p.write, fmt.Sprintf(`{"session_id":"s","category":"c","name":"t%d","data":%s,"timestamp":"2026-01-01T00:00:00Z"}`, p.n, data)))
	case "eye", "bash":
		code, out := p.bash(strings.TrimPrefix(line, "bash "))
		return fmt.Sprintf("%sexit code %d", withNewline(out), code)
	case "start":
		dir := p.t.TempDir()
		env := ""
		for {
			word, more, _ := strings.Cut(rest, " ")
			if !regexp.MustCompile(`^[A-Z_]+=`).MatchString(word) {
				break
			}
			env, rest = env+word+" ", more
		}
		// A server that does start is stopped.
		code, out := p.bash(env + "DIR=" + dir + " timeout -s TERM 20 eye serve --listen 127.0.0.1:0 --data " + dir + " " + rest)
		return fmt.Sprintf("%sexit code %d", withNewline(strings.ReplaceAll(out, dir, "DIR")), code)
	}
	path, rest, _ := strings.Cut(rest, " ")
	key, rest, _ := strings.Cut(rest, " ")
	secret, known := p.keys[key]
	if !known {
		p.t.Fatalf("%q names no key", line)
	}
	var header []string
	for {
		word, more, _ := strings.Cut(rest, " ")
		name, value, ok := strings.Cut(word, ":")
		if !ok || !regexp.MustCompile(`^[A-Z][A-Za-z-]+$`).MatchString(name) {
			break
		}
		header, rest = append(header, name, value), more
	}
	return shown(p.request(what, path, secret, p.body(rest), header...))
}

// body reads a body as it is written in a provocation.
func (p *provoker) body(text string) string {
	p.t.Helper()
	quoted, ok := strings.CutPrefix(text, "q")
	if !ok {
		return text
	}
	body, err := strconv.Unquote(quoted)
	if err != nil {
		p.t.Fatalf("%q: %v", text, err)
	}
	return body
}

func (p *provoker) request(method, path, key, body string, header ...string) reply {
	p.t.Helper()
	a, err := p.try(method, path, key, []byte(body), header...)
	if err != nil {
		p.t.Fatal(err)
	}
	return a
}

// splitMembers takes the members of an object apart that has no commas but between them, besides
// those in its values.
func splitMembers(text string) (members []string) {
	depth, quoted, from := 0, false, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == ',' && depth == 0:
			members = append(members, text[from:i])
			from = i + 1
		}
	}
	if from < len(text) {
		members = append(members, text[from:])
	}
	return members
}

// shown is an answer as a user reads it: a line for each thing that is said.
func shown(a reply) string {
	doc := a.json()
	lines := []string{strconv.Itoa(a.status)}
	if detail, ok := doc["detail"]; ok {
		lines = append(lines, fmt.Sprint(detail))
		for _, member := range []string{"line", "column", "pointer"} {
			if value, ok := doc[member]; ok {
				lines = append(lines, fmt.Sprintf("%s: %v", member, value))
			}
		}
	}
	if message, ok := doc["message"]; ok {
		lines = append(lines, fmt.Sprint(message))
	}
	say := func(list any, members ...string) {
		items, _ := list.([]any)
		for _, item := range items {
			var parts []string
			for _, member := range members {
				parts = append(parts, fmt.Sprint(item.(map[string]any)[member]))
			}
			lines = append(lines, strings.Join(parts, " | "))
		}
	}
	if events, ok := doc["events"].([]any); ok {
		for _, event := range events {
			say(event.(map[string]any)["problems"], "code", "pointer", "message")
		}
	}
	say(doc["reasons"], "pointer", "reason")
	say(doc["warnings"], "pointer", "message")
	return strings.Join(lines, "\n")
}

func withNewline(text string) string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text
}

// bash runs a line beside the server. The command is eye, as a user calls it.
func (p *provoker) bash(line string) (code int, out string) {
	p.t.Helper()
	bin := p.t.TempDir()
	if err := os.Symlink(binary(p.t, ""), filepath.Join(bin, "eye")); err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.Command("bash", "-c", line)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "EYE_DATA="+p.data)
	b, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		p.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(b)
}

// steady replaces what is not the same in every run.
func (p *provoker) steady(text string) string {
	text = strings.NewReplacer(p.data, "DIR", p.dir, "WD", strings.TrimPrefix(p.url, "http://127.0.0.1:"), "PORT").Replace(text)
	for _, r := range []struct{ pattern, with string }{
		{`eye_[wralo]_[0-9A-Za-z]+`, "KEY"},
		{`key_[0-9A-Za-z]+`, "KEY_ID"},
		{`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`, "UUID"},
		{time.Now().UTC().Format("2006-01-") + `[0-9]{2}T[0-9:.]+Z`, "TIME"},
		{`[0-9]+d ahead`, "DAYS ahead"},
		{`"time":"[^"]*"`, `"time":"TIME"`},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.with)
	}
	return text
}
