package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"unicode/utf8"

	"golang.org/x/term"
)

// terminal writes to a terminal. Much of what is shown comes from outside, even from strangers with
// the key of a web page. Characters that would move the cursor, change colours or titles, or
// reverse the writing direction are therefore escaped.
//
// It is safe for concurrent use.
type terminal struct {
	to   io.Writer
	mu   sync.Mutex // guards what follows
	rest []byte     // the beginning of a character whose other bytes have not arrived
}

// wrapTerminal returns a file, wrapped in a terminal if it is one.
func wrapTerminal(file *os.File) io.Writer {
	if term.IsTerminal(int(file.Fd())) {
		return &terminal{to: file}
	}
	return file
}

// isTerminal reports whether wrapTerminal returned a terminal.
func isTerminal(to io.Writer) bool {
	_, ok := to.(*terminal)
	return ok
}

// Write writes escaped text. It holds back the last bytes of p if they are an incomplete character.
func (t *terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := slices.Concat(t.rest, p)
	shown, rest := escapeControls(text)
	t.rest = rest
	if _, err := t.to.Write(shown); err != nil {
		return 0, err
	}
	return len(p), nil
}

// finish writes what was held back.
func (t *terminal) finish() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, b := range t.rest {
		_, _ = fmt.Fprintf(t.to, `\x%02x`, b)
	}
	t.rest = nil
}

// finish ends an output that wrapTerminal returned.
func finish(to io.Writer) {
	if t, ok := to.(*terminal); ok {
		t.finish()
	}
}

// escapeControls returns text with its control characters escaped as in JSON, and the rest that
// cannot be judged without the bytes that follow.
func escapeControls(text []byte) (shown, rest []byte) {
	shown = make([]byte, 0, len(text))
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == '\r' && len(text) == 1, r == utf8.RuneError && !utf8.FullRune(text):
			return shown, text
		case r == '\r' && text[1] == '\n': // the end of a line in CSV
			shown = append(shown, '\r')
		case r == utf8.RuneError && size == 1: // some terminals treat such a byte as a control character
			shown = fmt.Appendf(shown, `\x%02x`, text[0])
		case isControl(r):
			shown = fmt.Appendf(shown, `\u%04x`, r)
		default:
			shown = append(shown, text[:size]...)
		}
		text = text[size:]
	}
	return shown, nil
}

// isControl reports whether a character controls a terminal: C0 except tab and newline, DEL, C1, and
// the embeddings, overrides and isolates of bidirectional text (Unicode Standard Annex 9).
func isControl(r rune) bool {
	return r < 0x20 && r != '\t' && r != '\n' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}
