package jsonx_test

import (
	"testing"

	"theeye/internal/jsonx"
)

func TestEqual(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{`{"a":1,"b":[2]}`, ` { "b" : [2], "a" : 1 } `, true},
		{`{"a":"\u0041"}`, `{"a":"A"}`, true},
		{`{"a":1}`, `{"a":1.0}`, false},
		{`{"a":1}`, `{"a":1`, false},
		{`{"a":1`, `{"a":1`, true},
		{`{"a":1,"a":1}`, `{ "a":1,"a":1}`, false},
	} {
		if got := jsonx.Equal([]byte(c.a), []byte(c.b)); got != c.want {
			t.Errorf("%s, %s: %v", c.a, c.b, got)
		}
	}
}

func TestHasMember(t *testing.T) {
	for text, want := range map[string]bool{
		`{"events":[]}`: true, `{"a":{"events":1}}`: false, `{"a":1,"a":2,"events":[`: true, `["events"]`: false, `{"a":`: false, "": false,
	} {
		if got := jsonx.HasMember([]byte(text), "events"); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestPointer(t *testing.T) {
	if got := jsonx.Pointer([]string{"a/b", "c~d", ""}); got != "/a~1b/c~0d/" {
		t.Error(got)
	}
}

// The detector requests only the bytes it needs.
func TestDetectForm(t *testing.T) {
	for text, c := range map[string]struct {
		want  jsonx.Form
		asked int
	}{
		`{"a":1}`:           {"", 2},
		"[":                 {"", 2},
		"":                  {"", 1},
		"\x1f\x8b\x08":      {jsonx.Gzip, 2},
		"\xff\xfe{\x00":     {jsonx.UTF16, 3},
		"\xff\xfe\x00\x00":  {jsonx.UTF32, 4},
		"{\x00\"\x00":       {jsonx.UTF16, 4},
		"\x00{\x00\"":       {jsonx.UTF16, 4},
		"{\x00\x00\x00":     {jsonx.UTF32, 5},
		"PK\x03\x04more":    {jsonx.Zip, 4},
		"BZh9":              {jsonx.Bzip2, 3},
		"\x28\xb5\x2f\xfd ": {jsonx.Zstd, 4},
	} {
		asked := 0
		got := jsonx.DetectForm(func(i int) (byte, bool) {
			if asked = max(asked, i+1); i >= len(text) {
				return 0, false
			}
			return text[i], true
		})
		if got != c.want || asked > c.asked {
			t.Errorf("%q: %q, asked for %d bytes", text, got, asked)
		}
	}
}
