package schema_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"theeye/internal/event"
	"theeye/internal/schema"
)

func FuzzCompile(f *testing.F) {
	for _, s := range []string{
		``, `{}`, `true`, `[]`, typical, `{"$ref":"#"}`, `{"$ref":"file:///etc/passwd"}`, `{"$id":"a/../b","$ref":"../b#/$defs/x","$defs":{"x":{}}}`,
		`{"$schema":"http://json-schema.org/draft-07/schema#","definitions":{"a":{"$id":"#a"}},"items":[{"$ref":"#a"}],"dependencies":{"x":["y"]}}`,
		`{"anyOf":[{"properties":{"a":{"$ref":"#"}}},{"patternProperties":{"^a":{"$ref":"#"}}}],"unevaluatedProperties":false}`,
		`{"propertyNames":{"enum":["a"]},"$anchor":"x","not":{"$ref":"#x"}}`, `{"$dynamicRef":"#x","$dynamicAnchor":"x"}`,
		`{"multipleOf":1e-308,"maximum":1e308,"const":[{"a":null}],"minLength":3.0}`, `{"$ref":"#/$defs/%25a~1b","$defs":{"%a/b":{"format":"regex"}}}`,
	} {
		f.Add(s)
	}
	data := decode(f, typicalData)
	f.Fuzz(func(t *testing.T, document string) {
		typ, err := schema.Compile("c", "n", 1, []byte(document))
		var refused *schema.CompileError
		switch {
		case err == nil:
			typ.Check(data)
			if typ.Failures() != 0 {
				t.Error("the validator panicked")
			}
		case !errors.As(err, &refused):
			t.Errorf("the error is %v", err)
		case strings.Contains(refused.Reason, "cannot be compiled"):
			t.Errorf("the compiler panicked: %v", err)
		case len(refused.Reason) > 4*schema.MaxMessageBytes:
			t.Errorf("a reason of %d bytes", len(refused.Reason))
		}
	})
}

func FuzzCheck(f *testing.F) {
	for _, document := range []string{typical, `{"additionalProperties":{"anyOf":[{"type":"string","format":"uri"},{"items":{"$ref":"#"},"uniqueItems":true},{"multipleOf":0.01}]},"propertyNames":{"maxLength":4}}`} {
		for _, data := range []string{typicalData, `{}`, `{"a":[1,1.0,{"b~/":[]}]}`, `{"n":1e1000001,"m":-0.0000001}`, `{"host":null,"path":"\u0000","form":{"first_name":""}}`} {
			f.Add(document, data)
		}
	}
	f.Fuzz(func(t *testing.T, document, text string) {
		typ, err := schema.Compile("c", "n", 1, []byte(document))
		if err != nil {
			return
		}
		data, ok := tryDecode(text)
		if !ok {
			return
		}
		problems := typ.Check(data)
		if typ.Failures() != 0 {
			t.Error("the validator panicked")
		}
		if diff := cmp.Diff(problems, typ.Check(data)); diff != "" {
			t.Errorf("another time other problems:\n%s", diff)
		}
		if len(problems) > schema.MaxProblems {
			t.Errorf("%d problems", len(problems))
		}
		for _, p := range problems {
			if p.Code != event.SchemaViolation || p.Message == "" || len(p.Message) > schema.MaxMessageBytes || !utf8.ValidString(p.Message) ||
				p.Pointer != "/data" && !strings.HasPrefix(p.Pointer, "/data/") {
				t.Errorf("problem %+v", p)
			}
		}
	})
}
