// Package schema compiles the JSON Schema of an event type, checks event data against it, and
// decides whether one version is compatible with another.
//
// It does not store event types or choose their versions.
package schema

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"theeye/internal/event"
)

// dataPointer is the place of data in an event; all problems are at or below it.
const dataPointer = "/data"

// Type is one version of an event type with its compiled schema. It is immutable except for its
// counter, and safe for concurrent use.
type Type struct {
	Category string
	Name     string
	Version  uint32
	Document []byte // as given to Compile; must not be changed

	schema   *jsonschema.Schema
	cost     cost
	printer  *message.Printer
	warnings []Warning
	unusable string // why every check fails, or ""
	failures atomic.Uint64
}

// Compile compiles a JSON Schema and returns the event type that it defines. The document is kept,
// not copied: the caller must not change it afterwards.
//
// The dialect is Draft 2020-12 unless "$schema" names draft-06, draft-07 or 2019-09; any other is
// refused. "$ref" must stay inside the document: nothing is ever loaded from a file or the network.
// "format" is asserted for the names that the specification defines and ignored for others, as the
// specification requires. Patterns are RE2 (Go's regexp): no look-around and no back-references.
// "$dynamicRef" and "$recursiveRef" are refused. The limits are in limits.go.
//
// The error for a refused document is a *CompileError; Compile never panics. It is safe for
// concurrent use.
func Compile(category, name string, version uint32, document []byte) (t *Type, err error) {
	defer func() {
		if r := recover(); r != nil {
			t, err = nil, &CompileError{Reason: fmt.Sprintf("the schema cannot be compiled: %v", r)}
		}
	}()
	doc, err := parseDocument(document)
	if err != nil {
		return nil, err
	}
	compiled, err := compile(doc)
	if err != nil {
		return nil, err
	}
	g, err := newGraph(compiled)
	if outside, ok := errors.AsType[*outsideError](err); ok {
		target, _, _ := strings.Cut(outside.location, "#")
		err = refuse(doc.reference(func(u *url.URL) bool { return withoutFragment(u) == target }), "%s", outside.Error())
	}
	if err != nil {
		return nil, err
	}
	cost, err := measure(g, compiled)
	if err != nil {
		return nil, err
	}
	replaceUnique(g)
	return &Type{
		Category: category,
		Name:     name,
		Version:  version,
		Document: document,
		schema:   compiled,
		cost:     cost,
		printer:  message.NewPrinter(language.English),
	}, nil
}

// Unusable returns a type that was accepted in the past but cannot be compiled by this server. Its
// check fails for all data with a problem that says why, so that nothing passes unchecked and
// everything can be replayed.
func Unusable(category, name string, version uint32, reason error) *Type {
	return &Type{
		Category: category,
		Name:     name,
		Version:  version,
		unusable: fmt.Sprintf("version %d of the schema cannot be used by this server: %v", version, reason),
	}
}

// Check returns the violations of the schema in data, the decoded value of the event's data:
// map[string]any, []any, string, encoding/json.Number, bool or nil. It returns nil if data
// conforms.
//
// All violations are reported, at most MaxProblems, ordered by pointer, then by message. Pointers
// begin with "/data"; that of a missing or an extra property is the property's own place. Data that
// is too deep, contains a number outside the limits or would take too long is also a problem, so
// Check is safe for any value. A panic of the validator becomes one problem at "/data" and is
// counted by Failures.
//
// Check is safe for concurrent use. It only reads data, which must not change in the meantime.
func (t *Type) Check(data any) (problems []event.Problem) {
	defer func() {
		if r := recover(); r != nil {
			t.failures.Add(1)
			problems = []event.Problem{violation(dataPointer, "the validator failed on this data, so it could not be validated")}
		}
	}()
	if t.unusable != "" {
		return []event.Problem{violation(dataPointer, t.unusable)}
	}
	if p := t.cost.scan(data); p != nil {
		return []event.Problem{*p}
	}
	err := t.schema.Validate(data)
	if err == nil {
		return nil
	}
	return t.explain(err, data)
}

// Failures returns the number of checks that ended in a panic of the validator.
func (t *Type) Failures() uint64 { return t.failures.Load() }

func violation(pointer, message string) event.Problem {
	return event.Problem{Code: event.SchemaViolation, Pointer: pointer, Message: message}
}
