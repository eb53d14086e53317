package schema

import (
	"cmp"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"theeye/internal/event"
	"theeye/internal/jsonx"
)

// maxAlternatives bounds the branches of an anyOf or oneOf that a message names.
const maxAlternatives = 5

// explain turns the library's tree of errors into problems of the event with data.
func (t *Type) explain(err error, data any) []event.Problem {
	var tree *jsonschema.ValidationError
	if !errors.As(err, &tree) {
		return []event.Problem{violation(dataPointer, shorten(err.Error()))}
	}
	e := explainer{printer: t.printer, value: data, prefix: dataPointer}
	e.add(tree)
	return e.problems()
}

// explainSchema does the same for the value at a place of a document that is not a valid schema.
func explainSchema(tree *jsonschema.ValidationError, doc *source, at string) []event.Problem {
	e := explainer{printer: message.NewPrinter(language.English), value: doc.at(at), prefix: at, ofSchema: true}
	e.add(tree)
	return e.problems()
}

// explainer collects problems and keeps the first MaxProblems in their order.
type explainer struct {
	printer  *message.Printer
	value    any             // what was validated
	prefix   string          // its place
	ofSchema bool            // whether it is a schema or data
	found    []event.Problem // sorted, no two equal
}

// at returns the value at a path, or nil if there is none.
func (e *explainer) at(path []string) any {
	v := e.value
	for _, token := range path {
		v = child(v, token)
	}
	return v
}

func (e *explainer) problems() []event.Problem { return e.found }

// full reports whether a problem at the pointer would come after those that are kept, so that its
// text need not be built.
func (e *explainer) full(pointer string) bool {
	return len(e.found) == MaxProblems && pointer > e.found[MaxProblems-1].Pointer
}

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
	switch v.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.Reference, *kind.AllOf:
		for _, cause := range v.Causes {
			e.add(cause)
		}
		return
	}
	at := e.prefix + jsonx.Pointer(v.InstanceLocation)
	switch k := v.ErrorKind.(type) {
	case *kind.Required:
		e.missing(at, k.Missing, "")
	case *kind.Dependency:
		e.missing(at, k.Missing, k.Prop)
	case *kind.DependentRequired:
		e.missing(at, k.Missing, k.Prop)
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			if at := at + "/" + jsonx.EscapePointer(name); !e.full(at) {
				e.report(at, "property "+quote(name)+" is not allowed (additionalProperties)")
			}
		}
	case badName:
		if at := at + "/" + jsonx.EscapePointer(k.name); !e.full(at) {
			e.report(at, "the property name "+quote(k.name)+" is not allowed: "+e.summary(v.Causes, at))
		}
	case *kind.PropertyNames:
		if e.ofSchema { // for data, badName reports it
			e.report(at+"/"+jsonx.EscapePointer(k.Property), v.ErrorKind.LocalizedString(e.printer))
		}
	default:
		if !e.full(at) {
			e.report(at, e.text(v, at))
		}
	}
}

func (e *explainer) missing(at string, names []string, because string) {
	for _, name := range names {
		at := at + "/" + jsonx.EscapePointer(name)
		if e.full(at) {
			continue
		}
		text := "missing property " + quote(name)
		if because != "" {
			text += ", which " + quote(because) + " requires"
		}
		e.report(at, text)
	}
}

// text returns one sentence for v: the library's, if that is understandable. Values from the sender
// are truncated before they are quoted.
func (e *explainer) text(v *jsonschema.ValidationError, at string) string {
	switch k := v.ErrorKind.(type) {
	case *kind.AnyOf:
		if e.ofSchema && strings.HasSuffix(v.SchemaURL, "#/properties/type") {
			if text := wrongType(e.at(v.InstanceLocation)); text != "" {
				return text
			}
		}
		return "matches none of the alternatives (anyOf): " + e.summary(v.Causes, at)
	case *kind.OneOf:
		if len(k.Subschemas) > 1 {
			return fmt.Sprintf("matches alternatives %d and %d, but exactly one must match (oneOf)", k.Subschemas[0]+1, k.Subschemas[1]+1)
		}
		return "matches none of the alternatives (oneOf): " + e.summary(v.Causes, at)
	case *kind.Not:
		return "matches a schema that excludes it (not)"
	case *kind.FalseSchema:
		return forbidden(v)
	case *kind.Enum:
		return "must be " + oneOf(k.Want)
	case *kind.Const:
		return "must be " + oneOf([]any{k.Want})
	case *kind.Type:
		got := jsonType(k.Got)
		if n, ok := e.at(v.InstanceLocation).(stdjson.Number); ok && slices.Contains(k.Want, "integer") {
			got = cut(string(n), jsonx.MaxNumberDigits)
		}
		return "must be " + alternatives(k.Want) + ", not " + got
	case *kind.Pattern:
		return fmt.Sprintf("%s does not match the pattern %s", quote(k.Got), quote(k.Want))
	case *kind.Format:
		got := k.Got
		if s, ok := got.(string); ok {
			got = excerpt(s)
		}
		if k.Want == "regex" && k.Err != nil {
			return fmt.Sprintf("%v is not a valid regular expression (RE2): %s", display(got), strings.TrimPrefix(k.Err.Error(), "error parsing regexp: "))
		}
		return fmt.Sprintf("%v does not have the format %s%s", display(got), k.Want, formatAdvice(k))
	case *kind.Minimum:
		return "must be at least " + decimal(k.Want) + ", not " + decimal(k.Got)
	case *kind.Maximum:
		return "must be at most " + decimal(k.Want) + ", not " + decimal(k.Got)
	case *kind.ExclusiveMinimum:
		return "must be greater than " + decimal(k.Want) + ", not " + decimal(k.Got)
	case *kind.ExclusiveMaximum:
		return "must be less than " + decimal(k.Want) + ", not " + decimal(k.Got)
	case *kind.MultipleOf:
		return "must be a multiple of " + decimal(k.Want) + ", which " + decimal(k.Got) + " is not"
	case *kind.MinLength:
		return atLeast(k.Want, k.Got, "character")
	case *kind.MaxLength:
		return atMost(k.Want, k.Got, "character")
	case *kind.MinItems:
		return atLeast(k.Want, k.Got, "item")
	case *kind.MaxItems:
		return atMost(k.Want, k.Got, "item")
	case *kind.MinProperties:
		return atLeast(k.Want, k.Got, "property")
	case *kind.MaxProperties:
		return atMost(k.Want, k.Got, "property")
	case *kind.UniqueItems:
		return fmt.Sprintf("items %d and %d are equal, but all must differ (uniqueItems)", k.Duplicates[0], k.Duplicates[1])
	case *kind.AdditionalItems:
		if k.Count == 1 {
			return "the last item is not allowed (additionalItems)"
		}
		return fmt.Sprintf("the last %d items are not allowed (additionalItems)", k.Count)
	case *kind.Contains:
		return "no item matches contains"
	case *kind.MinContains:
		return fmt.Sprintf("at least %s must match contains (minContains), not %d", number(k.Want, "item"), len(k.Got))
	case *kind.MaxContains:
		return fmt.Sprintf("at most %s may match contains (maxContains), not %d", number(k.Want, "item"), len(k.Got))
	case nil:
		return "does not match the schema"
	}
	return v.ErrorKind.LocalizedString(e.printer)
}

// summary names the first problem of each cause, and its place if that differs from at.
func (e *explainer) summary(causes []*jsonschema.ValidationError, at string) string {
	var parts []string
	for i, cause := range causes {
		if i == maxAlternatives {
			parts = append(parts, fmt.Sprintf("and %d more", len(causes)-i))
			break
		}
		branch := explainer{printer: e.printer, value: e.value, prefix: e.prefix, ofSchema: e.ofSchema}
		branch.add(cause)
		if len(branch.found) == 0 {
			continue
		}
		first := branch.found[0]
		text := first.Message
		if first.Pointer != at {
			text += " at " + first.Pointer
		}
		if len(causes) > 1 {
			text = "(" + strconv.Itoa(i+1) + ") " + text
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

// oneOf lists values, as many as fit into a message.
func oneOf(values []any) string {
	var b strings.Builder
	if len(values) > 1 {
		b.WriteString("one of ")
	}
	for i, v := range values {
		if i > 0 {
			b.WriteString(", ")
		}
		switch text, ok := v.(string); {
		case b.Len() > MaxMessageBytes:
			return b.String()
		case ok:
			b.WriteString(quote(text))
		case countValues(v) > MaxMessageBytes/4:
			b.WriteString("a large value")
		default:
			var written strings.Builder
			e := stdjson.NewEncoder(&written)
			e.SetEscapeHTML(false)
			if err := e.Encode(v); err != nil { // impossible: the value was decoded from JSON
				return b.String()
			}
			b.WriteString(excerpt(strings.TrimSpace(written.String())))
		}
	}
	return b.String()
}

func atLeast(want, got int, noun string) string {
	return fmt.Sprintf("must have at least %s, not %d", number(want, noun), got)
}

func atMost(want, got int, noun string) string {
	return fmt.Sprintf("must have at most %s, not %d", number(want, noun), got)
}

func number(n int, noun string) string {
	switch {
	case n == 1:
	case noun == "property":
		noun = "properties"
	default:
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}

// alternatives lists the types that are allowed.
func alternatives(names []string) string {
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = jsonType(name)
	}
	if n := len(parts) - 1; n > 0 {
		return strings.Join(parts[:n], ", ") + " or " + parts[n]
	}
	return strings.Join(parts, "")
}

// jsonType returns the name of a type with its article.
func jsonType(name string) string {
	switch name {
	case "null":
		return name
	case "array", "integer", "object":
		return "an " + name
	}
	return "a " + name
}

// display quotes a text and returns anything else unchanged.
func display(value any) string {
	if s, ok := value.(string); ok {
		return quote(s)
	}
	return fmt.Sprint(value)
}

// decimal formats a number exactly, because rounded numbers may look equal. Only a number with very
// many digits is rounded.
func decimal(r *big.Rat) string {
	digits, _ := r.FloatPrec()
	if text := r.FloatString(min(digits, 2*jsonx.MaxNumberDigits)); len(text) <= jsonx.MaxNumberDigits {
		return text
	}
	f, _ := r.Float64()
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// quote quotes a name as the library does.
func quote(name string) string {
	q := fmt.Sprintf("%q", excerpt(name))
	q = strings.ReplaceAll(strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`), "'", `\'`)
	return "'" + q + "'"
}

// excerpt truncates a value from the sender to leave room for the rest of the sentence.
func excerpt(value string) string { return cut(value, MaxMessageBytes/4) }

func shorten(text string) string { return cut(text, MaxMessageBytes) }

// cut truncates a text to at most limit bytes, between characters.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	const mark = "…"
	end := limit - len(mark)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + mark
}
