package jsonx_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/jsonx"
)

// The fault of a text is reported in the same way, whether it is read token by token or as a whole.
func TestSyntaxPlace(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		offset int
		reason string
	}{
		"{\"a\":1,\n}":        {6, "a member is missing after the comma"},
		`{"a":[1,]}`:          {7, "a value is missing after the comma"},
		`[1,,2]`:              {3, "a value is missing before the comma"},
		`{"a":1,,"b":2}`:      {7, "a value is missing before the comma"},
		`[,1]`:                {1, "a value is missing before the comma"},
		`{,"a":1}`:            {1, "a member is missing before the comma"},
		`{"a":,"b":1}`:        {5, "a value is missing before the comma"},
		`{"a": }`:             {6, "a value is missing after the colon"},
		`{"a":1 "b":2}`:       {7, `invalid character '"' after object value (expecting ',' or '}')`},
		`{"a":1,"a":2}`:       {7, `the key "a" occurs twice`},
		`{"b":{"a":1,"a":2}}`: {12, `the key "a" occurs twice`},
		`{"a":`:               {5, "the JSON ends too early"},
		`[1,`:                 {3, "the JSON ends too early"},
		"\x1f\x8b\x08\x00":    {0, "this is gzip, which is not decompressed here"},
		"\xff\xfe{\x00}\x00":  {0, "this is UTF-16; JSON is sent as UTF-8"},
		"{\x00":               {0, "this is UTF-16; JSON is sent as UTF-8"},
		"\x00{\x00}":          {0, "this is UTF-16; JSON is sent as UTF-8"},
		"{\x00\x00\x00":       {0, "this is UTF-32; JSON is sent as UTF-8"},
		"\x00asm":             {0, `invalid character '\x00' at start of value`},
	} {
		for name, err := range map[string]error{"by token": tokens(text), "as a whole": json.Unmarshal([]byte(text), new(any))} {
			at, reason, ok := jsonx.SyntaxPlace([]byte(text), err)
			if !ok || at.Offset != want.offset || reason != want.reason {
				t.Errorf("%q %s: got %v %q, want %v", text, name, at, reason, want)
			}
		}
	}
	if _, _, ok := jsonx.SyntaxPlace(nil, errors.New("another")); ok {
		t.Error("an error of another kind")
	}
}

func tokens(text string) error {
	d := jsontext.NewDecoder(strings.NewReader(text))
	for {
		if _, err := d.ReadToken(); err != nil {
			return err
		}
	}
}

func TestPlainJSON(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`x`:               "invalid character 'x' at start of value",
		`{"a":x}`:         "invalid character 'x' at start of value after byte 5",
		`{"a":{},"a":{}}`: `the key "a" occurs twice`,
		`{"a":`:           "the JSON ends too early",
		`[]`:              "it does not have the expected form",
		`{"a":{"b":"x"}}`: "the value at /a/b does not have the expected form",
		`{"c":1}`:         `unknown member "c"`,
	} {
		var into struct {
			A struct {
				B uint64 `json:"b"`
			} `json:"a"`
		}
		err := json.Unmarshal([]byte(text), &into, json.RejectUnknownMembers(true))
		plain := jsonx.PlainJSON(err)
		if plain.Error() != want || !errors.Is(plain, err) {
			t.Errorf("%s: got %v, want %s", text, plain, want)
		}
	}
	if other := errors.New("another"); jsonx.PlainJSON(other) != other || jsonx.PlainJSON(nil) != nil {
		t.Error("an error of another kind is changed")
	}
}
