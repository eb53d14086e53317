package cli

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTerminalsAreShownNoControlCharacters(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"text", "äöü 漢字 😀\tx\n", "äöü 漢字 😀\tx\n"},
		{"escape", "a\x1b[31mb\x1b]0;title\x07", `a\u001b[31mb\u001b]0;title\u0007`},
		{"a line that is written over", "safe\rgone\r\r\n", `safe\u000dgone\u000d` + "\r\n"},
		{"backspace, NUL, DEL", "a\b\x00\x7f", `a\u0008\u0000\u007f`},
		{"C1", "\u0080\u009b31m\u009f\u00a0", `\u0080\u009b31m\u009f` + "\u00a0"},
		{"C1 as a byte", "a\x9b31m\xff", `a\x9b31m\xff`},
		{"directions", "\u202a\u202e\u2066\u2069\u202f\u2065", `\u202a\u202e\u2066\u2069` + "\u202f\u2065"},
		{"marks of direction in Hebrew", "א\u200f!", "א\u200f!"},
		{"unfinished", "a\xf0\x9f\x98", `a\xf0\x9f\x98`},
		{"unfinished line", "a\r", `a\x0d`},
		{"the character for an error", "\ufffd", "\ufffd"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for at := range len(c.text) + 1 {
				var b bytes.Buffer
				out := &terminal{to: &b}
				for _, part := range []string{c.text[:at], c.text[at:]} {
					if n, err := out.Write([]byte(part)); n != len(part) || err != nil {
						t.Fatalf("Write: %d, %v", n, err)
					}
				}
				out.finish()
				if diff := cmp.Diff(c.want, b.String()); diff != "" {
					t.Errorf("cut at %d: %s", at, diff)
				}
			}
		})
	}
}
