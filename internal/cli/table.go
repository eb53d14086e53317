package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
)

// maxCell bounds the text of one cell, in code points.
const maxCell = 80

// table writes rows in columns. A write error is kept and returned by flush.
type table struct {
	w   *tabwriter.Writer
	err error
}

func newTable(out io.Writer, head ...string) *table {
	t := &table{w: tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
	if len(head) > 0 {
		t.row(head...)
	}
	return t
}

// row writes one row. Cells may contain text from outside: control characters are escaped, and long
// text is truncated.
func (t *table) row(cells ...string) {
	shown := make([]string, len(cells))
	for i, c := range cells {
		shown[i] = printable(c, maxCell)
	}
	if _, err := fmt.Fprintln(t.w, strings.Join(shown, "\t")); err != nil && t.err == nil {
		t.err = err
	}
}

// flush writes the buffered rows. Later rows have column widths of their own.
func (t *table) flush() error {
	if err := t.w.Flush(); err != nil && t.err == nil {
		t.err = err
	}
	return t.err
}

// printable returns at most limit code points of a text, with control and format characters
// escaped.
func printable(text string, limit int) string {
	var b strings.Builder
	n := 0
	for _, r := range text {
		if n++; n > limit {
			b.WriteString("…")
			break
		}
		switch {
		case r == '\n' || r == '\t':
			b.WriteByte(' ')
		case !unicode.IsGraphic(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// sizeText formats a number of bytes for people.
func sizeText(n int64) string {
	const unit = 1024
	names := []string{"KiB", "MiB", "GiB", "TiB"}
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	size := float64(n) / unit
	for size >= unit && len(names) > 1 {
		size, names = size/unit, names[1:]
	}
	return fmt.Sprintf("%.1f %s", size, names[0])
}

func orDash(text *string) string {
	if text == nil || *text == "" {
		return "-"
	}
	return *text
}
