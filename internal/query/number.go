package query

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"theeye/internal/jsonx"
)

// Number is the exact value of a JSON number of any size: 0.digits × 10^exponent. The zero value is
// 0. Two Numbers are == exactly when their values are equal, so a Number can be a map key.
type Number struct {
	negative bool
	exponent int64
	digits   string // neither begins nor ends with 0; empty for 0
}

// maxExponent bounds exponents; numbers beyond it count as equal. The intake accepts far smaller
// ones, but bodies of rejections contain anything.
const maxExponent = 1 << 40

// ParseNumber parses a number of the JSON grammar.
func ParseNumber(literal string) (n Number, ok bool) {
	if !isNumber(literal) {
		return Number{}, false
	}
	mantissa, exponent := cutExponent(literal)
	mantissa, n.negative = strings.CutPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	if n.digits = strings.TrimRight(digits, "0"); n.digits == "" {
		return Number{}, true
	}
	leading := len(whole) + len(fraction) - len(digits)
	n.exponent = exponent + int64(len(whole)-leading)
	return n, true
}

// cutExponent splits a number into mantissa and exponent, which is 0 if it has none.
func cutExponent(number string) (mantissa string, exponent int64) {
	i := strings.IndexAny(number, "eE")
	if i < 0 {
		return number, 0
	}
	n, _ := strconv.ParseInt(number[i+1:], 10, 64) // beyond 64 bits, it is the smallest or largest int64
	return number[:i], max(-maxExponent, min(n, maxExponent))
}

// Compare compares two numbers by value.
func (n Number) Compare(m Number) int {
	if s := cmp.Compare(n.sign(), m.sign()); s != 0 || n.digits == "" {
		return s
	}
	return n.sign() * cmp.Or(cmp.Compare(n.exponent, m.exponent), strings.Compare(n.digits, m.digits))
}

func (n Number) sign() int {
	switch {
	case n.digits == "":
		return 0
	case n.negative:
		return -1
	}
	return 1
}

// maxPlain is the maximum number of digits that String writes without an exponent.
const maxPlain = jsonx.MaxNumberDigits

// String returns the number without an exponent, such as 10 and -0.5, or with one if zeros would
// make it long, such as 1e+100.
func (n Number) String() string {
	var minus string
	if n.negative {
		minus = "-"
	}
	count := int64(len(n.digits))
	switch {
	case count == 0:
		return "0"
	case n.exponent > maxPlain || count-n.exponent > maxPlain:
		text := minus + n.digits[:1]
		if count > 1 {
			text += "." + n.digits[1:]
		}
		return fmt.Sprintf("%se%+d", text, n.exponent-1)
	case n.exponent <= 0:
		return minus + "0." + strings.Repeat("0", int(-n.exponent)) + n.digits
	case n.exponent >= count:
		return minus + n.digits + strings.Repeat("0", int(n.exponent-count))
	}
	return minus + n.digits[:n.exponent] + "." + n.digits[n.exponent:]
}

// Float returns the nearest 64-bit floating point number, which may be infinite or 0.
func (n Number) Float() float64 {
	f, _ := strconv.ParseFloat(n.String(), 64)
	return f
}

// checkNumber returns an error for a number that no event can contain.
func checkNumber(literal string) error {
	if _, _, within := jsonx.MeasureNumber(literal); !within {
		return fmt.Errorf("a number may have at most %d digits and an exponent within ±%d", jsonx.MaxNumberDigits, jsonx.MaxNumberExponent)
	}
	return nil
}

// isNumber reports whether text is a number of the JSON grammar.
func isNumber(text string) bool {
	s := strings.TrimPrefix(text, "-")
	whole := leadingDigits(s)
	if whole == 0 || whole > 1 && s[0] == '0' {
		return false
	}
	s = s[whole:]
	if rest, ok := strings.CutPrefix(s, "."); ok {
		n := leadingDigits(rest)
		if n == 0 {
			return false
		}
		s = rest[n:]
	}
	if s == "" {
		return true
	}
	if s[0] != 'e' && s[0] != 'E' {
		return false
	}
	s = s[1:]
	if s != "" && (s[0] == '+' || s[0] == '-') {
		s = s[1:]
	}
	return s != "" && leadingDigits(s) == len(s)
}

func leadingDigits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}
