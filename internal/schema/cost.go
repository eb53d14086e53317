package schema

import (
	stdjson "encoding/json"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"theeye/internal/event"
)

// cost is what a check may cost.
type cost struct{}

func measure(*jsonschema.Schema) (cost, error) { return cost{}, nil }

// scan looks for what the validator must not see.
func (c cost) scan(data any) *event.Problem {
	s := scanner{}
	s.value(data, 1)
	return s.problem
}

type scanner struct{ problem *event.Problem }

func (s *scanner) value(v any, depth int) {
	switch v := v.(type) {
	case map[string]any:
		if s.deep(depth) {
			return
		}
		for _, value := range v {
			s.value(value, depth+1)
		}
	case []any:
		if s.deep(depth) {
			return
		}
		for _, value := range v {
			s.value(value, depth+1)
		}
	case stdjson.Number:
		if !numberInRange(string(v)) {
			p := violation(dataPointer, "a number has too many digits or too large an exponent")
			s.problem = &p
		}
	}
}

func (s *scanner) deep(depth int) bool {
	if depth > MaxDataDepth {
		p := violation(dataPointer, "data is nested too deep")
		s.problem = &p
		return true
	}
	return s.problem != nil
}
