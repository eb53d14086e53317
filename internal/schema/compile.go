package schema

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// rootURL is the base of a document that has no "$id". No loader knows it.
const rootURL = "eye:///schema"

// noLoader refuses every reference out of the document. The library's own
// loader would read files.
type noLoader struct{}

func (noLoader) Load(string) (any, error) {
	return nil, errors.New("references must stay inside the document")
}

func compile(doc any) (*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	c.UseRegexpEngine(compilePattern)
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource(rootURL, doc); err != nil {
		return nil, refuse("", "%v", err)
	}
	compiled, err := c.Compile(rootURL)
	if err != nil {
		return nil, explainCompile(err)
	}
	return compiled, nil
}

// compilePattern compiles within the bounds. It also judges data of the format
// "regex", so that a sender cannot have a huge program built.
func compilePattern(pattern string) (jsonschema.Regexp, error) {
	size, err := patternSize(pattern)
	if err != nil {
		return nil, err
	}
	if size > MaxPatternSize {
		return nil, fmt.Errorf("the pattern takes %d steps; at most %d are allowed", size, MaxPatternSize)
	}
	return regexp.Compile(pattern)
}

func patternSize(pattern string) (int, error) {
	if len(pattern) > MaxPatternBytes {
		return 0, fmt.Errorf("the pattern has %d bytes; at most %d are allowed", len(pattern), MaxPatternBytes)
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 0, err
	}
	return len(program.Inst), nil
}

func explainCompile(err error) error {
	var invalid *jsonschema.SchemaValidationError
	var pattern *jsonschema.InvalidRegexError
	var load *jsonschema.LoadURLError
	var anchor *jsonschema.AnchorNotFoundError
	var pointer *jsonschema.JSONPointerNotFoundError
	var draft *jsonschema.UnsupportedDraftError
	switch {
	case errors.As(err, &invalid):
		var cause *jsonschema.ValidationError
		if !errors.As(invalid.Err, &cause) {
			break
		}
		problems := explainSchema(cause)
		if len(problems) == 0 {
			break
		}
		first := problems[0]
		return refuse(first.Pointer, "%s", first.Message)
	case errors.As(err, &pattern):
		return refuse(documentPointer(pattern.URL), "%q is no pattern in RE2 syntax: %v", shorten(pattern.Regex), pattern.Err)
	case errors.As(err, &load):
		return refuse("", "%q is not in this document: references and $schema must not lead out of it", load.URL)
	case errors.As(err, &anchor):
		return refuse("", "the reference %q leads nowhere", strings.TrimPrefix(anchor.Reference, rootURL))
	case errors.As(err, &pointer):
		return refuse("", "the reference %q leads nowhere", "#"+documentPointer(pointer.URL))
	case errors.As(err, &draft):
		return refuse("/$schema", "the dialect %q is not supported", draft.URL)
	}
	return refuse("", "%s", strings.ReplaceAll(err.Error(), rootURL, ""))
}

// documentPointer returns the JSON Pointer in the fragment of one of the
// library's URLs.
func documentPointer(location string) string {
	_, fragment, _ := strings.Cut(location, "#")
	if text, err := url.PathUnescape(fragment); err == nil {
		return text
	}
	return fragment
}
