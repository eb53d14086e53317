package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/jsonx"
	"theeye/internal/schema"
)

// unmarshalStrict reads a small JSON body without unknown members. The error is a *ProblemDetails
// that speaks of JSON, not of Go.
func unmarshalStrict(body []byte, into any) error {
	err := json.Unmarshal(body, into, json.RejectUnknownMembers(true))
	if err == nil {
		return nil
	}
	var semantic *json.SemanticError
	at, reason, notJSON := jsonx.SyntaxPlace(body, err)
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		return NewProblem(http.StatusBadRequest, "the body is empty: send a JSON object")
	case notJSON:
		p := Problemf(http.StatusBadRequest, "not JSON at line %d, column %d: %s", at.Line, at.Column, reason)
		p.Line, p.Column = at.Line, at.Column
		return p
	case errors.As(err, &semantic):
		return NewProblem(http.StatusBadRequest, wrongMember(semantic))
	}
	return Problemf(http.StatusBadRequest, "the body cannot be read: %s", jsonx.PlainJSON(err))
}

// wrongMember says which member has a value of the wrong kind, and what it must be.
func wrongMember(err *json.SemanticError) string {
	where := "the body"
	if err.JSONPointer != "" {
		where = string(err.JSONPointer)
	}
	if errors.Is(err, json.ErrUnknownName) {
		return "unknown member " + strconv.Quote(err.JSONPointer.LastToken()) + "; known are " + strings.Join(members(err.GoType), ", ")
	}
	if err.GoType == nil {
		return where + " has a value that is not allowed here"
	}
	wanted, got := noun(err.GoType), map[jsontext.Kind]string{
		'n': "null", 'f': "false", 't': "true", '"': "a string", '0': "a number", '{': "an object", '[': "an array",
	}[err.JSONKind]
	if wanted == wholeNumber && err.JSONKind == '0' {
		wanted, got = wantedNumber(string(err.JSONValue)), fmt.Sprintf("%.40s", err.JSONValue)
	}
	if got == "" || got == wanted || got == "a string" && err.GoType == reflect.TypeFor[time.Time]() {
		return where + " must be " + wanted
	}
	return where + " must be " + wanted + ", not " + got
}

const wholeNumber = "a whole number"

// wantedNumber describes the integer that is expected in place of a number.
func wantedNumber(literal string) string {
	if strings.Trim(literal, "-0123456789") == "" {
		return wholeNumber + " of at most 18 digits"
	}
	if n, err := strconv.ParseFloat(literal, 64); err == nil && n == math.Trunc(n) {
		return wholeNumber + ", written without fraction or exponent"
	}
	return wholeNumber
}

// members returns the names of the JSON members of a struct.
func members(t reflect.Type) (names []string) {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous:
			names = append(names, members(field.Type)...)
		case name != "" && name != "-":
			names = append(names, name)
		}
	}
	return names
}

// noun names the kind of JSON value that a Go type accepts.
func noun(t reflect.Type) string {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == reflect.TypeFor[time.Time]() {
		return "a time in RFC 3339, such as 2006-01-02T15:04:05Z"
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "a JSON object"
	case reflect.Float32, reflect.Float64:
		return "a number"
	}
	return wholeNumber
}

// maxAdminBody bounds the body of an administrative request, in bytes.
const maxAdminBody = 2 * schema.MaxDocumentBytes

// ReadJSON reads a small JSON body without unknown members.
func (c *Call) ReadJSON(into any) error { return c.ReadSmallJSON(into, maxAdminBody) }

// ReadSmallJSON is ReadJSON for a body of at most limit bytes.
func (c *Call) ReadSmallJSON(into any, limit int64) error {
	b, err := io.ReadAll(http.MaxBytesReader(c.w, c.Body, limit))
	if errors.As(err, new(*http.MaxBytesError)) {
		return Problemf(http.StatusRequestEntityTooLarge, "the body is larger than %s", SizeText(limit))
	}
	if err != nil {
		return err
	}
	return unmarshalStrict(jsonx.WithoutBOM(b), into)
}
