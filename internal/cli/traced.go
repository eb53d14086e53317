package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/jsonx"
)

// tracedReader remembers the text that was read since a place, in order to determine the line and
// column of later places.
type tracedReader struct {
	r    io.Reader
	text []byte      // since start
	from jsonx.Place // where text begins
}

func newTracedReader(r io.Reader) *tracedReader {
	return &tracedReader{r: r, from: jsonx.Place{Line: 1, Column: 1}}
}

// Read implements io.Reader.
func (t *tracedReader) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.text = append(t.text, p[:n]...)
	return n, err
}

// at returns the place of a byte that was read and not yet forgotten.
func (t *tracedReader) at(offset int) jsonx.Place {
	passed := t.text[:min(max(offset-t.from.Offset, 0), len(t.text))]
	at := jsonx.Place{Offset: t.from.Offset + len(passed), Line: t.from.Line, Column: t.from.Column}
	if lines := bytes.Count(passed, []byte{'\n'}); lines > 0 {
		at.Line, at.Column = at.Line+lines, 1
		passed = passed[bytes.LastIndexByte(passed, '\n')+1:]
	}
	at.Column += utf8.RuneCount(passed)
	return at
}

// forget drops the text before a byte.
func (t *tracedReader) forget(offset int) {
	at := t.at(offset)
	t.text, t.from = t.text[at.Offset-t.from.Offset:], at
}

// fault turns a decoder's error into a fault of the input.
func (t *tracedReader) fault(err error) error {
	var (
		syntax *jsontext.SyntacticError
		known  *inputError
	)
	switch {
	case errors.Is(err, errInterrupted):
		return err
	case errors.As(err, &known):
		return known
	case errors.As(err, &syntax):
		relative := *syntax
		relative.ByteOffset -= int64(t.from.Offset)
		err = &relative
	}
	within, reason, ok := jsonx.SyntaxPlace(bytes.TrimRight(t.text, " \t\r\n"), err)
	if !ok {
		return fmt.Errorf("read input: %w", err)
	}
	at := t.at(t.from.Offset + within.Offset)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return &inputError{fmt.Sprintf(": %s at line %d, column %d", reason, at.Line, at.Column)}
	}
	return &inputError{fmt.Sprintf(": not JSON at line %d, column %d: %s", at.Line, at.Column, reason)}
}
