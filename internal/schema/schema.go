// Package schema compiles the JSON Schema of an event type, checks event data
// against it, and judges whether one version is compatible with another.
//
// It does not keep event types or choose their versions.
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

// dataPointer is where data stands in an event; all problems lie at or below it.
const dataPointer = "/data"

// Type is one version of an event type with its compiled schema. It is
// immutable but for its counter, and may be used concurrently.
type Type struct {
	Category string
	Name     string
	Version  uint32
	Document []byte // as given to Compile; must not be changed

	schema   *jsonschema.Schema
	cost     cost
	printer  *message.Printer
	warnings []Warning
	unusable string // why every check fails; else empty
	failures atomic.Uint64
}

// Compile reads a JSON Schema and returns the event type that it defines.
// The document is kept, not copied: the caller must not change it afterwards.
//
// The dialect is Draft 2020-12 unless "$schema" names draft-06, draft-07 or
// 2019-09; any other is refused. "$ref" reaches only places inside the
// document: nothing is ever loaded from a file or the network. "format" is
// asserted for the names that the specification defines and ignored for others,
// as the specification wants it. Patterns are RE2 (Go's regexp): no
// look-around and no back-references. "$dynamicRef" and "$recursiveRef" are
// refused. The bounds stand in limits.go.
//
// A refused document gives a *CompileError and never a panic. Compile may be
// called concurrently.
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

// Unusable returns a type that was accepted once and cannot be compiled by this
// server: its check fails for all data with a problem that says why, so that
// nothing passes unchecked and everything can be replayed.
func Unusable(category, name string, version uint32, reason error) *Type {
	return &Type{
		Category: category,
		Name:     name,
		Version:  version,
		unusable: fmt.Sprintf("version %d of the schema cannot be used by this server: %v", version, reason),
	}
}

// Check returns what the schema finds wrong with data, the decoded value of the
// event's data: map[string]any, []any, string, encoding/json.Number, bool or
// nil. No problems (nil) means that data conforms.
//
// All violations are reported, at most MaxProblems, ordered by pointer, then by
// message. Pointers begin with "/data"; that of a missing or an extra property
// is the property's own place. Data that is too deep, holds a number outside
// the limits or would take too long is a problem as well, so Check is safe
// for any value. A panic of the validator becomes one problem at "/data" and is
// counted by Failures.
//
// Check may be called concurrently. It only reads data, which must not change
// meanwhile.
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

// Failures returns how many checks ended in a panic of the validator.
func (t *Type) Failures() uint64 { return t.failures.Load() }

func violation(pointer, message string) event.Problem {
	return event.Problem{Code: event.SchemaViolation, Pointer: pointer, Message: message}
}
