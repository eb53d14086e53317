package schema_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theeye/internal/event"
	"theeye/internal/schema"
)

func compile(t testing.TB, document string) *schema.Type {
	t.Helper()
	typ, err := schema.Compile("page interaction", "pageview", 1, []byte(document))
	if err != nil {
		t.Fatalf("compile %s: %v", document, err)
	}
	return typ
}

func decode(t testing.TB, text string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("decode %s: %v", text, err)
	}
	return v
}

func TestCheck(t *testing.T) {
	tests := []struct {
		name, schema, data string
		want               []event.Problem
	}{
		{name: "conforms", schema: `{"type":"object","required":["path"]}`, data: `{"path":"/"}`},
		{name: "missing property", schema: `{"type":"object","required":["path"]}`, data: `{}`,
			want: []event.Problem{{Code: "schema_violation", Pointer: "/data/path", Message: "missing property 'path'"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := compile(t, tt.schema).Check(decode(t, tt.data))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}
