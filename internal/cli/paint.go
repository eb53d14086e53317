package cli

import (
	"io"
	"strings"
)

// paint is a colour of text on a terminal: the parameter of the control sequence SGR (ECMA-48).
type paint string

// The colours that are used.
const (
	plain  paint = ""
	faint  paint = "2"
	red    paint = "31"
	yellow paint = "33"
	cyan   paint = "36"
)

// painted is a piece of a line in one colour.
type painted struct {
	paint
	text string
}

// writeLine writes pieces as one line. Colours are used only on a terminal that has them, and not
// if NO_COLOR is set (https://no-color.org).
func writeLine(to io.Writer, getenv func(string) string, pieces ...painted) error {
	t, ok := to.(*terminal)
	if !ok || getenv("NO_COLOR") != "" || getenv("TERM") == "dumb" {
		var b strings.Builder
		for _, p := range pieces {
			b.WriteString(p.text)
		}
		_, err := io.WriteString(to, strings.TrimRight(b.String(), " ")+"\n")
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	for _, p := range pieces {
		shown, _ := escapeControls([]byte(p.text))
		if p.paint == plain {
			b.Write(shown)
			continue
		}
		b.WriteString("\x1b[" + string(p.paint) + "m")
		b.Write(shown)
		b.WriteString("\x1b[0m")
	}
	b.WriteByte('\n')
	_, err := io.WriteString(t.to, b.String())
	return err
}
