package query_test

import (
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"theeye/internal/query"
)

func TestNumberText(t *testing.T) {
	for literal, want := range map[string]string{
		"0": "0", "-0": "0", "-0.00": "0", "0e99": "0", "1": "1", "1.0": "1", "10e-1": "1", "100": "100", "1E2": "100",
		"-1.50": "-1.5", "0.05": "0.05", "12.5e-3": "0.0125", "12345678901234567890.10": "12345678901234567890.1",
		"1e39": "1" + strings.Repeat("0", 39), "1e40": "1e+40", "123e100": "1.23e+102", "1e-40": "0." + strings.Repeat("0", 39) + "1",
		"1e-41": "1e-41", "-12e-100": "-1.2e-99", "1e99999999999999999999": "1e+1099511627776",
	} {
		if n, ok := query.ParseNumber(literal); !ok || n.String() != want {
			t.Errorf("%s is written %s, want %s", literal, n, want)
		}
	}
}

// The comparison of numbers agrees with math/big.
func TestNumberOrder(t *testing.T) {
	numbers := rapid.StringMatching(`-?(0|[1-9][01]{0,3})(\.[01]{1,4})?([eE][-+]?(0|[1-4]|308))?`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := numbers.Draw(t, "a"), numbers.Draw(t, "b")
		na, _ := query.ParseNumber(a)
		nb, _ := query.ParseNumber(b)
		ra, _ := new(big.Rat).SetString(a)
		rb, _ := new(big.Rat).SetString(b)
		want := ra.Cmp(rb)
		if got := na.Compare(nb); got != want || (na == nb) != (want == 0) {
			t.Fatalf("%s and %s: got %d, want %d", a, b, got, want)
		}
		again, ok := query.ParseNumber(na.String())
		if !ok || again != na {
			t.Fatalf("%s is written %s", a, na)
		}
	})
}
