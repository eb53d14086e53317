package jsonx

import (
	"strconv"
	"strings"
)

// Limits of a JSON number, in events, in schemas and in what is asked: everyone computes with exact
// values.
const (
	MaxNumberDigits   = 40  // zeros included
	MaxNumberExponent = 308 // absolute value
)

// MeasureNumber returns how many digits the literal of a JSON number has, its exponent as it is
// written, empty when it has none, and whether both are within the limits.
func MeasureNumber(literal string) (digits int, exponent string, within bool) {
	mantissa := literal
	if i := strings.IndexAny(literal, "eE"); i >= 0 {
		mantissa, exponent = literal[:i], literal[i+1:]
	}
	for _, c := range mantissa {
		if c >= '0' && c <= '9' {
			digits++
		}
	}
	if exponent == "" {
		return digits, "", digits <= MaxNumberDigits
	}
	n, err := strconv.Atoi(exponent)
	return digits, exponent, digits <= MaxNumberDigits && err == nil && n >= -MaxNumberExponent && n <= MaxNumberExponent
}
