package jsonx

import (
	"strconv"
	"strings"
)

// Limits of a JSON number, in events, schemas and queries, because all of them compute with exact
// values.
const (
	MaxNumberDigits   = 40  // zeros included
	MaxNumberExponent = 308 // absolute value
)

// MeasureNumber returns the number of digits in the literal of a JSON number, its exponent as it is
// written, or "" without one, and whether both are within the limits.
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
