package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theeye/internal/client"
)

// A fault in the JSON of an input is reported by line and column, however much precedes it.
func TestPlaceOfAFault(t *testing.T) {
	long := strings.Repeat(`{"a":"`+strings.Repeat("ä", 5000)+"\"},\n", 200)
	for _, tc := range []struct {
		name, in, want string
		events         int
	}{
		{"cut off", `{"a":`, ": the JSON ends too early at line 1, column 6", 0},
		{"cut off, and a line ends", "{\"a\":\n\n", ": the JSON ends too early at line 1, column 6", 0},
		{"nothing in an array", "[", ": the JSON ends too early at line 1, column 2", 0},
		{"after an event of an array", "[\n{\"a\":\"ä\"}, x", ": not JSON at line 2, column 12: ", 1},
		{"after many", "[" + long + "\"ä\" é]", ": not JSON at line 201, column 5: ", 201},
		{"a comma at the end of an array", "[{},\n]", ": not JSON at line 1, column 4: a value is missing after the comma", 1},
		{"a comma at the end of an object", "[{},\n{\"a\":1,}]", ": not JSON at line 2, column 7: a member is missing after the comma", 1},
		{"in a value over lines", "{\n\"a\":1,\n  b}", ": not JSON at line 3, column 3: ", 0},
		{"after an envelope", "{\"events\":[\n{}\n]}\n\n}", ": not JSON at line 5, column 1: ", 1},
		{"in an envelope", "{\"events\":[\n{}\n],\n\"x\":1}", `: unknown member "x"`, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			events := 0
			input, err := newEventReader(strings.NewReader(tc.in), false)
			for err == nil {
				if _, err = input.next(); err == nil {
					events++
				}
			}
			fault, ok := errors.AsType[*inputError](err)
			if !ok || !strings.HasPrefix(fault.fault, tc.want) || events != tc.events {
				t.Errorf("%d events, %v; want %d, %s", events, err, tc.events, tc.want)
			}
			if input != nil && input.traced != nil && len(input.traced.text) > 1<<20 {
				t.Errorf("%d bytes are kept", len(input.traced.text))
			}
		})
	}
}

// The server counts the lines of a request. Blank lines, and white space before a line, are not
// sent.
func TestPlaceInALine(t *testing.T) {
	const early = "not JSON at line 2, column 4: the JSON ends too early"
	for _, tc := range []struct {
		e    element
		n    int
		want string
	}{
		{element{line: true, number: 550}, 2, "not JSON at column 4: the JSON ends too early"},
		{element{line: true, number: 550, indent: 3}, 2, "not JSON at column 7: the JSON ends too early"},
		{element{line: true, number: 550}, 3, early},
		{element{number: 550}, 2, early},
	} {
		problems := []client.EventProblem{{Code: "invalid_json", Message: early}}
		got := tc.e.located(problems, tc.n)
		if diff := cmp.Diff([]client.EventProblem{{Code: "invalid_json", Message: tc.want}}, got); diff != "" || problems[0].Message != early {
			t.Error(diff)
		}
	}
}

// Compressed input is treated like its content, even if it arrives byte by byte.
func TestBeginningOfAnInput(t *testing.T) {
	for in, want := range map[string]string{
		"":                   "EOF",
		"P":                  "",
		"PK":                 "",
		"PK\x03\x04":         "the input is a zip file, not JSON",
		"\x1f\x8b":           "the input: the gzip data ends early",
		"\x1f\x8bxxxxxxxxxx": "the input: the gzip data is damaged (gzip: invalid header)",
		"\xff\xfe{\x00":      "the input" + notUTF8("UTF-16"),
		"\x00{":              "the input" + notUTF8("UTF-16"),
		"{\x00\x00\x00":      "the input" + notUTF8("UTF-32"),
		"\ufeff{}\n":         "",
		"{}":                 "",
	} {
		input, err := newEventReader(byByte{strings.NewReader(in)}, false)
		if err == nil {
			_, err = input.next()
		}
		if got := fmt.Sprint(err); err == nil && want != "" || err != nil && got != want {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}

type byByte struct{ r io.Reader }

func (b byByte) Read(p []byte) (int, error) { return b.r.Read(p[:min(1, len(p))]) }
