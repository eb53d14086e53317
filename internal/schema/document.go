package schema

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/jsonx"
)

// CompileError says why a document is refused as a schema.
type CompileError struct {
	Pointer string // JSON Pointer into the document; empty for the whole
	Reason  string // what is wrong and what is expected

	Line, Column int // where the document is not JSON, from 1; 0 if it is JSON
}

// Error returns pointer and reason.
func (e *CompileError) Error() string {
	if e.Pointer == "" {
		return e.Reason
	}
	return "at " + e.Pointer + ": " + e.Reason
}

func refuse(pointer, format string, args ...any) error {
	return &CompileError{Pointer: pointer, Reason: fmt.Sprintf(format, args...)}
}

// parseDocument parses the text strictly (no duplicate keys, valid UTF-8) into the values that the
// library expects, within the limits.
func parseDocument(document []byte) (*source, error) {
	if len(document) > MaxDocumentBytes {
		return nil, refuse("", "the schema is %d bytes long; at most %d are allowed", len(document), MaxDocumentBytes)
	}
	r := reader{decoder: jsontext.NewDecoder(strings.NewReader(string(document)))}
	value, err := r.value(1)
	if err == nil {
		if _, tail := r.decoder.ReadToken(); tail == nil {
			err = refuse("", "the document has more than one JSON value; a schema is a single value")
		}
	}
	var refused *CompileError
	at, reason, notJSON := jsonx.SyntaxPlace(document, err)
	switch {
	case err == nil:
	case errors.As(err, &refused):
		return nil, err
	case len(bytes.TrimSpace(document)) == 0:
		return nil, refuse("", "the document is empty; a schema is a JSON object, true or false")
	case notJSON:
		e := &CompileError{Line: at.Line, Column: at.Column, Reason: fmt.Sprintf("not JSON at line %d, column %d: %s", at.Line, at.Column, reason)}
		var syntax *jsontext.SyntacticError
		if errors.As(err, &syntax) && !errors.Is(err, io.ErrUnexpectedEOF) {
			e.Pointer = string(syntax.JSONPointer)
		}
		return nil, e
	default:
		return nil, refuse("", "not JSON: %v", jsonx.PlainJSON(err))
	}
	switch value.(type) {
	case map[string]any, bool:
		return &source{value: value, namesChecked: r.namesChecked}, nil
	}
	return nil, refuse("", "a schema must be a JSON object, true or false")
}

// source is the document of a schema, decoded.
type source struct {
	value        any  // a map[string]any or a bool
	namesChecked bool // it holds the word propertyNames
}

type reader struct {
	decoder         *jsontext.Decoder
	values, objects int
	namesChecked    bool
}

func (r *reader) refuse(format string, args ...any) error {
	return refuse(string(r.decoder.StackPointer()), format, args...)
}

func (r *reader) value(depth int) (any, error) {
	token, err := r.decoder.ReadToken()
	if err != nil {
		return nil, err
	}
	if r.values++; r.values > MaxValues {
		return nil, refuse("", "the schema has more than %d values", MaxValues)
	}
	kind := token.Kind()
	if (kind == '{' || kind == '[') && depth > MaxDepth {
		return nil, r.refuse("the schema is nested deeper than %d levels", MaxDepth)
	}
	switch kind {
	case '{':
		return r.object(depth)
	case '[':
		return r.array(depth)
	case '0':
		n := token.String()
		if !numberInRange(n) {
			return nil, r.refuse("a number may have at most %d digits and an exponent of at most %d", jsonx.MaxNumberDigits, jsonx.MaxNumberExponent)
		}
		return stdjson.Number(n), nil
	case '"':
		return token.String(), nil
	case 'n':
		return nil, nil
	}
	return token.Bool(), nil
}

func (r *reader) object(depth int) (any, error) {
	if r.objects++; r.objects > MaxObjects {
		return nil, refuse("", "the schema has more than %d objects", MaxObjects)
	}
	object := map[string]any{}
	for r.decoder.PeekKind() != '}' {
		key, err := r.decoder.ReadToken()
		if err != nil {
			return nil, err
		}
		name := key.String()
		r.namesChecked = r.namesChecked || name == "propertyNames"
		value, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if n, ok := value.(stdjson.Number); ok && isCount(name) {
			if f, err := strconv.ParseFloat(string(n), 64); err != nil || f > 1<<31 {
				return nil, r.refuse("%s is too large", name)
			}
		}
		object[name] = value
	}
	_, err := r.decoder.ReadToken()
	return object, err
}

func (r *reader) array(depth int) (any, error) {
	array := []any{}
	for r.decoder.PeekKind() != ']' {
		value, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		array = append(array, value)
	}
	_, err := r.decoder.ReadToken()
	return array, err
}

// isCount reports whether a keyword counts something. The library stores such numbers as int and
// would silently truncate larger ones.
func isCount(name string) bool {
	switch name {
	case "minLength", "maxLength", "minItems", "maxItems", "minProperties",
		"maxProperties", "minContains", "maxContains":
		return true
	}
	return false
}

// numberInRange reports whether the validator can compute with the literal of a JSON number at a
// small, bounded cost.
func numberInRange(literal string) bool {
	if len(literal) <= 16 && !strings.ContainsAny(literal, "eE") {
		return true
	}
	_, _, within := jsonx.MeasureNumber(literal)
	return within
}
