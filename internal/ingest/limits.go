package ingest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/event"
	"theeye/internal/jsonx"
)

// MaxDepth bounds the nesting of arrays and objects; the event itself is the first level. Together
// with the limits of jsonx.MeasureNumber, it protects all readers and validators. The package
// jsonschema, for example, panics at the number 1e1000001.
const MaxDepth = 64

// withinLimits reports whether a JSON value complies with all limits. It reads each byte once;
// violations reports what is wrong, and where. The value must be well-formed down to flatDepth
// levels; withinLimits does not read deeper ones.
func withinLimits(raw []byte) bool {
	depth := 0
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; c {
		case '"':
			for i++; raw[i] != '"'; i++ {
				if raw[i] == '\\' {
					if raw[i+1] == 'u' && i+6 <= len(raw) && string(raw[i+2:i+6]) == "0000" {
						return false
					}
					i++
				}
			}
		case '{', '[':
			if depth++; depth > MaxDepth {
				return false
			}
		case '}', ']':
			depth--
		case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			start := i
			for i+1 < len(raw) && isNumberByte(raw[i+1]) {
				i++
			}
			if i-start >= 18 || containsExponent(raw[start:i+1]) {
				if numberFault(string(raw[start:i+1])) != "" {
					return false
				}
			}
		}
	}
	return true
}

func isNumberByte(c byte) bool {
	return c >= '0' && c <= '9' || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E'
}

func containsExponent(number []byte) bool {
	for _, c := range number {
		if c == 'e' || c == 'E' {
			return true
		}
	}
	return false
}

// numberFault says what is wrong with the literal of a JSON number, or returns "".
func numberFault(literal string) string {
	digits, exponent, within := jsonx.MeasureNumber(literal)
	switch {
	case within:
		return ""
	case digits > jsonx.MaxNumberDigits:
		return fmt.Sprintf("the number has %d digits; at most %d are allowed", digits, jsonx.MaxNumberDigits)
	}
	return fmt.Sprintf("the exponent %.20s is out of range; it must be from -%d to %d", exponent, jsonx.MaxNumberExponent, jsonx.MaxNumberExponent)
}

// maxViolations bounds the problems that violations reports for one event.
const maxViolations = 20

// violations reports which limits a value exceeds, and where.
func violations(raw []byte) []event.Problem {
	d := jsonx.Lenient(raw)
	var problems []event.Problem
	add := func(code, message string) {
		problems = append(problems, event.Problem{Code: code, Pointer: string(d.StackPointer()), Message: message})
	}
	for len(problems) < maxViolations {
		if d.StackDepth() >= MaxDepth {
			if k := d.PeekKind(); k == '{' || k == '[' {
				_, _ = d.ReadToken()
				add(event.DataTooDeep, fmt.Sprintf("arrays and objects are nested more than %d levels deep", MaxDepth))
				break
			}
		}
		v, err := d.ReadToken()
		if err != nil {
			break
		}
		switch v.Kind() {
		case '"':
			if strings.ContainsRune(v.String(), 0) {
				add(event.NULCharacter, `the character NUL (\u0000) is not allowed`)
			}
		case '0':
			if fault := numberFault(v.String()); fault != "" {
				add(event.NumberOutOfRange, fault)
			}
		}
	}
	return problems
}

// strictProblem converts the error of a strict decoder to a problem. The value is known to be JSON,
// so only duplicate names and invalid Unicode can be wrong.
func strictProblem(err error) event.Problem {
	p := event.Problem{Code: event.InvalidUnicode, Message: "the text is not valid Unicode: it has bytes that are not UTF-8, or half of a surrogate pair"}
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		p.Pointer = string(syntactic.JSONPointer)
	}
	if errors.Is(err, jsontext.ErrDuplicateName) {
		p.Code, p.Message = event.DuplicateKey, jsonx.DuplicateKey(jsontext.Pointer(p.Pointer).LastToken())
	}
	return p
}
