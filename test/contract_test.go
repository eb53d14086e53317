package test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"theeye/internal/httpapi/openapi"
)

// maxJudged bounds the answers whose bodies are compared with the document, in bytes: a schema
// says no more of a long list than of a short one.
const maxJudged = 64 << 10

// declaredOperation is what the OpenAPI document says of an operation.
type declaredOperation struct {
	method  string
	path    *regexp.Regexp
	answers map[int]map[string]*jsonschema.Schema // by status and media type; nil where none is given
	fixed   bool                                  // the path has no placeholder
}

// document is the OpenAPI document, ready to judge answers by.
var document = sync.OnceValues(func() ([]declaredOperation, error) {
	api := openapi.Document(true)
	whole, err := api.MarshalJSON()
	if err != nil {
		return nil, err
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(whole))
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	if err := compiler.AddResource("openapi.json", parsed); err != nil {
		return nil, err
	}
	escape := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D")
	var operations []declaredOperation
	for path, item := range api.Paths {
		pattern := regexp.MustCompile(`\\\{[a-z_]+\\\}`).ReplaceAllString(regexp.QuoteMeta(path), `[^/]+`)
		for method, op := range map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "PATCH": item.Patch, "DELETE": item.Delete} {
			if op == nil {
				continue
			}
			o := declaredOperation{method: method, path: regexp.MustCompile("^" + strings.TrimSuffix(pattern, "/") + "/?$"),
				fixed: !strings.Contains(path, "{"), answers: map[int]map[string]*jsonschema.Schema{}}
			for status, answer := range op.Responses {
				code, err := strconv.Atoi(status)
				if err != nil {
					return nil, err
				}
				o.answers[code] = map[string]*jsonschema.Schema{}
				for media, content := range answer.Content {
					o.answers[code][media] = nil
					if content.Schema == nil {
						continue
					}
					at := fmt.Sprintf("openapi.json#/paths/%s/%s/responses/%s/content/%s/schema", escape.Replace(path), strings.ToLower(method), status, escape.Replace(media))
					if o.answers[code][media], err = compiler.Compile(at); err != nil {
						return nil, err
					}
				}
			}
			operations = append(operations, o)
		}
	}
	// A path without placeholders wins.
	slices.SortStableFunc(operations, func(a, b declaredOperation) int {
		switch {
		case a.fixed == b.fixed:
			return 0
		case a.fixed:
			return -1
		}
		return 1
	})
	return operations, nil
})

// undeclared returns what of an answer the OpenAPI document does not know; "" when it knows it all.
func undeclared(method, path string, a reply) string {
	operations, err := document()
	if err != nil {
		return err.Error()
	}
	if method == http.MethodHead {
		method = http.MethodGet
	}
	where, err := url.Parse(path)
	if err != nil || a.status == http.StatusBadRequest && a.header.Get("Content-Type") == "" { // net/http's own
		return ""
	}
	if a.status == http.StatusNotFound && (where.Host != "" || strings.HasSuffix(where.Path, "/")) { // no path of an operation
		return ""
	}
	for _, o := range operations {
		if o.method != method || !o.path.MatchString(where.EscapedPath()) {
			continue
		}
		contents, known := o.answers[a.status]
		if !known {
			return fmt.Sprintf("status %d", a.status)
		}
		media, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
		schema, known := contents[media]
		if len(contents) > 0 && !known {
			return fmt.Sprintf("status %d with Content-Type %s", a.status, media)
		}
		if schema == nil || len(a.body) == 0 || len(a.body) > maxJudged {
			return ""
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(a.body))
		if err == nil {
			err = schema.Validate(value)
		}
		if err != nil {
			return fmt.Sprintf("status %d: %v", a.status, err)
		}
		return ""
	}
	return ""
}
