package schema

import (
	"errors"
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/message"
)

// The library reports wrong places for violations of propertyNames, because it keeps a slice of the
// path and continues to write to it. Schemas with this keyword are therefore compiled with a
// vocabulary that checks it again and reports the place of the member; the library's own report is
// ignored.

// badName is the kind of error for propertyNames.
type badName struct{ name string }

// KeywordPath returns the keyword.
func (badName) KeywordPath() []string { return []string{"propertyNames"} }

// LocalizedString returns the beginning of the sentence.
func (k badName) LocalizedString(p *message.Printer) string {
	return p.Sprintf("the name %s is not allowed", fmt.Sprintf("%q", shorten(k.name)))
}

// propertyNames checks the names of members.
type propertyNames struct{ schema *jsonschema.Schema }

// Validate reports each name that does not match.
func (n propertyNames) Validate(ctx *jsonschema.ValidatorContext, v any) {
	object, ok := v.(map[string]any)
	if !ok {
		return
	}
	for name := range object {
		err := ctx.Validate(n.schema, name, []string{name})
		if cause, ok := errors.AsType[*jsonschema.ValidationError](err); ok && cause != nil {
			ctx.AddErrors([]*jsonschema.ValidationError{cause}, badName{name})
		}
	}
}

func namesVocabulary() *jsonschema.Vocabulary {
	return &jsonschema.Vocabulary{
		URL: "eye:///vocabulary/names",
		Compile: func(ctx *jsonschema.CompilerContext, object map[string]any) (jsonschema.SchemaExt, error) {
			if _, ok := object["propertyNames"]; !ok {
				return nil, nil
			}
			return propertyNames{ctx.Enqueue([]string{"propertyNames"})}, nil
		},
	}
}
