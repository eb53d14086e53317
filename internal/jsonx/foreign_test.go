package jsonx_test

import (
	"testing"

	"theeye/internal/jsonx"
)

// The form of every request to the intake is detected, so detection must not allocate.
func TestDetectFormDoesNotAllocate(t *testing.T) {
	for body, want := range map[string]string{
		`{"session_id":"s"}`: "",
		"[":                  "",
		"":                   "",
		"\x1f\x8b\x08":       "gzip",
		"{\x00}\x00":         "UTF-16",
		"{\x00\x00\x00":      "UTF-32",
	} {
		text := []byte(body)
		if got := jsonx.ForeignForm(text); got != want {
			t.Errorf("%q: got %q, want %q", body, got, want)
		}
		if n := testing.AllocsPerRun(100, func() { jsonx.ForeignForm(text) }); n != 0 {
			t.Errorf("%q: %v allocations", body, n)
		}
	}
}
