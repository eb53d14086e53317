package examples_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/go-json-experiment/json"

	"theeye/examples"
	"theeye/internal/schema"
)

type sample struct {
	Category string `json:"category"`
	Name     string `json:"name"`
	Data     any    `json:"data"`
}

func TestExamplesPassTheirTypes(t *testing.T) {
	types := map[string]*schema.Type{}
	for _, each := range examples.Types() {
		compiled, err := schema.Compile(each.Category, each.Name, 1, each.Schema)
		if err != nil {
			t.Fatalf("%s / %s: %v", each.Category, each.Name, err)
		}
		types[each.Category+"/"+each.Name] = compiled
	}
	for _, s := range append(array(t, "challenge.json"), lines(t, "events.ndjson")...) {
		checked, ok := types[s.Category+"/"+s.Name]
		if !ok {
			t.Errorf("no type %s / %s", s.Category, s.Name)
			continue
		}
		if problems := checked.Check(s.Data); len(problems) > 0 {
			t.Errorf("%s: %v", s.Data, problems)
		}
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func array(t *testing.T, name string) (samples []sample) {
	t.Helper()
	if err := json.Unmarshal(read(t, name), &samples); err != nil {
		t.Fatal(err)
	}
	return samples
}

func lines(t *testing.T, name string) (samples []sample) {
	t.Helper()
	for line := range bytes.Lines(read(t, name)) {
		var s sample
		if err := json.Unmarshal(line, &s); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		samples = append(samples, s)
	}
	return samples
}
