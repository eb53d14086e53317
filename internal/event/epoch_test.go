package event_test

import (
	"errors"
	"testing"

	"theeye/internal/event"
)

func TestParseEpoch(t *testing.T) {
	t.Parallel()
	const at1973 event.Micros = 100_000_000_000_000 // 1e8 s: where each unit except seconds begins
	for literal, want := range map[string]event.Micros{
		"0": 0, "-0": 0, "0.0": 0, "-0.0": 0, "0e5": 0, "1": 1_000_000, "1609459200": newYear,
		// fractions are truncated to microseconds
		"1609459200.5": newYear + 500_000, "1609459200.1234569": newYear + 123_456, "0.0000009": 0,
		"1609459200123.4569": newYear + 123_456, "1609459200123456.9": newYear + 123_456, "1609459200123456999": newYear + 123_456,
		"0.1": 100_000, "1609459200.000001": newYear + 1, // exactly, not as binary floating point
		// exponents
		"1.6094592e9": newYear, "16094592E+2": newYear, "16094592000000e-4": newYear, "1.609459200123456e15": newYear + 123_456,
		"1e-7": 0, "1e0": 1_000_000,
		// seconds end at 1e11, milliseconds at 1e14, microseconds at 1e17
		"7258118399": event.Latest - 1_000_000, "7258118399.999999": event.Latest - 1,
		"100000000000": at1973, "1e11": at1973, "100000000000.5": at1973 + 500, "7258118399999": event.Latest - 1000,
		"100000000000000": at1973, "1e14": at1973, "7258118399999999": event.Latest - 1,
		"100000000000000000": at1973, "1e17": at1973, "7258118399999999999": event.Latest - 1,
	} {
		if got, err := event.ParseEpoch(literal); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", literal, got, err, want)
		}
	}
}

func TestParseEpochRefuses(t *testing.T) {
	t.Parallel()
	for want, literals := range map[error][]string{
		event.ErrOutOfRange: {
			"-1", "-0.0000001", "-1609459200", "-1e300", "-9223372036854775808",
			"7258118400", "99999999999", "99999999999.999999", // still seconds
			"7258118400000", "99999999999999", // still milliseconds
			"7258118400000000", "99999999999999999", // still microseconds
			"7258118400000000000", "9223372036854775807", "9223372036854775808", "1e19", "1e300",
		},
		event.ErrUnparsable: {"", "x", "Inf", "NaN", "true", "1609459200 ", "2021-01-01", "1.2.3", "--1"},
	} {
		for _, literal := range literals {
			if got, err := event.ParseEpoch(literal); !errors.Is(err, want) {
				t.Errorf("%q: got %v, %v, want %v", literal, got, err, want)
			}
		}
	}
}
