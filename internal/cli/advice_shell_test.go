package cli

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

// strangeWords are texts that a shell would split or expand, such as session ids that others chose.
var strangeWords = []string{"", "plain", "/my data/it's", "it's a $HOME `id`", "a\x1b[31mb", "two\nlines", "tab\t", `back\slash' ` + "\u202e", "\xff", "$(id)", "-x", "~", "100%\t%s", "\t'quoted'", "-\t7"}

// A quoted word is printable, and a shell reads it back as the same word.
func TestShellWordIsTakenBack(t *testing.T) {
	for _, word := range strangeWords {
		text := shellWord(word)
		if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) }) {
			t.Errorf("%q: %q cannot be printed", word, text)
		}
		for _, shell := range []string{"bash", "sh"} {
			if got := pasted(t, shell, "printf '%s\\n' "+printable(text, maxMessage)); !cmp.Equal(got, []string{word}) {
				t.Errorf("%q: %s is %q in %s", word, text, got, shell)
			}
		}
	}
	// A POSIX shell cannot express this in one word.
	word := "\ttwo'\n"
	if text := shellWord(word); pasted(t, "bash", "printf '%s\\n' "+text)[0] != word {
		t.Errorf("%q: %s", word, text)
	}
}

// pasted returns the output of a command in a shell, without its last newline.
func pasted(t *testing.T, shell, command string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), shell, "-c", command)
	cmd.Env = []string{"HOME=/home/somebody", "LC_ALL=C.UTF-8"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return []string{strings.TrimSuffix(string(out), "\n")}
}

// The command that an erasure advises can be pasted: it names the same session, applications and
// directory, whatever they are called.
func TestAdvisedErasureCanBePasted(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"session_id":"s","erased_at":"2026-01-01T00:00:00Z","apps":[],"unsearched":[{"where":"queue/quarantine","files":1,"bytes":9}]}`)
	}))
	defer server.Close()
	for _, word := range strangeWords[1:] {
		var out, warned bytes.Buffer
		cmd := newEraseCommand(stdio{out: &out, err: &warned})
		cmd.SetArgs([]string{"--yes", "--session", word, "--app", "shop", "--url", server.URL})
		cmd.SetOut(io.Discard)
		if err := cmd.ExecuteContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		// The last back quote ends the command: a word may hold others.
		text := warned.String()
		from, to := strings.IndexByte(text, '`'), strings.LastIndexByte(text, '`')
		got := pasted(t, "bash", "eye() { printf '%s|' \"$@\"; }\n"+text[from+1:to])
		want := []string{strings.Join([]string{"erase", "--url", server.URL, "--session", word, "--app", "shop", "--quarantine"}, "|") + "|"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s\n%s", text, diff)
		}
	}
}
