package schema

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"theeye/internal/event"
)

// maxAlternatives bounds how many branches of an anyOf or oneOf a message names.
const maxAlternatives = 5

// explain turns the library's tree of errors into problems of the event.
func (t *Type) explain(err error) []event.Problem {
	var tree *jsonschema.ValidationError
	if !errors.As(err, &tree) {
		return []event.Problem{violation(dataPointer, shorten(err.Error()))}
	}
	e := explainer{printer: t.printer, prefix: dataPointer}
	e.add(tree)
	return e.problems()
}

// explainSchema does the same for a document that is no schema.
func explainSchema(tree *jsonschema.ValidationError) []event.Problem {
	e := explainer{printer: message.NewPrinter(language.English)}
	e.add(tree)
	return e.problems()
}

// explainer collects problems and keeps the first MaxProblems in their order.
type explainer struct {
	printer *message.Printer
	prefix  string
	found   []event.Problem // sorted, no two equal
}

func (e *explainer) problems() []event.Problem { return e.found }

func (e *explainer) report(pointer, text string) {
	p := violation(pointer, shorten(text))
	i, same := slices.BinarySearchFunc(e.found, p, func(a, b event.Problem) int {
		return cmp.Or(cmp.Compare(a.Pointer, b.Pointer), cmp.Compare(a.Message, b.Message))
	})
	if same || i >= MaxProblems {
		return
	}
	e.found = slices.Insert(e.found, i, p)
	e.found = e.found[:min(len(e.found), MaxProblems)]
}

// add reports a node of the tree or, where the node only groups, its causes.
func (e *explainer) add(v *jsonschema.ValidationError) {
	at := e.prefix + pointer(v.InstanceLocation)
	switch k := v.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.Reference, *kind.AllOf:
		for _, cause := range v.Causes {
			e.add(cause)
		}
	case *kind.Required:
		e.missing(at, k.Missing, "")
	case *kind.Dependency:
		e.missing(at, k.Missing, k.Prop)
	case *kind.DependentRequired:
		e.missing(at, k.Missing, k.Prop)
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			one := &kind.AdditionalProperties{Properties: []string{name}}
			e.report(at+"/"+escape(name), one.LocalizedString(e.printer))
		}
	case *kind.AnyOf:
		e.report(at, "matches none of the alternatives (anyOf): "+e.alternatives(v))
	case *kind.OneOf:
		if len(k.Subschemas) > 1 {
			e.report(at, fmt.Sprintf("matches the alternatives %d and %d, but exactly one is expected (oneOf)", k.Subschemas[0]+1, k.Subschemas[1]+1))
		} else {
			e.report(at, "matches none of the alternatives (oneOf): "+e.alternatives(v))
		}
	case *kind.Not:
		e.report(at, "matches what the schema excludes (not)")
	case *kind.FalseSchema:
		e.report(at, "not allowed here")
	case nil:
		e.report(at, "does not match the schema")
	default:
		e.report(at, e.text(v))
	}
}

func (e *explainer) missing(at string, names []string, because string) {
	for _, name := range names {
		text := (&kind.Required{Missing: []string{name}}).LocalizedString(e.printer)
		if because != "" {
			text += fmt.Sprintf(", which %q requires", because)
		}
		e.report(at+"/"+escape(name), text)
	}
}

// text returns the library's sentence. Values of the sender are cut before they
// are quoted.
func (e *explainer) text(v *jsonschema.ValidationError) string {
	switch k := v.ErrorKind.(type) {
	case *kind.Pattern:
		return (&kind.Pattern{Got: shorten(k.Got), Want: k.Want}).LocalizedString(e.printer)
	case *kind.Format:
		got := k.Got
		if s, ok := got.(string); ok {
			got = shorten(s)
		}
		return (&kind.Format{Got: got, Want: k.Want, Err: k.Err}).LocalizedString(e.printer)
	}
	return v.ErrorKind.LocalizedString(e.printer)
}

// alternatives summarises why each branch failed.
func (e *explainer) alternatives(v *jsonschema.ValidationError) string {
	var parts []string
	for i, cause := range v.Causes {
		if i == maxAlternatives {
			parts = append(parts, fmt.Sprintf("and %d more", len(v.Causes)-i))
			break
		}
		branch := explainer{printer: e.printer, prefix: e.prefix}
		branch.add(cause)
		if len(branch.found) == 0 {
			continue
		}
		first := branch.found[0]
		text := first.Message
		if at := e.prefix + pointer(v.InstanceLocation); first.Pointer != at {
			text += " at " + strings.TrimPrefix(first.Pointer, at)
		}
		parts = append(parts, "("+strconv.Itoa(i+1)+") "+text)
	}
	return strings.Join(parts, "; ")
}

// pointer returns the JSON Pointer (RFC 6901) of a path.
func pointer(path []string) string {
	var b strings.Builder
	for _, token := range path {
		b.WriteByte('/')
		b.WriteString(escape(token))
	}
	return b.String()
}

func escape(token string) string {
	if !strings.ContainsAny(token, "~/") {
		return token
	}
	return strings.ReplaceAll(strings.ReplaceAll(token, "~", "~0"), "/", "~1")
}

// shorten cuts a text to MaxMessageBytes at the border of a character.
func shorten(text string) string {
	if len(text) <= MaxMessageBytes {
		return text
	}
	const mark = "…"
	cut := MaxMessageBytes - len(mark)
	for cut > 0 && text[cut]&0xC0 == 0x80 {
		cut--
	}
	return text[:cut] + mark
}
