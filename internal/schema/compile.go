package schema

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"theeye/internal/jsonx"
)

// rootURL is the base of a document without "$id". No loader can load it.
const (
	scheme  = "eye://"
	rootURL = scheme + "/schema"
)

// noLoader refuses every reference that leaves the document. The library's own loader would read
// files.
type noLoader struct{}

func (noLoader) Load(string) (any, error) {
	return nil, errors.New("references must stay within the document")
}

// dialects is the advice on what "$schema" may name.
const dialects = "use 2020-12 (https://json-schema.org/draft/2020-12/schema), 2019-09, draft-07 or draft-06"

// knownDialect reports whether "$schema" may have this value.
func knownDialect(name string) bool {
	name = strings.TrimSuffix(name, "#")
	rest, ok := strings.CutPrefix(name, "https://json-schema.org/")
	if !ok {
		rest, ok = strings.CutPrefix(name, "http://json-schema.org/")
	}
	if !ok {
		return false
	}
	switch rest {
	case "schema", "draft/2020-12/schema", "draft/2019-09/schema", "draft-07/schema", "draft-06/schema":
		return true
	}
	return false
}

func compile(doc *source) (*jsonschema.Schema, error) {
	if object, ok := doc.value.(map[string]any); ok {
		if name, ok := object["$schema"].(string); ok && !knownDialect(name) {
			return nil, refuse("/$schema", "the dialect %q is not supported: %s", shorten(name), dialects)
		}
	}
	compiled, err := newCompiler(doc).Compile(rootURL)
	if err == nil && doc.namesChecked {
		c := newCompiler(doc)
		c.RegisterVocabulary(namesVocabulary())
		c.AssertVocabs()
		compiled, err = c.Compile(rootURL)
	}
	if err != nil {
		return nil, explainCompile(doc, err)
	}
	return compiled, nil
}

func newCompiler(doc *source) *jsonschema.Compiler {
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	c.UseRegexpEngine(compilePattern)
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	_ = c.AddResource(rootURL, doc.value) // fails only for a second document with this name
	return c
}

// compilePattern compiles a pattern within the limits. It is also used for data of the format
// "regex", so that a sender cannot make the server build a huge program.
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

// explainCompile turns an error of the library into a *CompileError.
func explainCompile(doc *source, err error) error {
	var invalid *jsonschema.SchemaValidationError
	var pattern *jsonschema.InvalidRegexError
	var load *jsonschema.LoadURLError
	var anchor *jsonschema.AnchorNotFoundError
	var pointer *jsonschema.JSONPointerNotFoundError
	var badPointer *jsonschema.InvalidJsonPointerError
	switch {
	case errors.As(err, &invalid):
		if tree, ok := errors.AsType[*jsonschema.ValidationError](invalid.Err); ok {
			if problems := explainSchema(tree, doc, documentPointer(invalid.URL)); len(problems) > 0 {
				return refuse(problems[0].Pointer, "%s", problems[0].Message)
			}
		}
	case errors.As(err, &pattern):
		return refuse(documentPointer(pattern.URL), "%q is not a valid pattern: %v", shorten(pattern.Regex), pattern.Err)
	case errors.As(err, &load):
		if at := doc.find("$schema", func(text string) bool { return strings.TrimSuffix(text, "#") == load.URL }); at != "" {
			return refuse(at, "the dialect %q is not supported: %s", shorten(load.URL), dialects)
		}
		return refuse(doc.reference(func(u *url.URL) bool { return withoutFragment(u) == load.URL }),
			"%q is outside this document: references must stay within it", shorten(strings.TrimPrefix(load.URL, scheme)))
	case errors.As(err, &anchor):
		return doc.leadsNowhere(anchor.Reference)
	case errors.As(err, &pointer):
		return doc.leadsNowhere(pointer.URL)
	case errors.As(err, &badPointer):
		return doc.leadsNowhere(badPointer.URL)
	}
	return refuse("", "%s", shorten(strings.ReplaceAll(err.Error(), rootURL, "")))
}

func (s *source) leadsNowhere(target string) error {
	_, fragment, _ := strings.Cut(target, "#")
	at := s.reference(func(u *url.URL) bool {
		return u.EscapedFragment() == fragment || "#"+u.Fragment == "#"+documentPointer(target)
	})
	return refuse(at, "the reference %q has no target", shorten("#"+documentPointer(target)))
}

func withoutFragment(u *url.URL) string {
	plain := *u
	plain.Fragment, plain.RawFragment = "", ""
	return plain.String()
}

// reference returns the JSON Pointer of the first $ref that fits, or "" if there is none. It
// ignores bases that "$id" sets below the root.
func (s *source) reference(fits func(*url.URL) bool) string {
	base, _ := url.Parse(rootURL)
	if object, ok := s.value.(map[string]any); ok {
		if id, ok := object["$id"].(string); ok {
			if u, err := base.Parse(id); err == nil {
				base = u
			}
		}
	}
	return s.find("$ref", func(text string) bool {
		u, err := base.Parse(text)
		return err == nil && fits(u)
	})
}

// find returns the JSON Pointer of the first text under a key that fits, or "" if there is none.
func (s *source) find(key string, fits func(string) bool) string {
	var find func(at string, v any) string
	find = func(at string, v any) string {
		switch v := v.(type) {
		case map[string]any:
			for _, name := range slices.Sorted(maps.Keys(v)) {
				below := at + "/" + jsonx.EscapePointer(name)
				if text, ok := v[name].(string); ok && name == key && fits(text) {
					return below
				}
				if found := find(below, v[name]); found != "" {
					return found
				}
			}
		case []any:
			for i, item := range v {
				if found := find(at+"/"+strconv.Itoa(i), item); found != "" {
					return found
				}
			}
		}
		return ""
	}
	return find("", s.value)
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
