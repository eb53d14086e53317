package jsonx

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// SyntaxPlace returns where and why a text, for which a JSON reader returned err, is not JSON. ok
// is false if err is an error of another kind.
func SyntaxPlace(text []byte, err error) (at *Place, reason string, ok bool) {
	var syntax *jsontext.SyntacticError
	isSyntax := errors.As(err, &syntax)
	early := errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
	switch form := ForeignForm(text); {
	case !isSyntax && !early:
		return nil, "", false
	case form == "gzip" || form == "zstd":
		return PlaceAt(text, 0), "this is " + form + ", which is not decompressed here", true
	case form != "":
		return PlaceAt(text, 0), NotUTF8(form), true
	case early:
		return PlaceAt(text, len(text)), tooEarly, true
	}
	offset := int(min(syntax.ByteOffset, int64(len(text))))
	if comma, missing := missingValue(text, offset); missing != "" {
		return PlaceAt(text, comma), missing, true
	}
	return PlaceAt(text, offset), syntaxReason(syntax), true
}

const tooEarly = "the JSON ends too early"

func syntaxReason(err *jsontext.SyntacticError) string {
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return DuplicateKey(err.JSONPointer.LastToken())
	}
	return err.Err.Error()
}

// DuplicateKey says that an object has a duplicate key.
func DuplicateKey(key string) string { return fmt.Sprintf("the key %.80q occurs twice", key) }

// missingValue returns what is missing before or after a comma or a colon at the place where a text
// stops being JSON, and the place to show. missing is empty if something else is wrong.
func missingValue(text []byte, offset int) (at int, missing string) {
	const space = " \t\r\n"
	if offset >= len(text) {
		return 0, ""
	}
	before := bytes.TrimRight(text[:offset], space)
	last := func() byte {
		if len(before) == 0 {
			return 0
		}
		return before[len(before)-1]
	}()
	next := text[offset]
	switch {
	case next == ',' && last == '{':
		return offset, "a member is missing before the comma"
	case next == ',' && (last == '[' || last == ',' || last == ':'):
		return offset, "a value is missing before the comma"
	case next == ',': // the reader reports the comma for what follows it
		if behind := bytes.TrimLeft(text[offset+1:], space); len(behind) > 0 {
			return offset, missingAfter(behind[0])
		}
	case last == ',':
		return len(before) - 1, missingAfter(next)
	case last == ':' && (next == '}' || next == ']'):
		return offset, "a value is missing after the colon"
	}
	return 0, ""
}

func missingAfter(next byte) string {
	switch next {
	case '}':
		return "a member is missing after the comma"
	case ']':
		return "a value is missing after the comma"
	}
	return ""
}

// NotUTF8 says what to do about a body in UTF-16 or UTF-32.
func NotUTF8(form string) string { return "this is " + form + "; JSON is sent as UTF-8" }

// PlainJSON returns an error of a JSON reader with a text for people. It wraps err; errors of other
// kinds are returned unchanged.
func PlainJSON(err error) error {
	var syntax *jsontext.SyntacticError
	var semantic *json.SemanticError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &plainError{tooEarly, err}
	case errors.As(err, &syntax):
		text := syntaxReason(syntax)
		if syntax.ByteOffset > 0 && !errors.Is(err, jsontext.ErrDuplicateName) {
			text += " after byte " + strconv.FormatInt(syntax.ByteOffset, 10)
		}
		return &plainError{text, err}
	case errors.As(err, &semantic) && errors.Is(err, json.ErrUnknownName):
		return &plainError{fmt.Sprintf("unknown member %.80q", semantic.JSONPointer.LastToken()), err}
	case errors.As(err, &semantic) && semantic.JSONPointer == "":
		return &plainError{"it does not have the expected form", err}
	case errors.As(err, &semantic):
		return &plainError{fmt.Sprintf("the value at %.80s does not have the expected form", semantic.JSONPointer), err}
	}
	return err
}

type plainError struct {
	text string
	err  error
}

func (e *plainError) Error() string { return e.text }
func (e *plainError) Unwrap() error { return e.err }
