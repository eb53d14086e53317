package schema

import (
	stdjson "encoding/json"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// weight is the cost of applying a subschema to a value.
type weight [weights]int

// The first two limit a schema. The others count towards MaxWork, in its unit.
const (
	weightSteps   = iota // evaluations, compared values
	weightPattern        // RE2 instructions per byte of a text
	weightValue          // of any value
	weightNumber         // of a number, in addition
	weightObject         // of an object, in addition
	weightMember         // of each member of an object: to look it up
	weightText           // of a text, in addition
	weightBytes          // of each 64 bytes of a text
	weightRegex          // formats that compile a text as a pattern
	weights
)

// The work of the validator, in units of MaxWork.
const (
	workEvaluation  = 10 // one subschema
	workName        = 2  // one name in required
	workMember      = 1  // one member, by one subschema
	workExtra       = 4  // one member where no others are allowed
	workExpression  = 3  // one pattern, and one name
	workNumber      = 14 // parsing a number exactly
	workBound       = 4  // comparing it with a bound
	workDivision    = 24 // multipleOf
	workComparison  = 34 // of two numbers
	workFormat      = 24
	workFormatBytes = 26
	workLength      = 3      // counting the characters in 64 bytes
	workHash        = 8      // one value below uniqueItems
	workRegex       = 10_000 // compiling the largest pattern
	longNumber      = 4      // factor for a number with many digits or an exponent
	// patternRate is the product of bytes and instructions of patterns that counts as one unit.
	patternRate = 8
)

func (l weight) plus(o weight) weight {
	for i := range l {
		l[i] = min(l[i]+o[i], 1<<30) // weights may double at each level
	}
	return l
}

func (l weight) times(n int) weight {
	for i := range l {
		l[i] = min(l[i]*n, 1<<30)
	}
	return l
}

func (l weight) max(o weight) weight {
	for i := range l {
		l[i] = max(l[i], o[i])
	}
	return l
}

// value is the work for one value of the costliest kind, without its members and its length.
func (l weight) value() int {
	return l[weightValue] + max(l[weightNumber], l[weightText], l[weightObject])
}

// weightOf computes the weight of s itself, without other subschemas.
func weightOf(s *jsonschema.Schema) weight {
	l := weight{weightSteps: 1 + len(s.Required), weightValue: workEvaluation}
	required := len(s.Required)
	for _, names := range s.DependentRequired {
		l[weightSteps] += 1 + len(names)
		required += 1 + len(names)
	}
	for _, dependency := range s.Dependencies {
		if names, ok := dependency.([]string); ok {
			l[weightSteps] += 1 + len(names)
			required += 1 + len(names)
		}
	}
	var compared []any
	if s.Enum != nil {
		compared = append(compared, s.Enum.Values...)
	}
	if s.Const != nil {
		compared = append(compared, *s.Const)
	}
	l[weightSteps] += comparison(compared)
	names := 0
	for _, v := range compared {
		switch v := v.(type) {
		case stdjson.Number:
			l[weightNumber] += workComparison
		case string:
			names++
		default:
			l[weightValue] += workComparison * (countValues(v) - 1)
		}
	}
	l[weightText] += names / 4
	if s.Pattern != nil {
		l = l.plus(patternWeight(s.Pattern))
	}
	if s.Bool != nil {
		return l
	}
	passes := typesOf(s)
	if passes&objects != 0 {
		l[weightObject] = workName * required
		l[weightMember] = workMember
		if s.AdditionalProperties == false {
			l[weightMember] = workExtra
		}
	}
	if passes&(integers|fractions) != 0 {
		l[weightNumber] += workOfNumber(s, passes)
	}
	if passes&texts != 0 {
		l[weightBytes]++ // they are copied
		if s.MinLength != nil || s.MaxLength != nil {
			l[weightBytes] += workLength
		}
		switch {
		case s.Format == nil:
		case s.Format.Name == "regex":
			l[weightRegex]++
		default:
			l[weightText] += workFormat
			l[weightBytes] += workFormatBytes
		}
	}
	return l
}

func workOfNumber(s *jsonschema.Schema, passes types) (work int) {
	if passes&fractions == 0 {
		work += workNumber
	}
	bounds := 0
	for _, set := range []bool{s.Minimum != nil, s.Maximum != nil, s.ExclusiveMinimum != nil, s.ExclusiveMaximum != nil} {
		if set {
			bounds++
		}
	}
	if bounds > 0 || s.MultipleOf != nil {
		work += workNumber + workBound*bounds
	}
	if s.MultipleOf != nil {
		work += workDivision
	}
	return work
}

// sizeOf returns the factor by which a number costs more than a short one.
func sizeOf(n stdjson.Number) int {
	if len(n) <= 16 && !strings.ContainsAny(string(n), "eE") {
		return 1
	}
	return longNumber
}

// comparison returns the steps, for MaxSteps, of comparing data with values: texts are cheap, but
// numbers are parsed each time.
func comparison(values []any) int {
	texts, steps := 0, 0
	for _, v := range values {
		if _, ok := v.(string); ok {
			texts++
		} else {
			steps += countValues(v)
		}
	}
	return steps + texts/16
}

func countValues(v any) int {
	n := 1
	switch v := v.(type) {
	case map[string]any:
		for _, member := range v {
			n += countValues(member)
		}
	case []any:
		for _, item := range v {
			n += countValues(item)
		}
	}
	return n
}

func patternWeight(expression jsonschema.Regexp) weight {
	size, err := patternSize(expression.String())
	if err != nil {
		size = MaxPatternSize
	}
	return weight{weightSteps: 1, weightPattern: size, weightText: workExpression}
}

// regexWork is the work of compiling a text as a pattern: repetitions make it large.
func regexWork(text string) int {
	switch {
	case len(text) > MaxPatternBytes: // refused without compiling it
		return 1
	case strings.ContainsRune(text, '{'):
		return workRegex
	}
	return workRegex * (64 + len(text)) / MaxPatternBytes
}
